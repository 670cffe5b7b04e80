"""Prefixes that are to be ignored, and those next to them."""

from __future__ import annotations

import pytest

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.prefix import parse_nlri
from pybgp.rib.martians import martians

NOWHERE = ["127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "239.255.255.255/32", "240.0.0.0/4", "255.255.255.255/32"]
NOWHERE_6 = ["ff00::/8", "ff02::1/128", "::1/128", "::/128"]
FINE = ["0.0.0.0/0", "10.127.224.0/24", "126.0.0.0/8", "126.0.0.0/7", "128.0.0.0/1", "224.0.0.0/3", "223.255.255.0/24"]
FINE_6 = ["::/0", "2001:db8:ff::/48", "fe00::/7", "2000::/3", "::2/128"]


@pytest.mark.parametrize(("nowhere", "fine"), [(NOWHERE, FINE), (NOWHERE_6, FINE_6)], ids=["ipv4", "ipv6"])
def test_martians(nowhere: list[str], fine: list[str]) -> None:
    family = parse_nlri(fine[0])[0]
    bad, good = [parse_nlri(text)[1] for text in nowhere], [parse_nlri(text)[1] for text in fine]
    assert martians(family, good) == []
    assert sorted(martians(family, good + bad)) == sorted(bad)
    assert martians(Family(family.afi, 128), bad) == []
    assert martians(family, []) == []


def test_families_do_not_mix() -> None:
    assert martians(IPV6_UNICAST, [parse_nlri("e000::/8")[1], parse_nlri("7f00::/8")[1]]) == []
    assert martians(IPV4_UNICAST, [parse_nlri("223.0.0.0/8")[1]]) == []
