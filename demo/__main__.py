"""`make demo` and `make demo-article`: run a story; exit 0 only if every step held, and clean up whatever happened."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from demo.article import Article
from demo.cluster import Cluster
from demo.lab import Lab, LabError, why_impossible


def say(text: str) -> None:
    print(text, flush=True)


def stop(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(f"signal {number}")


def look_around(story: Article | Cluster) -> None:
    names = [namespace.netns for namespace in story.lab.namespaces]
    say("\nEverything is still running. To look around:")
    running = next(process.pid for process in story.lab.processes if process.running)
    if Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]:
        # As root of a user namespace: nobody outside sees what is in it.
        say(f"  nsenter --target {running} --user --preserve-credentials --mount --net    # first, for all of these")
    host = story.hosts[0]
    say(f"  ip netns exec {host.netns} ip route")
    if isinstance(story, Article):
        say(f"  ip netns exec {story.containers[0].netns} ping 192.168.0.2")
    status = f"{sys.executable} -m calico_route status --socket {story.agents[0].socket}"
    say(f"  ip netns exec {host.netns} {status}")
    say(f"  less {story.lab.directory}/calico_route-host1.log")
    pids = " ".join(str(process.pid) for process in story.lab.processes if process.running)
    say("To end it:")
    for runtime in story.runtimes if isinstance(story, Cluster) else ():
        for line in runtime.ending():
            say(f"  {line}")
    say(f"  kill {pids}; for n in {' '.join(names)}; do ip netns del $n; done; rm -r {story.lab.directory}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "story", nargs="?", choices=("routes", "article"), default="routes", help="routes alone, or the whole article"
    )
    parser.add_argument(
        "--namespaces", action="store_true", help="article: network namespaces in the place of docker and podman"
    )
    parser.add_argument("--keep", action="store_true", help="leave it all running and say how to look around")
    arguments = parser.parse_args()
    if arguments.namespaces and arguments.story != "article":
        parser.error(
            "--namespaces: the story of the routes has nothing else; write: python -m demo article --namespaces"
        )
    impossible = why_impossible()
    if impossible:
        say(f"The demo cannot run: {impossible}")
        return 1
    signal.signal(signal.SIGTERM, stop)
    begin = time.monotonic()
    with Lab("demo") as lab:
        story: Article | Cluster = Article(lab, say)
        if arguments.story == "article":
            story = Cluster(lab, say, namespaces=arguments.namespaces)
        try:
            story.run()
        except (LabError, KeyboardInterrupt, OSError) as error:
            say(f"\nFAILED: {error or type(error).__name__}")
            for process in lab.processes:
                lines = process.text().splitlines()[-25:]
                say(f"\n-- last lines of {process.name}:\n" + "\n".join(lines))
            return 1
        finally:
            if isinstance(story, Cluster) and not arguments.keep:
                story.close()
        say(f"\nEvery step held ({time.monotonic() - begin:.1f} s).")
        if arguments.keep:
            lab.keep = True
            look_around(story)
    return 0


if __name__ == "__main__":
    sys.exit(main())
