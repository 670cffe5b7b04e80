"""How long `python -m calico_route` takes from its start to the first octet of its first OPEN.

    python -m benchmarks.start [--rounds 9] [--json]

A neighbour of the mesh listens in another network namespace; the nodes come from a file. Beside it, in alternation, the
least that an asyncio program takes: `python -c 'import asyncio'`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from benchmarks import command
from benchmarks.daemons import PyBgp
from benchmarks.ingest import ASN
from benchmarks.table import Row, markdown
from demo.lab import Lab, LabError

NEIGHBOUR, AGENT = "10.90.0.1", "10.90.0.9"  # the higher address dials
LEAST = "import asyncio"


def agent(lab: Lab, listener: socket.socket) -> float:
    home = next(one for one in lab.namespaces if one.name == "agent")
    speaker = PyBgp(home)  # type: ignore[arg-type]
    began = time.monotonic()
    try:
        speaker.agent(AGENT, [NEIGHBOUR], ASN)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            if connection.recv(19)[:16] != b"\xff" * 16:
                raise LabError("what came is no BGP message")
            return time.monotonic() - began
    finally:
        speaker.stop()


def least() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
    return time.monotonic() - began


def main() -> int:
    options = command.arguments(__doc__, peers="", rounds=9).parse_args()
    return command.run(options, lambda: measure(options.rounds), lambda rows: markdown(rows, ("time",), LEAST), LEAST)


def measure(rounds: int) -> list[Row]:
    rows = [Row("start", name, 1) for name in ("calico_route", LEAST)]
    with Lab("start") as lab:
        lab.host("agent", f"{AGENT}/16")
        other = lab.host("neighbour", f"{NEIGHBOUR}/16")
        with other.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((NEIGHBOUR, 179))
            listener.listen()
            listener.settimeout(20)
            for _ in range(rounds):
                rows[0].add(time=agent(lab, listener))
                rows[1].add(time=least())
    return rows


if __name__ == "__main__":
    sys.exit(main())
