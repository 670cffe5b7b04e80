"""A speaker's file: what it gives, every error of it at once, and the difference to the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.app.reader import Problem, Problems
from pybgp.app.speaker_file import Difference, SpeakerFile, difference, parse, read
from pybgp.config import PeerConfig, PrefixLimit
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.prefix import Prefix
from pybgp.rib.decision import DecisionRules

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "speaker.toml"
HEAD = '[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\n'
PEER = '[[peer]]\naddress = "192.0.2.2"\npeer_as = 64512\n'
ROUTE = '[[route]]\nprefix = "10.0.0.0/24"\n'


def problems(text: str, folder: Path = Path()) -> list[Problem]:
    with pytest.raises(Problems) as caught:
        parse(text, folder)
    found: list[Problem] = caught.value.problems
    assert str(caught.value) == "\n".join(map(str, found))
    return found


def test_the_example() -> None:
    file = read(EXAMPLE)
    assert file.fixed["local_as"] == 64512
    assert file.fixed["multipath"] == 4
    inner, outer = file.peers["192.0.2.2"], file.peers["2001:db8::ff"]
    assert (inner.config.hold_time, inner.config.local_as, inner.import_policy) == (30, 64512, None)
    assert inner.config.families == (IPV4_UNICAST, IPV6_UNICAST)
    assert (outer.config.ttl_security, outer.import_policy, outer.export_policy) == (1, "from-upstream", "own-blocks")
    assert outer.config.bgp_identifier == 0xC0000201
    assert set(file.routes) == {Prefix("198.51.100.0/24"), Prefix("2001:db8:100::/48"), Prefix("203.0.113.7/32")}
    assert file.routes[Prefix("203.0.113.7/32")].attributes.med == 50
    assert set(file.policies) == {"accept", "reject", "own-blocks", "from-upstream"}


def test_every_setting_of_a_peer() -> None:
    """Each field of PeerConfig has a value here that is not its default, and arrives."""
    text = """
        local_address = "192.0.2.9"
        port = 1179
        local_as = 64513
        passive = true
        keep_confirmed = true
        families = ["ipv4-unicast", "ipv6-unicast"]
        hold_time = 9
        keepalive_time = 2
        connect_retry_time = 1.5
        connect_retry_max = 2.5
        connect_timeout = 3.5
        idle_hold_time = 1
        idle_hold_max = 2.0
        idle_hold_quiet = 7
        delay_open_time = 0.5
        open_hold_time = 60
        send_hold_time = 0
        password = "secret"
        ttl = 3
        graceful_restart = false
        graceful_notification = true
        restart_time = 30
        forwarding_preserved = false
        keep_stale = true
        four_octet_as = false
        route_refresh = false
        enhanced_route_refresh = false
        extended_message = false
        extended_next_hop = ["ipv4-unicast"]
        add_path_receive = ["ipv6-unicast"]
        add_path_send = "ipv4-unicast"
        hostname = "node1"
        route_reflector_client = true
        cluster_id = 5
        next_hop_self = true
        allow_own_as = 1
        description = "all of it"
        add_path_send_limit = 4
        software_version = "router 1"
        role_strict = false
        local_as_no_prepend = true
        local_as_replace = true
        enforce_first_as = false
        as_override = true
        remove_private_as = "all"
        max_prefixes = { ipv4-unicast = 10, ipv6-unicast = { limit = 20, action = "warn" } }
        max_prefixes_out = 30
        graceful_shutdown = true
        honor_graceful_shutdown = false
        blackhole = true
        interface = "eth0"
        group = "g"
    [group.g]
    """
    config = parse(HEAD + PEER.replace("64512", "64513") + text).peers["192.0.2.2"].config
    plain = PeerConfig(address="192.0.2.2", peer_as=64512, local_as=64512, bgp_identifier=0xC0000201)
    same = {name for name in PeerConfig.names() if getattr(config, name) == getattr(plain, name)}
    assert same == {
        *("address", "bgp_identifier", "ttl_security"),
        *("role", "role_strict", "route_server_client", "next_hop_unchanged", "long_lived_stale_time"),
        "long_lived_partial",
    }, "what does not go together with others"
    assert (config.local_as, config.speaker_as) == (64513, 64512)
    assert config.add_path_send == (IPV4_UNICAST,)
    assert "secret" not in repr(parse(HEAD + PEER + text.replace("64513", "64512")))


def test_a_group_gives_its_settings_and_own_ones_win() -> None:
    text = """
    [group.all]
    hold_time = 30
    families = ["ipv4-unicast", "ipv6-unicast"]
    max_prefixes = { ipv4-unicast = 100, ipv6-unicast = { limit = 50, action = "restart", restart_after = 9 } }
    password = "of all"
    import_policy = "reject"

    [group.clients]
    group = "all"
    peer_as = 64512
    hold_time = 60
    route_reflector_client = true
    cluster_id = "192.0.2.9"
    max_prefixes_out = 7

    [[peer]]
    address = "192.0.2.2"
    group = "clients"

    [[peer]]
    address = "192.0.2.3"
    group = "clients"
    families = ["ipv6-unicast"]
    hold_time = 90
    password = "own"
    import_policy = "accept"

    [[peer]]
    address = "192.0.2.4"
    peer_as = 65001
    group = "all"
    """
    one, two, three = parse(HEAD + text).peers.values()
    assert [spec.config.group for spec in (one, two, three)] == ["clients", "clients", "all"]
    assert [spec.config.hold_time for spec in (one, two, three)] == [60, 90, 30]
    assert [spec.config.password for spec in (one, two, three)] == ["of all", "own", "of all"]
    assert [spec.import_policy for spec in (one, two, three)] == ["reject", "accept", "reject"]
    assert [spec.config.peer_as for spec in (one, two, three)] == [64512, 64512, 65001]
    assert one.config.cluster_id == 0xC0000209
    restart = PrefixLimit(limit=50, action="restart", restart_after=9)
    assert dict(one.config.max_prefixes) == {IPV4_UNICAST: PrefixLimit(limit=100), IPV6_UNICAST: restart}
    assert dict(one.config.max_prefixes_out) == {IPV4_UNICAST: 7, IPV6_UNICAST: 7}
    assert dict(two.config.max_prefixes) == {IPV6_UNICAST: restart}, "the rest is for others"
    assert dict(two.config.max_prefixes_out) == {IPV6_UNICAST: 7}
    assert not three.config.route_reflector_client


def test_settings_that_follow_from_a_role() -> None:
    text = PEER.replace("64512", "65001") + 'role = "provider"\nrole_strict = true\nlong_lived_stale_time = 3600\n'
    config = parse(HEAD + text + "next_hop_unchanged = true\nroute_server_client = true\n").peers["192.0.2.2"].config
    assert (config.role, config.role_strict, config.long_lived_stale_time) == ("provider", True, 3600)
    assert config.next_hop_unchanged
    assert config.route_server_client


def test_dynamic_peers() -> None:
    text = """
    [group.racks]
    hold_time = 30
    export_policy = "accept"
    [[listen_for]]
    prefix = "10.0.0.0/8"
    peer_as = [65001, 65002]
    group = "racks"
    maximum = 7
    password = "of racks"
    [[listen_for]]
    prefix = "fe80::/10"
    peer_as = "any"
    interface = "eth0"
    families = ["ipv6-unicast"]
    """
    one, two = parse(HEAD + text).listens.values()
    assert (str(one.prefix), one.peer_as, one.maximum) == ("10.0.0.0/8", {65001, 65002}, 7)
    settings = one.settings()
    assert (settings["hold_time"], settings["password"], settings["group"]) == (30, "of racks", "racks")
    assert not settings.keys() & {"address", "peer_as", "bgp_identifier", "passive"}
    assert (one.import_policy, one.export_policy) == (None, "accept")
    assert (two.peer_as, two.maximum, two.template.interface) == (None, 100, "eth0")
    before = HEAD + text
    found = step_of(before, before.replace("maximum = 7", "maximum = 8"))
    assert ([str(one) for one in found.closed], [one.maximum for one in found.opened]) == (["10.0.0.0/8"], [8])
    found = step_of(before, before.partition("[[listen_for]]")[0])
    assert (len(found.closed), found.opened) == (2, ())
    assert not step_of(before, before + "# words\n")


def step_of(old: str, new: str) -> Difference:
    before = parse(old)
    return difference(before, parse(new, running=before))


def test_a_password_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    file = parse(HEAD + PEER + 'password_file = "key"\n', tmp_path)
    assert file.peers["192.0.2.2"].config.password == "s3cret"
    (missing,) = problems(HEAD + PEER + 'password_file = "other"\n', tmp_path)
    assert (missing.line, missing.key) == (7, "peer[0].password_file")
    both = problems(HEAD + PEER + 'password_file = "key"\npassword = "x"\n', tmp_path)
    assert [problem.key for problem in both] == ["peer[0].password"]


def test_routes_with_attributes() -> None:
    text = """
        [[route]]
        prefixes = ["10.1.0.0/16", "10.2.0.0/16"]
        next_hop = "192.0.2.7"
        origin = "incomplete"
        as_path = [65001, 65002]
        med = 7
        local_pref = 200
        atomic_aggregate = true
        communities = ["65000:1", "no-export"]
        large_communities = ["65000:1:2"]
    """
    routes = parse(HEAD + text).routes
    assert list(routes) == [Prefix("10.1.0.0/16"), Prefix("10.2.0.0/16")]
    spec = routes[Prefix("10.1.0.0/16")]
    assert spec == routes[Prefix("10.2.0.0/16")]
    assert (spec.next_hop, spec.attributes.med, spec.attributes.local_pref) == ("192.0.2.7", 7, 200)
    assert spec.attributes.as_path.origin_as == 65002
    assert len(spec.attributes.communities) == 2


LISTEN = '[[listen_for]]\nprefix = "10.0.0.0/8"\npeer_as = 64512\n'


def test_routes_of_other_families() -> None:
    text = """
        [[route]]
        family = "ipv4-flowspec"
        prefixes = ["destination 10.0.0.0/8 protocol =6"]
        extended_communities = ["traffic-rate:64512:0"]
        [[route]]
        family = "ipv6-labeled-unicast"
        prefix = "2001:db8::/32"
        [[route]]
        prefix = "2001:db8::/32"
    """
    flow, labelled, plain_ = parse(HEAD + text).routes
    assert [str(one.family) for one in (flow, labelled, plain_)] == [
        *("ipv4-flowspec", "ipv6-labeled-unicast", "ipv6-unicast")
    ]
    (problem,) = problems(HEAD + '[[route]]\nfamily = "ipv4-flowspec"\nprefix = "10.0.0.0/8"\n')
    assert (problem.line, problem.key) == (6, "route[0].prefix")
    (problem,) = problems(HEAD + '[[route]]\nfamily = "flowspec"\nprefix = "10.0.0.0/8"\n')
    assert (problem.line, problem.key) == (5, "route[0].family")


# line in the text below HEAD (3 lines), key, words
WRONG: list[tuple[str, int, str, str]] = [
    ("oops = 1\n", 4, "speaker.oops", "no such key"),
    ("port = 65536\n", 4, "speaker.port", "0 to 65535"),
    ("port = true\n", 4, "speaker.port", "whole number"),
    ("multipath = 0\n", 4, "speaker.multipath", "1 to 256"),
    ("[speaker.decision]\nmed = true\n", 5, "speaker.decision.med", "there are always_compare_med"),
    ("[speaker.decision]\nalways_compare_med = 1\n", 5, "speaker.decision.always_compare_med", "true or false"),
    ('listen = ["eth0"]\n', 4, "speaker.listen", "address"),
    ("[unknown]\n", 4, "unknown", "no such key"),
    ("peer = 5\n", 4, "speaker.peer", "no such key"),
    ("[peer]\n", 4, "peer", "a list"),
    (PEER + PEER, 8, "peer[1].address", "is a peer already"),
    (PEER + "holdtime = 3\n", 7, "peer[0].holdtime", "did you mean hold_time"),
    (PEER + "hold_time = 2\n", 7, "peer[0].hold_time", "at least 3"),
    (PEER + "bgp_identifier = 5\n", 7, "peer[0].bgp_identifier", "no such key"),
    (PEER + 'passive = "yes"\n', 7, "peer[0].passive", "true or false"),
    (PEER + 'families = ["ipv5"]\n', 7, "peer[0].families", "ipv5"),
    (PEER + 'families = ["ipv4-multicast"]\n', 7, "peer[0].families", "supported are ipv4-unicast, ipv6-unicast"),
    (PEER + "families = [1]\n", 7, "peer[0].families", "list of texts"),
    (PEER + 'export_policy = "none"\n', 7, "peer[0].export_policy", "accept, reject"),
    (PEER + 'route_reflector_client = "x"\n', 7, "peer[0].route_reflector_client", "true or false"),
    ('[[peer]]\naddress = "192.0.2.2"\n', 4, "peer[0].peer_as", "missing"),
    ("[[peer]]\npeer_as = 5\n", 4, "peer[0].address", "missing"),
    ("[[route]]\n", 4, "route[0].prefix", "missing"),
    ("[[route]]\nprefix = []\n", 5, "route[0].prefix", "no prefix"),
    ('[[route]]\nprefix = "10.0.0.1/8"\n', 5, "route[0].prefix", "host bits"),
    ('[[route]]\nprefixes = ["10.0.0.0/8", "x"]\n', 5, "route[0].prefixes", "'x'"),
    (PEER + 'group = "g"\n', 7, "peer[0].group", "no group has"),
    (PEER + 'group = "h"\n[group.g]\n', 7, "peer[0].group", "no group has"),
    ('[group.g]\ngroup = "h"\n[group.h]\ngroup = "g"\n', 5, "group.g.group", "g is of h is of g"),
    ("[group.g]\nhold_time = 2\n", 5, "group.g.hold_time", "at least 3"),
    ("[group.g]\nhold_time = 2\n" + PEER + 'group = "g"\n', 5, "group.g.hold_time", "at least 3"),
    ('[group.g]\naddress = "192.0.2.1"\n', 5, "group.g.address", "no such key"),
    ('[group.g]\nexport_policy = "x"\n', 5, "group.g.export_policy", "accept, reject"),
    ("group = 5\n", 4, "speaker.group", "no such key"),
    ('[group]\ng = "x"\n', 5, "group.g", "is a table"),
    (PEER + "max_prefixes = true\n", 7, "peer[0].max_prefixes", "a whole number or a table"),
    (PEER + "max_prefixes = -1\n", 7, "peer[0].max_prefixes", "0 to 4294967295"),
    (PEER + "max_prefixes = { ipv6-unicast = 5 }\n", 7, "peer[0].max_prefixes", "not one of the peer's families"),
    (PEER + "max_prefixes = { ipv9 = 5 }\n", 7, "peer[0].max_prefixes", "ipv9"),
    (PEER + "max_prefixes = { ipv4-unicast = true }\n", 7, "peer[0].max_prefixes.ipv4-unicast", "number"),
    (PEER + "[peer.max_prefixes.ipv4-unicast]\nwarn_at = 5\n", 7, "peer[0].max_prefixes.ipv4-unicast.limit", "missing"),
    (
        PEER + '[peer.max_prefixes.ipv4-unicast]\nlimit = 5\naction = "cry"\n',
        9,
        "peer[0].max_prefixes.ipv4-unicast.action",
        "shut, restart, block, warn",
    ),
    (
        PEER + "max_prefixes = { ipv4-unicast = { limit = 5, x = 1 } }\n",
        7,
        "peer[0].max_prefixes.ipv4-unicast.x",
        "key",
    ),
    (PEER + "max_prefixes_out = { ipv4-unicast = -1 }\n", 7, "peer[0].max_prefixes_out.ipv4-unicast", "4294967295"),
    (PEER + 'cluster_id = "x"\n', 7, "peer[0].cluster_id", "address"),
    (PEER + 'cluster_id = "::1"\n', 7, "peer[0].cluster_id", "IPv4"),
    (PEER + 'role = "friend"\n', 7, "peer[0].role", "provider"),
    (PEER + "speaker_as = 5\n", 7, "peer[0].speaker_as", "no such key"),
    ("[[listen_for]]\npeer_as = 5\n", 4, "listen_for[0].prefix", "missing"),
    (LISTEN.replace("peer_as = 64512\n", ""), 4, "listen_for[0].peer_as", "missing"),
    (LISTEN.replace("64512", '"all"'), 6, "listen_for[0].peer_as", '"any"'),
    (LISTEN.replace("10.0.0.0", "10.0.0.1"), 5, "listen_for[0].prefix", "host bits"),
    (LISTEN.replace("10.0.0.0/8", "224.0.0.0/4"), 5, "listen_for[0].prefix", "one host"),
    (LISTEN + LISTEN, 8, "listen_for[1].prefix", "already"),
    (LISTEN + "maximum = 0\n", 7, "listen_for[0].maximum", "1 to 100000"),
    (LISTEN + "passive = false\n", 7, "listen_for[0].passive", "come by themselves"),
    (LISTEN + "hold_time = 1\n", 7, "listen_for[0].hold_time", "at least 3"),
    (LISTEN + 'address = "10.0.0.1"\n', 7, "listen_for[0].address", "no such key"),
    (ROUTE + ROUTE, 7, "route[1].prefix", "there already"),
    (ROUTE + "med = -1\n", 6, "route[0].med", "MED"),
    (ROUTE + "as4_path = [1]\n", 6, "route[0].as4_path", "no such key"),
    (ROUTE + 'next_hop = "me"\n', 6, "route[0].next_hop", "address"),
    ('[[route]]\nprefix = "2001:db8::/32"\nnext_hop = "192.0.2.1"\n', 6, "route[0].next_hop", "IPv6 next hop"),
]


@pytest.mark.parametrize(("text", "line", "key", "words"), WRONG, ids=[key for _text, _line, key, _words in WRONG])
def test_one_error(text: str, line: int, key: str, words: str) -> None:
    (problem,) = problems(HEAD + text)
    assert (problem.line, problem.key) == (line, key)
    assert words in problem.text
    assert str(problem).startswith(f"line {line}: {key}: ")


def test_all_errors_at_once() -> None:
    parts = [text for text, _line, key, _words in WRONG if key.startswith(("peer[0]", "route[0]"))]
    found = problems("[speaker]\n" + "".join(parts).replace(PEER, PEER.replace("192.0.2.2", "192.0.2.3")))
    said = [(problem.key.rpartition(".")[2], problem.text) for problem in found]
    for text, _line, key, words in WRONG:
        if text in parts:
            assert any(key.endswith(name) and words in entry for name, entry in said), key
    assert [problem.text for problem in found[:2]] == ["is missing", "is missing"]
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)


@pytest.mark.parametrize(
    ("text", "line"), [("a = \n", 1), (HEAD + "x = [1,\n", 5), (HEAD + "port = 1\nport = 2\n", 5), ("[a]\n[a]\n", 2)]
)
def test_syntax(text: str, line: int) -> None:
    (problem,) = problems(text)
    assert problem.line == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "9" * 5000, "4300 digits"),
        ("x = " + "[" * 100_000, "too deep"),
        ("x = " + "{a = " * 3000, "too deep"),
        ("a" + ".a" * 3000 + " = 1", "no such key"),
        ("[" + "a." * 3000 + "a]\nx = 1", "no such key"),
        (HEAD + "port = 0x" + "f" * 6000, "line 4: speaker.port: TOML has numbers of 64 bits"),
        (HEAD + f"{PEER}hold_time = {1 << 63}", "line 7: peer[0].hold_time: TOML has numbers"),
        ("\0", "Invalid statement"),
    ],
    ids=range(8),
)
def test_what_is_too_much(text: str, words: str) -> None:
    assert words in "\n".join(map(str, problems(text)))


def test_no_text_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(b"[speaker]\nx = '\xff'\n")
    with pytest.raises(Problems) as caught:
        read(path)
    assert str(caught.value) == "line 2: the file is not UTF-8"
    with pytest.raises(OSError, match="No such file"):
        read(tmp_path / "other.toml")


plain = st.recursive(
    st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text("ab:1.", max_size=4),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
NAMES = sorted(
    PeerConfig.names()
    | {
        "peer_as",
        "maximum",
        "limit",
        "import_policy",
        "password_file",
        "med",
        "as_path",
        "prefix",
        "next_hop",
        "listen",
    }
)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["[peer]", "[route]", "[listen_for]", "group.g"]),
            st.dictionaries(st.sampled_from(NAMES), plain),
        )
    )
)
@settings(deadline=None)
def test_any_values_are_settings_or_problems(tables: list[tuple[str, dict[str, Any]]]) -> None:
    text = HEAD
    for name, values in tables:
        text += f"[{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in values.items())
    try:
        parse(text)
    except Problems as error:
        last = text.count("\n")
        assert all(1 <= problem.line <= last and problem.text for problem in error.problems)


# differences


def step(old: str, new: str) -> Difference:
    return step_of(HEAD + old, HEAD + new)


POLICY = '[policy.p]\ndefault = "accept"\n'


@pytest.mark.parametrize("text", ["", PEER, ROUTE, PEER + 'import_policy = "p"\n' + POLICY, EXAMPLE.read_text()])
def test_the_same_file_changes_nothing(text: str) -> None:
    file = parse(text if "[speaker]" in text else HEAD + text)
    again = parse("# a comment\n" + text if "[speaker]" in text else HEAD + text)
    assert not difference(file, again)


def test_order_and_spelling_change_nothing() -> None:
    other = '[[peer]]\npeer_as = 64512\naddress = "2001:DB8::2"\n'
    same = '[[peer]]\naddress = "2001:db8:0::2"\npeer_as = 64512\nhold_time = 90\n'
    assert not step(ROUTE + other, same + ROUTE + 'next_hop = "self"\n')


def test_peers() -> None:
    other = PEER.replace("0.2.2", "0.2.3")
    found = step(PEER, other)
    assert found.gone == ("192.0.2.2",)
    assert [peer.config.address for peer in found.new] == ["192.0.2.3"]
    assert (found.changed, found.announced, found.withdrawn, found.restart) == ((), (), (), ())
    ((peer, names),) = step(PEER + other, PEER + "hold_time = 30\npassive = true\n" + other).changed
    assert (peer.config.address, set(names)) == ("192.0.2.2", {"hold_time", "passive"})


def test_policies() -> None:
    user = PEER + 'import_policy = "p"\nexport_policy = "accept"\n'
    other = PEER.replace("0.2.2", "0.2.3")
    ((peer, names),) = step(user + other + POLICY, user + other + POLICY.replace('"accept"', '"reject"')).changed
    assert (peer.config.address, set(names)) == ("192.0.2.2", {"import_policy"})
    ((peer, names),) = step(user + POLICY, user.replace('"p"', '"reject"') + POLICY).changed
    assert names == {"import_policy"}
    assert not step(PEER + POLICY, PEER + POLICY.replace('"accept"', '"reject"')), "nobody uses it"


def test_the_policy_of_the_speaker_is_that_of_its_peers() -> None:
    named = 'import_policy = "reject"\n'
    own = PEER.replace("0.2.2", "0.2.3") + 'import_policy = "accept"\n'
    ((peer, names),) = step(PEER + own, named + PEER + own).changed
    assert (peer.config.address, set(names)) == ("192.0.2.2", {"import_policy"})


def test_routes() -> None:
    more = ROUTE.replace("10.0.0", "10.0.1") + "med = 5\n"
    found = step(ROUTE, more + more.replace("0.1", "0.2"))
    assert found.withdrawn == (Prefix("10.0.0.0/24"),)
    ((spec, prefixes),) = found.announced
    assert spec.attributes.med == 5
    assert prefixes == (Prefix("10.0.1.0/24"), Prefix("10.0.2.0/24"))
    ((spec, prefixes),) = step(ROUTE + more, ROUTE + more.replace("5", "6")).announced
    assert prefixes == (Prefix("10.0.1.0/24"),)


def test_the_rules_of_the_decision() -> None:
    text = "[speaker.decision]\nalways_compare_med = true\ncompare_router_id = false\n"
    rules = parse(HEAD + text).fixed["decision"]
    assert rules == DecisionRules(always_compare_med=True, compare_router_id=False)
    assert step(text, text.replace("false", "true")).restart == ("decision",)


def test_what_needs_a_new_start_touches_no_peer() -> None:
    """The running speaker keeps its AS and Identifier, and so do its sessions."""
    before = parse(HEAD + PEER)
    after = parse(HEAD.replace("64512", "65000").replace("0.2.1", "0.2.9") + "port = 1790\n" + PEER, running=before)
    found = difference(before, after)
    assert set(found.restart) == {"local_as", "bgp_identifier", "port"}
    assert found.changed == ()
    assert isinstance(after, SpeakerFile)


def test_a_change_of_a_group_is_one_of_its_peers() -> None:
    group = '[group.g]\nhold_time = 30\nimport_policy = "accept"\n'
    own = PEER.replace("0.2.2", "0.2.3") + 'group = "g"\nhold_time = 9\n'
    text = group + PEER + 'group = "g"\n' + own + PEER.replace("0.2.2", "0.2.4")
    ((peer, names),) = step(text, text.replace("hold_time = 30", "hold_time = 60")).changed
    assert (peer.config.address, names) == ("192.0.2.2", {"hold_time"}), "the other one has its own"
    changed = {peer.config.address: names for peer, names in step(text, text.replace('"accept"', '"reject"')).changed}
    assert changed == {"192.0.2.2": {"import_policy"}, "192.0.2.3": {"import_policy"}}
    changed = {
        peer.config.address: names for peer, names in step(text, text.replace("g]", "h]").replace('"g"', '"h"')).changed
    }
    assert changed == {"192.0.2.2": {"group"}, "192.0.2.3": {"group"}}
