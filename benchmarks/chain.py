"""The whole way of a route: octets in, tables, octets out. Thousand prefixes a second, one core.

    python -m benchmarks.chain [--routes 200000] [--receivers 1] [--json]

A `Router` without sockets gets whole UPDATE streams, cut into reads of 64 KiB, on an established session, and
what it wants to say to its other peers (reflector clients) is pulled and thrown away. Three mixes: `host` is /32s
that share one attribute set; `sets` is /32s with a set for every thousand; `internet` is /24s with a set for
every seven. `withdraw` takes the same routes away again. The streams are made before the clock starts, and the
collector stands as `pybgp.gc_for_full_tables` sets it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator

from pybgp import IPV4_UNICAST, CodecContext, PathAttributes, PeerConfig, accept_all, gc_for_full_tables
from pybgp.fsm.negotiation import make_open
from pybgp.messages import Keepalive, encode_message
from pybgp.messages.update_writer import encode_reach, encode_unreach
from pybgp.peer import Peer
from pybgp.prefix import NLRI
from pybgp.router import Router
from pybgp.session import Session

MIXES = {"host": (32, None), "sets": (32, 1000), "internet": (24, 7)}  # prefix length, prefixes a set
READ = 65536
BATCH = 2048
CONTEXT = CodecContext(four_octet_as=True, internal=True, extended_message=False)


def prefixes(count: int, length: int) -> list[NLRI]:
    shift = 32 - length
    return [
        bytes((length,)) + ((0x14000000 + (number << shift)).to_bytes(4, "big")[: (length + 7) // 8])
        for number in range(count)
    ]


def attributes(number: int) -> PathAttributes:
    return PathAttributes.build(
        as_path=[3356 + number % 40, 6453, 4_200_000_000 + number],
        next_hop="192.0.2.1",
        communities=[number, 65000 << 16 | number & 0xFFFF],
        local_pref=100,
        med=number & 0xFF,
    )


def streams(mix: str, count: int) -> tuple[bytes, bytes]:
    """The announcements and the withdrawals."""
    length, per_set = MIXES[mix]
    keys = prefixes(count, length)
    step = per_set or count
    announce = [
        message
        for number, start in enumerate(range(0, count, step))
        for message in encode_reach(IPV4_UNICAST, keys[start : start + step], attributes(number), CONTEXT)
    ]
    return b"".join(announce), b"".join(encode_unreach(IPV4_UNICAST, keys, CONTEXT))


class Bench:
    """A router with one sender and some receivers, all established."""

    def __init__(self, receivers: int) -> None:
        self.router = Router(
            local_as=64512,
            bgp_identifier=0xC00002FE,
            jitter=lambda: 0.5,
            import_policy=accept_all,
            export_policy=accept_all,
        )
        self.router.start(0.0)
        self.sender, self.session = self.establish("192.0.2.1", 1)
        self.receivers = [self.establish(f"192.0.2.{n + 2}", n + 2)[0] for n in range(receivers)]
        self.octets = 0
        self.pump()

    def establish(self, address: str, number: int) -> tuple[Peer, Session]:
        common = {"peer_as": 64512, "local_as": 64512, "extended_message": False}
        config = PeerConfig(
            address=address, bgp_identifier=0xC00002FE, passive=True, route_reflector_client=True, **common
        )
        peer = self.router.add_peer(config, now=0.0)
        session = peer.accept(0.0)
        assert session is not None
        peer.connected(session, "192.0.2.254", 0.0)
        theirs = make_open(PeerConfig(address="192.0.2.254", bgp_identifier=0xC0000200 + number, **common))
        peer.receive(session, encode_message(theirs, CONTEXT), 0.0)
        peer.receive(session, encode_message(Keepalive(), CONTEXT), 0.0)
        assert peer.current is session
        return peer, session

    def pump(self) -> None:
        """The shell's turn, with transports that take everything."""
        router = self.router
        router.effects.clear()
        router.touched.clear()
        while router.step(0.0):
            pass
        for peer in list(router.tables.outgoing):
            assert isinstance(peer, Peer)
            while peer.produce(BATCH, 0.0):
                assert peer.current is not None
                self.octets += len(peer.current.data_to_send())
        router.tables.outgoing.clear()

    def feed(self, stream: bytes) -> float:
        """Seconds for a stream."""
        reads = list(cut(stream))
        start = time.perf_counter()
        for data in reads:
            self.sender.receive(self.session, data, 0.0)
            self.pump()
        return time.perf_counter() - start


def cut(stream: bytes) -> Iterator[bytes]:
    for start in range(0, len(stream), READ):
        yield stream[start : start + READ]


def run(mix: str, count: int, receivers: int) -> dict[str, object]:
    announce, withdraw = streams(mix, count)
    bench = Bench(receivers)
    before = bench.octets
    up = bench.feed(announce)
    table = bench.router.tables.loc_rib(IPV4_UNICAST)
    assert len(table) == count
    for receiver in bench.receivers:
        assert receiver.exchanges[IPV4_UNICAST].advertised == count
    again = bench.feed(announce)
    octets = bench.octets - before
    down = bench.feed(withdraw)
    assert len(table) == 0
    return {
        "mix": mix,
        "routes": count,
        "receivers": receivers,
        "announce_per_second": round(count / up),
        "again_per_second": round(count / again),
        "withdraw_per_second": round(count / down),
        "megabytes_out": round(octets / 1e6, 2),
        "peak_rss_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=200_000)
    parser.add_argument("--receivers", type=int, default=1)
    parser.add_argument("--mix", choices=sorted(MIXES), action="append")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    with gc_for_full_tables():
        for mix in options.mix or MIXES:
            result = run(mix, options.routes, options.receivers)
            if options.json:
                print(json.dumps(result))
            else:
                print(
                    f"{mix:9} {options.routes} routes, {options.receivers} receivers:"
                    f" announce {result['announce_per_second']:>9,}/s"
                    f"  again {result['again_per_second']:>9,}/s"
                    f"  withdraw {result['withdraw_per_second']:>9,}/s"
                    f"  out {result['megabytes_out']} MB  rss {result['peak_rss_megabytes']} MB"
                )


if __name__ == "__main__":
    main()
