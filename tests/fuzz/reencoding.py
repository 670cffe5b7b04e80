"""Target `reencode`: what a speaker passes on is well formed, whatever came in.

Input: an octet for the session that it comes on, and the body of an UPDATE. A whole router hands it on to internal
and external neighbours with every kind of session; what they get must decode without a fault, must not be longer
than their session allows, and must say what was said, as RFC 4271 section 5 has it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pybgp.errors import ProtocolError
from pybgp.family import IPV4_UNICAST, Family
from pybgp.messages import MessageType, Update
from pybgp.messages.attributes import ROW_OF
from pybgp.messages.attributes.base import Flag
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.framing import HEADER_LENGTH, frame
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_unreach
from pybgp.prefix import NLRI
from tests.fuzz.inputs import ADD_PATH_V4, ADD_PATH_V6, EXTENDED_MESSAGE, FOUR_OCTET_AS, INTERNAL, Octets
from tests.raw_router import FAMILIES, OWN_AS, RawPeer, RawRouter

USED: Final = FOUR_OCTET_AS | INTERNAL | EXTENDED_MESSAGE | ADD_PATH_V4 | ADD_PATH_V6
TRANSITIVE: Final = Flag.OPTIONAL | Flag.TRANSITIVE
Key = tuple[Family, NLRI, int]


class Scene:
    """A router, the neighbour that tells it, and those who are told."""

    def __init__(self, octet: int) -> None:
        self.around = RawRouter()
        extended = (IPV4_UNICAST,)
        self.feeder = self.around.add(
            OWN_AS if octet & INTERNAL else 65001,
            four_octet_as=bool(octet & FOUR_OCTET_AS),
            extended_message=bool(octet & EXTENDED_MESSAGE),
            extended_next_hop=extended,
            add_path_send=FAMILIES if octet & (ADD_PATH_V4 | ADD_PATH_V6) else (),
            ours={"route_reflector_client": bool(octet & INTERNAL)},
        )
        self.observers = [
            self.around.add(extended_next_hop=extended, extended_message=False),
            self.around.add(four_octet_as=False, extended_message=True, add_path_receive=FAMILIES),
            self.around.add(65002, extended_next_hop=extended, extended_message=False, add_path_receive=FAMILIES),
            self.around.add(65003, four_octet_as=False, extended_message=False),
            self.around.add(65004, extended_message=True, ours={"next_hop_self": False}),
        ]
        self.held: list[dict[Key, PathAttributes]] = [{} for _ in self.observers]


@lru_cache(maxsize=64)
def scene(octet: int) -> Scene:
    return Scene(octet)


def check(data: bytes) -> None:
    """Raises AssertionError, or whatever wrongly came out of the router."""
    octets = Octets(data)
    which = octets.octet() & USED
    stage = scene(which)
    try:
        pass_on(stage, octets.rest())
    except BaseException:
        scene.cache_clear()  # the next one shall not suffer for it
        raise


def pass_on(stage: Scene, body: bytes) -> None:
    feeder = stage.feeder
    body = body[: feeder.sends.maximum_length - HEADER_LENGTH]
    try:
        update = decode_update(body, feeder.sends, AttributePool())
    except ProtocolError:
        return  # ends the session: the target `session` looks at that
    feeder.receive(frame(MessageType.UPDATE, body))
    stage.around.settle()
    assert feeder.open, feeder.session.last_error
    fed = {(reach.family, nlri): reach.attributes for reach in update.reach for nlri in reach.nlri}
    for observer, held in zip(stage.observers, stage.held, strict=True):
        for message in observer.updates():
            take(observer, held, message)
        for (family, nlri, _), attributes in held.items():
            assert (family, nlri) in fed, "nobody announced this"
            compare(observer, update, fed[family, nlri], attributes)
    clean(stage, update)


def take(observer: RawPeer, held: dict[Key, PathAttributes], body: bytes) -> None:
    """What one UPDATE means to the observer, after a look at its form."""
    assert HEADER_LENGTH + len(body) <= observer.context.maximum_length, "longer than the session allows"
    told = decode_update(body, observer.context, AttributePool())
    assert not told.faults, told.faults
    codes = [raw.code for raw in told.attributes]
    assert len(codes) == len(set(codes))
    for unreach in told.unreach:
        for at, nlri in enumerate(unreach.nlri):
            held.pop((unreach.family, nlri, unreach.path_ids[at] if unreach.path_ids else 0), None)
    for reach in told.reach:
        assert len(reach.nlri) == len(set(zip(reach.nlri, reach.path_ids or reach.nlri, strict=True)))
        for at, nlri in enumerate(reach.nlri):
            held[reach.family, nlri, reach.path_ids[at] if reach.path_ids else 0] = reach.attributes


def compare(observer: RawPeer, update: Update, fed: PathAttributes, told: PathAttributes) -> None:
    """What was learned and what is told of it (RFC 4271 sections 5 and 5.1)."""
    internal = observer.context.internal
    originals = {}
    for raw in update.attributes:
        originals.setdefault(raw.code, raw)
    for raw in told.unknown:
        original = originals[raw.code]
        assert raw.value == original.value, "an unknown attribute was changed"
        assert raw.flags & (TRANSITIVE | Flag.PARTIAL) == TRANSITIVE | Flag.PARTIAL
    passed = {raw.code for raw in told.unknown}
    for code, raw in originals.items():
        if code not in ROW_OF and raw.flags & TRANSITIVE == TRANSITIVE:
            assert code in passed, "an unknown transitive attribute was lost"
    if isinstance(fed, LabelledAttributes):
        assert isinstance(told, LabelledAttributes)
        assert (told.stack, told.next_hop) == (fed.stack, fed.next_hop[:16]), "a label goes with its own next hop"
    assert told.origin == fed.origin
    assert told.communities == fed.communities
    assert told.large_communities == fed.large_communities
    if internal:
        assert told.local_pref == (100 if fed.local_pref is None else fed.local_pref)
        assert told.med == fed.med
    else:
        assert told.local_pref is None
        assert told.originator_id is None
        assert not told.cluster_list
        assert told.neighbor_as == OWN_AS
    if observer.context.four_octet_as:
        path = fed.as_path if internal else fed.as_path.without_confederation().prepend(OWN_AS)
        assert str(told.as_path) == str(path)
    else:
        assert told.as_path_length == fed.as_path_length + (0 if internal else 1)


def clean(stage: Scene, update: Update) -> None:
    """Withdraw it all: nothing stays anywhere."""
    feeder = stage.feeder
    for reach in update.reach:
        for message in encode_unreach(reach.family, reach.nlri, feeder.context, reach.path_ids):
            feeder.receive(message)
    stage.around.settle()
    for rib in stage.around.router.tables:
        assert len(rib) == 0
    for observer, held in zip(stage.observers, stage.held, strict=True):
        for message in observer.updates():
            take(observer, held, message)
        assert not held, "not withdrawn"
