"""One neighbour's error, exception, flood, silence or slowness is its own: the others' sessions and routes stay."""

from __future__ import annotations

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.fsm.states import State
from pybgp.messages import CodecContext, RouteRefresh, Update, encode_message
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.framing import frame
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_end_of_rib, encode_reach, encode_unreach
from pybgp.policy import Policy, accept_all
from pybgp.prefix import NLRI
from pybgp.rib import Route
from pybgp.rib import adj_rib_in as adj_rib_in_module
from pybgp.rib import export as export_module
from tests.raw_router import KEEPALIVE, RawPeer, RawRouter
from tests.rib.make import nlri

MANY = 100_000
BAD = frame(2, b"\0\0\0")


def keys(count: int) -> list[NLRI]:
    return [b"\x18" + (0x0A0000 + number).to_bytes(3, "big") for number in range(count)]


def attributes(number: int = 0) -> PathAttributes:
    return PathAttributes.build(as_path=[65001], next_hop="192.0.2.99", med=number)


def announce(peer: RawPeer, some: list[NLRI], number: int = 0) -> None:
    peer.receive(b"".join(encode_reach(IPV4_UNICAST, some, attributes(number), peer.context)))


def told(peer: RawPeer) -> tuple[int, int]:
    """How many prefixes were announced and withdrawn since the last look."""
    updates = [decode_update(body, peer.context, AttributePool()) for body in peer.updates()]
    return (
        sum(len(reach.nlri) for update in updates for reach in update.reach),
        sum(len(unreach.nlri) for update in updates for unreach in update.unreach),
    )


def three() -> tuple[RawRouter, RawPeer, RawPeer, RawPeer]:
    """A router, a neighbour that tells, and two others."""
    around = RawRouter()
    return around, around.add(65001), around.add(65002), around.add()


def settle_badly(around: RawRouter) -> list[str]:
    """As `settle`, where something is meant to go wrong; what was said of it."""
    around.expect_errors = True
    around.settle()
    around.expect_errors = False
    errors, around.errors = around.errors, []
    return errors


# slowness


def test_who_takes_nothing_costs_one_slot_a_prefix_and_gets_the_last_state() -> None:
    around, teller, slow, quick = three()
    slow.stuck = True
    table = keys(MANY)
    exchange = slow.peer.exchanges.get(IPV4_UNICAST)
    assert exchange is not None
    for flap in range(3):
        announce(teller, table, flap)
        around.settle()
        assert told(quick) == (MANY, 0)
        assert exchange.pending == MANY
        teller.receive(b"".join(encode_unreach(IPV4_UNICAST, table, teller.context)))
        around.settle()
        assert told(quick) == (0, MANY)
        assert exchange.pending == 0, "it was never told: there is nothing to take back"
    announce(teller, table, 7)
    announce(teller, table[: MANY // 2], 8)
    around.settle()
    assert exchange.pending == MANY
    assert slow.session.data_to_send() == b"", "nothing is encoded before it can go"
    slow.stuck = False
    around.router.tables.outgoing.add(slow.peer)
    around.settle()
    assert told(slow) == (MANY, 0), "once each, and no history"
    assert told(quick) == (MANY, 0)


# floods


@pytest.mark.parametrize("what", ["refresh", "keepalive", "end of rib", "same update", "flapping"])
def test_a_flood_in_one_read_leaves_little_behind(what: str) -> None:
    around, teller, other, quiet = three()
    announce(other, keys(2000))
    around.settle()
    for one in (teller, other, quiet):
        told(one)
    reach = b"".join(encode_reach(IPV4_UNICAST, [nlri("198.51.100.0/24")], attributes(), teller.context))
    gone = b"".join(encode_unreach(IPV4_UNICAST, [nlri("198.51.100.0/24")], teller.context))
    message = {
        "refresh": encode_message(RouteRefresh(IPV4_UNICAST), CodecContext()),
        "keepalive": KEEPALIVE,
        "end of rib": encode_end_of_rib(IPV4_UNICAST, CodecContext()),
        "same update": reach,
        "flapping": reach + gone,
    }[what]
    teller.receive(message * 5000)
    assert len(around.router.tables.jobs) < 10, "work does not pile up"
    around.settle()
    assert all(one.open and one.session.state is State.ESTABLISHED for one in (teller, other, quiet))
    announced, withdrawn = told(quiet)
    assert announced <= 1
    assert withdrawn <= 1
    assert told(teller)[0] <= (2 * 2000 if what == "refresh" else 0), "answered once or twice, not 5,000 times"


def test_a_flood_does_not_move_the_deadlines_of_others() -> None:
    around, teller, other, _ = three()
    before = other.session.next_deadline()
    announce(teller, keys(20_000))
    around.settle()
    told(other)
    for number in range(50):
        announce(teller, keys(100), number)
    assert other.session.state is State.ESTABLISHED
    after = other.session.next_deadline()
    assert before is not None
    assert after is not None
    assert after >= before
    around.now = after
    other.peer.handle_timer(after)
    assert other.session.state is State.ESTABLISHED
    assert KEEPALIVE in other.session.data_to_send()


# errors and exceptions


def test_an_error_costs_the_session_that_made_it() -> None:
    around, teller, other, quiet = three()
    announce(teller, keys(100))
    announce(other, [nlri("198.51.100.0/24")])
    around.settle()
    assert told(quiet) == (101, 0)
    teller.receive(BAD)
    around.settle()
    assert not teller.open
    assert other.open
    assert quiet.open
    assert told(quiet) == (0, 100)


def test_silence_costs_the_session_of_the_silent() -> None:
    around, teller, other, quiet = three()
    announce(teller, keys(10))
    announce(other, [nlri("198.51.100.0/24")])
    around.settle()
    told(quiet)
    for _ in range(200):
        around.now += 1.0
        other.keep_alive()
        quiet.keep_alive()
        for one in (teller, other, quiet):
            one.peer.handle_timer(around.now)
    around.settle()
    assert not teller.open
    assert other.open
    assert quiet.open
    assert told(quiet) == (0, 10)


def breaks(route: Route) -> Route:
    raise RuntimeError(f"a bug in a policy, at {route.prefix}")


@pytest.mark.parametrize("direction", ["import_policy", "export_policy"])
def test_an_exception_in_a_policy_costs_the_routes_that_it_was_asked_for(
    direction: str, caplog: pytest.LogCaptureFixture
) -> None:
    around, teller, other, quiet = three()
    announce(other, keys(50))
    around.settle()
    assert told(quiet) == (50, 0)
    told(teller)
    policies: dict[str, Policy] = {direction: breaks}
    around.router.change_peer(teller.peer, teller.config, now=around.now, **policies)
    around.settle()
    told(teller)
    announce(teller, [nlri("198.51.100.0/24")])
    announce(other, [nlri("203.0.113.0/24")])
    around.settle()
    assert all(one.open for one in (teller, other, quiet))
    assert "a bug in a policy" in caplog.text, "and it is said"
    assert told(quiet) == (1 if direction == "import_policy" else 2, 0)
    assert told(teller) == (1 if direction == "import_policy" else 0, 0)
    mended: dict[str, Policy] = {direction: accept_all}
    around.router.change_peer(teller.peer, teller.config, now=around.now, **mended)
    around.settle()
    assert told(quiet) == (1 if direction == "import_policy" else 0, 0), "mended, it needs nothing of the neighbour"
    assert told(teller) == (0 if direction == "import_policy" else 51, 0)


def test_an_exception_in_the_codec_costs_the_session_that_it_was_met_on(monkeypatch: pytest.MonkeyPatch) -> None:
    around, teller, other, quiet = three()
    poison = encode_reach(IPV4_UNICAST, [nlri("198.51.100.0/24")], attributes(666), teller.context)[0]

    def decode(body: bytes, context: CodecContext, pool: AttributePool) -> Update:
        if body == poison[19:]:
            raise KeyError("a bug in the codec")
        return decode_update(body, context, pool)

    monkeypatch.setattr("pybgp.session.decode_update", decode)
    announce(other, keys(50))
    announce(teller, [nlri("203.0.113.0/24")])
    around.settle()
    assert told(quiet) == (51, 0)
    teller.receive(poison)
    errors = settle_badly(around)
    assert any("a bug in the codec" in text and poison[19:].hex() in text for text in errors), "with the octets"
    assert not teller.open
    assert other.open
    assert quiet.open
    assert told(quiet) == (0, 1)


# memory


def test_caches_are_bounded_whatever_comes() -> None:
    """Every UPDATE with attributes that nobody has seen before, for the same few prefixes."""
    around, teller, _, quiet = three()
    router = around.router
    count = 60_000
    prefix = nlri("198.51.100.0/24")
    exchange = teller.peer.exchanges.get(IPV4_UNICAST)
    to = quiet.peer.exchanges.get(IPV4_UNICAST)
    assert exchange is not None
    assert to is not None
    assert to.adj_rib_out is not None
    largest = 0
    (template,) = encode_reach(IPV4_UNICAST, [prefix], attributes(0xABCDEF01), teller.context)
    head, tail = template.split(b"\xab\xcd\xef\x01")
    for start in range(0, count, 1000):
        teller.receive(b"".join(head + number.to_bytes(4, "big") + tail for number in range(start, start + 1000)))
        around.settle()
        told(quiet)
        largest = max(largest, router.pool.size)
        assert len(exchange.adj_rib_in._paths) <= adj_rib_in_module.CACHE_LIMIT
        assert len(to.adj_rib_out.export._answers) <= export_module.CACHE_LIMIT
        assert len(to.adj_rib_out.export._pool) <= export_module.CACHE_LIMIT
    assert largest <= 2 * router.pool.limit
    assert len(router.tables.loc_rib(IPV4_UNICAST)) == 1
    assert len(teller.session.offences) == 0
    assert all(one.open for one in around.peers)


def test_what_is_remembered_of_wrong_messages_is_bounded() -> None:
    around, teller, _, quiet = three()
    body = bytes.fromhex("0000 0004 c0080101".replace(" ", "")) + b"\x18\x0a\0\0"  # communities of one octet
    teller.receive(frame(2, body) * 2000)
    around.settle()
    assert teller.open
    assert 0 < len(teller.session.offences) <= 32
    assert quiet.open
