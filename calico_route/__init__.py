"""calico_route: routing between the hosts of a Calico network, in place of BIRD and confd.

The agent reads Calico's own resources (from etcd, or from a file), keeps a BGP session to every other
node with `pybgp`, announces the addresses of the workloads on its host and puts what it learns into
the kernel's main table. `python -m calico_route --help` tells the options.

    datastore (etcd, file) -> view -> desired state -> reconcile -> BGP speaker and kernel

The packages ipam, policy, workload, docker, cni, node and commands are what `calico-route node` has beside it; the
agent knows nothing of them.
"""
