"""`python -m tests.interop`: run every cell, print the matrix, write docs/interop.md. Exit status 1 where one fails.

Words given are names of daemons or of features, to run only those; then nothing is written.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from demo.lab import why_impossible
from tests.interop.cell import DAEMONS, Outcome, run
from tests.interop.features import FEATURES, Row
from tests.interop.page import markdown

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
AT_ONCE = max(4, 4 * (os.cpu_count() or 1))


def versions() -> dict[str, str]:
    """The daemons' versions, as Debian's packages have them."""
    found = {}
    for name, daemon in DAEMONS.items():
        words = ["dpkg-query", "-W", "-f", "${Version}", daemon.package]
        text = subprocess.run(words, check=False, capture_output=True, text=True).stdout
        found[name] = re.split(r"[-+~]", text)[0]
    return found


def main(words: list[str]) -> int:
    logging.getLogger("pybgp").setLevel(logging.CRITICAL)
    problem = why_impossible() or next((text for one in DAEMONS.values() if (text := one.missing())), None)
    if problem:
        print(problem, file=sys.stderr)
        return 2
    daemons = [name for name in DAEMONS if name in words] or list(DAEMONS)
    rows = [row for row in FEATURES if row.name in words] or list(FEATURES)
    cells: dict[tuple[str, str], Outcome] = {}

    def one(daemon: str, row: Row) -> None:
        outcome = run(daemon, row.name, row.feature)
        if outcome.state == "fails":  # a busy machine is no feature of a daemon: once more, and that counts
            outcome = run(daemon, row.name, row.feature)
        cells[daemon, row.name] = outcome
        print(f"{daemon:9} {row.name:22} {outcome.state:9} {outcome.reason[:160]}", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(one, daemon, row) for row in rows for daemon in daemons]:
            future.result()
    known = {name: version for name, version in versions().items() if name in daemons}
    page = markdown([(row.name, row.title) for row in rows], known, cells)
    print("\n" + page)
    if not words:
        PAGE.write_text(page)
    return int(any(outcome.state == "fails" for outcome in cells.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
