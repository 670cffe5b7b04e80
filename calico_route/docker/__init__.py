"""Docker's containers: its drivers for network and addresses, its API with CALICO_IP, and a watch over their ends.

side             `DockerSide`: all of it together
plugin           the socket that Docker calls      network_driver, ipam_driver   what it calls
proxy            Docker's API on a port            creation   CALICO_IP and CALICO_PROFILE in a request, pure
passing          one request through the proxy     network    the network that the proxy makes
watcher          Docker's events, and a comparison with what is held here
leases           who has which address             records    what is on the disk
http             HTTP/1.1 octet by octet           listening  sockets and their clients
client           Docker's API for our own use      fields, ports   Docker's JSON; what the files share
"""

from .plugin import DIRECTORY
from .ports import HandedOver, Workload, Workloads
from .proxy import DEFAULT
from .side import DockerSide

__all__ = ["DEFAULT", "DIRECTORY", "DockerSide", "HandedOver", "Workload", "Workloads"]
