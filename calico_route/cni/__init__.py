"""`calico-route-cni`: a CNI plug-in (0.4.0, 1.0.0, 1.1.0) that asks the agent's workload socket to do the work.

The standard library alone, and nothing of the rest of calico_route: a runtime waits for its start, for each container.

plugin    the commands, from environment and standard input to standard output
network   what a network's configuration and CNI_ARGS ask for
result    results and errors in the specification's words
client    one request to the agent
install   the script that a runtime starts
"""
