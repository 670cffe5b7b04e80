"""`calico-route node`: the agent of a node with addresses, policy and workloads beside it, put together.

command     the words after `node`: in the foreground, `--detach`, `stop`
flags       the flags of the agent and those of what runs beside it
companions  what runs beside the agent, opened and closed in order
profiles    profiles by the names that people give them, for workloads
docker      Docker's requests in the words of workloads
detach      a node in the background, and what the caller is told of it
stopping    its end, and its Node's in the datastore
"""

from .command import run, stop

__all__ = ["run", "stop"]
