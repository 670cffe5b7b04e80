"""One speaker with four raw neighbours around it, in namespaces: two that tell it, two that watch.

Internal and external each; the internal teller is a route reflector client. What an UPDATE does is what the watchers
hold after it, or the NOTIFICATION that ends the teller's session.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from dataclasses import dataclass, field

from demo.lab import Host, Lab, LabError, wait_for
from pybgp.config import PeerConfig
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.fsm.negotiation import make_open
from pybgp.messages import CodecContext, Keepalive, MessageType, encode_message
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.framing import Framer, frame
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_reach, encode_unreach
from pybgp.prefix import NLRI, format_nlri, parse_nlri

OWN_AS, TELLER_AS, WATCHER_AS = 64512, 65001, 65002
SPEAKER, SPEAKER_V6 = "192.0.2.1", "2001:db8::1"
BOTH = (IPV4_UNICAST, IPV6_UNICAST)
LIMIT = 20.0  # seconds after which the test gives up; nothing takes so long when all is well
MARKERS = {internal: parse_nlri(f"203.0.113.{7 + internal}/32")[1] for internal in (False, True)}
KEEPALIVE = encode_message(Keepalive(), CodecContext())

Seen = dict[str, str]  # prefix -> all its attributes, in words
Key = tuple[Family, NLRI]


@dataclass(frozen=True)
class Effect:
    """What an UPDATE did: the NOTIFICATION it was answered with, if any, and what each watcher holds after it."""

    answer: tuple[int, int] | None
    internal: tuple[tuple[str, str], ...] = ()
    external: tuple[tuple[str, str], ...] = ()


class Neighbour:
    """A raw BGP speaker in a namespace of its own, on one connection after the other."""

    def __init__(self, host: Host, asn: int, families: tuple[Family, ...]) -> None:
        self.host, self.asn, self.families = host, asn, families
        self.context = CodecContext(four_octet_as=True, internal=asn == OWN_AS, families=frozenset(families))
        self.held: dict[Key, str] = {}  # what it was told, in words
        self.marked = 0  # the number of the newest marker
        self.said: tuple[int, int] | None = None  # the NOTIFICATION that ended the connection; (0, 0): only closed
        self.sock: socket.socket | None = None
        self.framer = Framer()

    def connect(self) -> None:
        """Up to Established, however often it takes: a speaker that met an error waits before it listens again."""
        end = time.monotonic() + LIMIT
        while not self._try():
            if time.monotonic() > end:
                raise LabError(f"{self.host.name} gets no session")
            time.sleep(0.05)
        self.said = None
        self.held = {}

    def _try(self) -> bool:
        sock = self.host.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(3.0)
        try:
            sock.connect((SPEAKER, 179))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            config = PeerConfig(
                address=SPEAKER,
                peer_as=OWN_AS,
                local_as=self.asn,
                bgp_identifier=int.from_bytes(socket.inet_aton(self.host.address), "big"),
                families=self.families,
                hold_time=240,
                graceful_restart=False,
                extended_message=False,
            )
            sock.sendall(encode_message(make_open(config), CodecContext()) + KEEPALIVE)
            framer = Framer()
            kinds: list[int] = []
            while MessageType.KEEPALIVE not in kinds:
                data = sock.recv(65536)
                if not data:
                    raise OSError("closed")
                kinds += [kind for kind, _ in framer.feed(data)]
                if MessageType.NOTIFICATION in kinds:
                    raise OSError("refused")
        except OSError:
            sock.close()
            return False
        sock.setblocking(False)
        self.sock, self.framer = sock, framer
        return True

    def send(self, data: bytes) -> None:
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.sendall(data)

    def read(self) -> None:
        """Take what has come."""
        if self.sock is None:
            return
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for kind, body in self.framer.feed(data):
            if kind == MessageType.NOTIFICATION:
                self.said = (body[0], body[1])
            elif kind == MessageType.UPDATE:
                self.take(body)
        if not data or self.said is not None:
            self.said = self.said or (0, 0)
            self.sock.close()
            self.sock = None

    def take(self, body: bytes) -> None:
        update = decode_update(body, self.context, AttributePool())
        wrong = "; ".join(fault.reason for fault in update.faults)
        for unreach in update.unreach:
            for nlri in unreach.nlri:
                self.held.pop((unreach.family, nlri), None)
                if wrong:  # it was announced, with attributes that a neighbour cannot take
                    self.held[unreach.family, nlri] = f"MALFORMED: {wrong}"
        for reach in update.reach:
            for nlri in reach.nlri:
                self.held[reach.family, nlri] = words(reach.attributes) + (f"; FAULTY: {wrong}" if wrong else "")
                if nlri in MARKERS.values():
                    self.marked = min(reach.attributes.communities) & 0xFFFF

    def seen(self) -> tuple[tuple[str, str], ...]:
        """What it holds, without the markers."""
        return tuple(
            sorted(
                (format_nlri(family, nlri), text)
                for (family, nlri), text in self.held.items()
                if nlri not in MARKERS.values()
            )
        )


def words(attributes: PathAttributes) -> str:
    """All of a set in words; the order of communities says nothing, and neither do unused bits of the flags."""
    parts = [f"next_hop={attributes.next_hop_text}"]
    for row, value in attributes.items():
        shown = row.to_json(value) if row.name != "as_path" else str(value)
        parts.append(f"{row.name}={sorted(map(str, shown)) if row.name.endswith('communities') else shown}")
    parts += [f"unknown {raw.code} {raw.flags & 0xE0:02x} {raw.value.hex()}" for raw in attributes.unknown]
    return "; ".join(parts)


@dataclass
class Scene:
    """The namespaces, made once; speakers come and go."""

    lab: Lab
    speaker: Host = field(init=False)
    tellers: dict[bool, Neighbour] = field(init=False)  # by internal
    watchers: dict[bool, Neighbour] = field(init=False)

    def __post_init__(self) -> None:
        def host(name: str, number: int) -> Host:
            return self.lab.host(name, f"192.0.2.{number}/24", f"2001:db8::{number}/64")

        self.speaker = host("speaker", 1)
        self.tellers = {
            True: Neighbour(host("teller-in", 11), OWN_AS, BOTH),
            False: Neighbour(host("teller-ex", 12), TELLER_AS, (IPV4_UNICAST,)),
        }
        self.watchers = {
            True: Neighbour(host("watcher-in", 21), OWN_AS, BOTH),
            False: Neighbour(host("watcher-ex", 22), WATCHER_AS, (IPV4_UNICAST,)),
        }
        self.count = 0

    def connect(self) -> None:
        for neighbour in (*self.tellers.values(), *self.watchers.values()):
            neighbour.connect()

    def close(self) -> None:
        for neighbour in (*self.tellers.values(), *self.watchers.values()):
            if neighbour.sock is not None:
                neighbour.sock.close()
                neighbour.sock = None

    def effect_of(self, internal: bool, base: bytes, body: bytes) -> Effect:
        """Tell a well-formed UPDATE for the same prefixes, then this one; then take all of it back."""
        teller = self.tellers[internal]
        teller.send(base + frame(MessageType.UPDATE, body))
        # Twice, since what came before a marker may be written behind it, but not behind the next one.
        if not (self.mark(teller) and self.mark(teller)):
            answer = teller.said
            self.watched_empty(teller)
            teller.connect()
            return Effect(answer)
        effect = Effect(None, self.watchers[True].seen(), self.watchers[False].seen())
        gone = {key for watcher in self.watchers.values() for key in watcher.held if key[1] not in MARKERS.values()}
        for family in BOTH:
            keys = [nlri for at, nlri in gone if at == family]
            for message in encode_unreach(family, keys, teller.context) if keys else ():
                teller.send(message)
        return effect

    def mark(self, teller: Neighbour) -> bool:
        """A route that both watchers must see; False when the session ended instead."""
        self.count = self.count % 60000 + 1
        internal = teller.context.internal
        attributes = PathAttributes.build(
            as_path=[] if internal else [TELLER_AS],
            next_hop=teller.host.address,
            communities=[65100 << 16 | self.count],
            local_pref=100 if internal else None,
        )
        for message in encode_reach(IPV4_UNICAST, [MARKERS[internal]], attributes, teller.context):
            teller.send(message)
        self.until(lambda: teller.sock is None or all(w.marked == self.count for w in self.watchers.values()))
        return teller.sock is not None

    def watched_empty(self, teller: Neighbour) -> None:
        """What it told is gone with its session."""
        other = MARKERS[not teller.context.internal]
        self.until(lambda: all(nlri == other for one in self.watchers.values() for _, nlri in one.held))

    def until(self, condition: object) -> None:
        assert callable(condition)
        end = time.monotonic() + LIMIT
        while not condition():
            everybody = [*self.tellers.values(), *self.watchers.values()]
            by_socket = {one.sock: one for one in everybody if one.sock is not None}
            ready, _, _ = select.select(list(by_socket), [], [], 1.0)
            for sock in ready:
                by_socket[sock].read()
            for watcher in self.watchers.values():
                if watcher.sock is None:
                    raise LabError(f"the session of {watcher.host.name} ended with {watcher.said}")
            if time.monotonic() > end:
                raise LabError("a watcher did not see what it should")


PYBGP = """
[speaker]
local_as = 64512
bgp_identifier = "192.0.2.1"
listen = ["192.0.2.1"]
"""
PYBGP_PEER = """
[[peer]]
address = "{address}"
peer_as = {asn}
passive = true
families = [{families}]
import_policy = "accept"
export_policy = "accept"
graceful_restart = false
idle_hold_time = 0
idle_hold_max = 0
hold_time = 240
route_reflector_client = {client}
"""
BIRD = """
log stderr all;
router id 192.0.2.1;
protocol device { }
protocol direct { ipv4; ipv6; }
"""
BIRD_PEER = """
protocol bgp {name} {{
    local 192.0.2.1 as 64512;
    neighbor {address} as {asn};
    passive on;
    hold time 240;
    graceful restart off;
    error wait time 1,1; error forget time 1;
    {options}
    {channels}
}}
"""


def pybgp_configuration(scene: Scene) -> str:
    text = PYBGP
    for one in (*scene.tellers.values(), *scene.watchers.values()):
        text += PYBGP_PEER.format(
            address=one.host.address,
            asn=one.asn,
            families=", ".join(f'"{family}"' for family in one.families),
            client=str(one is scene.tellers[True]).lower(),
        )
    return text


def bird_configuration(scene: Scene) -> str:
    text = BIRD
    for one in (*scene.tellers.values(), *scene.watchers.values()):
        teller = one in scene.tellers.values()
        what = "import all; export none;" if teller else "import none; export where source = RTS_BGP;"
        if not teller and one.asn != OWN_AS:
            what += " next hop self;"  # RFC 4271 5.1.3 leaves it to the speaker on a shared wire
        names = {IPV4_UNICAST: "ipv4", IPV6_UNICAST: "ipv6"}
        options = "rr client; rr cluster id 192.0.2.1;" if one is scene.tellers[True] else ""
        text += BIRD_PEER.format(
            name=one.host.name.replace("-", "_"),
            address=one.host.address,
            asn=one.asn,
            options=options if one.asn == OWN_AS else "enforce first as on;",
            channels=" ".join(f"{names[family]} {{ {what} }};" for family in one.families),
        )
    return text


def listening(scene: Scene) -> None:
    wait_for("the speaker listens", lambda: ":179" in scene.speaker.run("ss", "-ltn", check=False))
