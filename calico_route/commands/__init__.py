"""The command line: `calico-route WORD …`. Only calico_route/__main__.py imports it; the agent's own way never does.

line                          every word, imported when it is used
command, answer               from a function to a command: flags, datastore, printing, errors in words
named                         words that come after a name, as in `profile web rule show`
objects                       Calico's resources in etcd, with compare-and-swap
names, profile_names          names and addresses that can be meant
completion                    names for the shell
pool, bgp, profile, rule, endpoint, addresses, node      the words that speak to etcd
in_use                        who has addresses of a network
container, runtimes, workload_socket      containers: which is meant, and the agent on this host that is asked
checksystem, checks, diags    this host
"""
