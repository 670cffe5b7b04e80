"""The command line: `calico-route WORD …`."""
