"""The article's story on one machine: namespaces as hosts, real etcd and calico_route."""
