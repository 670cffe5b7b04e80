"""Clusters of hundreds and thousands of nodes in one process: routers on a virtual clock, wired in memory.

`python -m benchmarks.simulation --help`. What comes out is in docs/scale.md.

clock.py   virtual time: what happens next
routes.py  which /32s are whose, and sums by which a reader that keeps no table can still be checked
wires.py   links (latency, loss, cuts) and the connections over them
node.py    a whole node: a `Router`, and what the shell does for it, on virtual time
leaf.py    a node that says and counts what a node would, without a table
cluster.py nodes wired as a mesh or around reflectors; when they have converged, and whether rightly
trials.py  what is done to a cluster and measured: start, rest, a new route, losses
growth.py  which power of N a quantity grows with
pages.py   the plots, and the generated part of docs/scale.md
"""
