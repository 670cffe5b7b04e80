"""ExaBGP's API process: appends what ExaBGP tells to one file, and passes on what is written into a fifo.

Run by ExaBGP as `python3 exabgp_reader.py FIFO FILE`, with the standard library alone.
"""

from __future__ import annotations

import os
import selectors
import sys


def main(fifo: str, file: str) -> None:
    chooser = selectors.DefaultSelector()
    chooser.register(0, selectors.EVENT_READ)
    commands = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # RDWR: it stays open between two writers
    chooser.register(commands, selectors.EVENT_READ)
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        for key, _ in chooser.select():
            data = os.read(key.fd, 65536)
            if key.fd == 0 and not data:
                return
            os.write(log if key.fd == 0 else 1, data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
