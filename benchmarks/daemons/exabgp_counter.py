"""ExaBGP's API process: writes into a file when how many prefixes were told, whenever it has grown quiet.

Run by ExaBGP as `python3 exabgp_counter.py FILE`, with the standard library alone.
"""

import json
import os
import select
import sys
import time


def main(file: str) -> None:
    held: set[str] = set()
    rest, at = b"", 0.0
    while True:
        ready, _, _ = select.select([0], [], [], 0.2)
        if not ready:
            with open(file + ".new", "w") as output:
                json.dump({"at": at, "held": len(held)}, output)
            os.replace(file + ".new", file)
            select.select([0], [], [])
        data = os.read(0, 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            update = json.loads(line).get("neighbor", {}).get("message", {}).get("update", {})
            before = len(held)
            for routes in update.get("announce", {}).get("ipv4 unicast", {}).values():
                held.update(route["nlri"] for route in routes)
            held.difference_update(route["nlri"] for route in update.get("withdraw", {}).get("ipv4 unicast", []))
            if len(held) != before:
                at = time.monotonic()


if __name__ == "__main__":
    main(sys.argv[1])
