"""calico_route, which stops (SIGSTOP) at the moment at which it would send its first UPDATE.

    python -m demo.cut_short …        the flags are those of calico_route

Its first session is established by then, and its neighbour has heard no route and no End-of-RIB: killed now, it is an
agent that has ended a second time while its neighbours still keep stale routes of it (RFC 4724 section 4.2). Without
this the moment is too short to be met.
"""

from __future__ import annotations

import os
import signal
import sys

from calico_route.__main__ import main
from pybgp.exchange import Exchange


def stop_before_it_leaves() -> None:
    produce = Exchange.produce

    def produce_nothing(exchange: Exchange, limit: int) -> tuple[list[bytes], int]:
        messages, count = produce(exchange, limit)
        if messages:
            os.kill(os.getpid(), signal.SIGSTOP)
        return messages, count

    Exchange.produce = produce_nothing  # type: ignore[method-assign]


if __name__ == "__main__":
    stop_before_it_leaves()
    sys.exit(main())
