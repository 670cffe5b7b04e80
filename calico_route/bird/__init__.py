"""BIRD: its control protocol, for those who ask a node's (readiness checks, `calicoctl node status`, exporters), and
its configuration, for people who compare.

configuration  what confd would have rendered for BIRD: pure
wire           lines, and what they tell of: pure
replies        questions to answers, in BIRD's words: pure
routes         those of `show route`: pure
facts          what the answers are made of, out of the agent
socket         the Unix socket
filter_language  BGPFilters and the like, in BIRD's language: pure
printing       `--print-bird-config`
process_name   what `calicoctl node status` looks for
"""

from .facts import AgentFacts
from .process_name import call_process
from .socket import BirdSocket

__all__ = ["AgentFacts", "BirdSocket", "call_process"]
