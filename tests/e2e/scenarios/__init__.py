"""States of etcd before one live node: what it does then, one resource kind after the other."""
