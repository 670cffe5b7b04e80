"""What our OPEN says of roles, versions and long-lived graceful restart, and which roles fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pybgp.errors import RoleMismatch
from pybgp.fsm.actions import DownReason
from pybgp.fsm.negotiation import make_open, negotiate
from pybgp.messages import Open
from pybgp.messages.capabilities import LongLivedGracefulRestart, Role, SoftwareVersion
from tests.fsm.making import mirrored, settings


def test_capabilities_that_have_to_be_asked_for() -> None:
    config = settings(peer_as=65001, role="provider", software_version="x 1", long_lived_stale_time=60)
    mine = make_open(config).capabilities
    assert Role.named("provider") in mine
    assert SoftwareVersion("x 1") in mine
    (long_lived,) = [one for one in mine if isinstance(one, LongLivedGracefulRestart)]
    assert [stale_time for _family, _kept, stale_time in long_lived.families] == [60] * len(config.families)
    kinds = {type(one) for one in make_open(settings()).capabilities}
    assert kinds.isdisjoint({Role, SoftwareVersion, LongLivedGracefulRestart})


PAIRS = {"provider": "customer", "customer": "provider", "rs": "rs-client", "rs-client": "rs", "peer": "peer"}


@pytest.mark.parametrize("ours", PAIRS)
@pytest.mark.parametrize("theirs", PAIRS)
def test_roles(ours: str, theirs: str) -> None:
    """RFC 9234 section 4.2, table 2."""
    config = settings(peer_as=65001, role=ours)
    mine, other = make_open(config), make_open(mirrored(config, role=theirs))
    if PAIRS[ours] == theirs:
        assert negotiate(mine, other, config).peer_as == 65001
        return
    with pytest.raises(RoleMismatch, match="it should be") as raised:
        negotiate(mine, other, config)
    assert raised.value.section == "RFC 9234 4.2"


def test_a_strict_role_asks_for_the_peers_and_several_are_none() -> None:
    config = settings(peer_as=65001, role="peer", role_strict=True)
    silent = make_open(mirrored(config, role=None, role_strict=False))
    with pytest.raises(RoleMismatch, match="names none"):
        negotiate(make_open(config), silent, config)
    lax = settings(peer_as=65001, role="peer")
    assert negotiate(make_open(lax), silent, lax).peer_as == 65001
    several: Open = replace(silent, capabilities=(*silent.capabilities, Role.named("peer"), Role.named("rs")))
    with pytest.raises(RoleMismatch, match="several roles"):
        negotiate(make_open(lax), several, lax)


def test_a_reason_is_its_words() -> None:
    assert str(DownReason("gone fishing")) == "gone fishing"
