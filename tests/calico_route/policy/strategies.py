"""Random rules, profiles and policies, small enough that they meet often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TAGS = ("a", "b", "c")
SOURCE_PORTS = (20000, 40000)

nets4 = st.sampled_from(
    ["192.168.0.0/16", "192.168.0.1/32", "192.168.0.2/31", "192.168.0.0/30", "0.0.0.0/0", "10.0.0.0/8"]
)
nets6 = st.sampled_from(["fd00::/64", "fd00::1/128", "fd00::2/127", "::/0", "2001:db8::/32"])
destination_ports = st.lists(
    st.sampled_from([80, 81, "80:81", "81:90", "1:79", 8080, "0:65535"]), min_size=1, max_size=3
)
source_ports = st.lists(
    st.sampled_from(["20000:30000", "30001:65535", "25000:35000", "1:19999"]), min_size=1, max_size=2
)


@st.composite
def v049_rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule of v0.4.9 as its JSON."""
    rule: dict[str, Any] = {}
    if draw(st.booleans()):
        rule["action"] = draw(st.sampled_from(["allow", "allow", "deny"]))
    version = draw(st.sampled_from([4, 6]))
    kind = draw(st.sampled_from(["", "", "tcp", "udp", "icmp", 132]))
    if kind == "icmp":
        rule["protocol"] = "icmp" if version == 4 else "icmpv6"
        if draw(st.booleans()):
            rule["icmp_type"] = draw(st.sampled_from([0, 8, 128]))
            if draw(st.booleans()):
                rule["icmp_code"] = draw(st.sampled_from([0, 1]))
    elif kind:
        rule["protocol"] = kind
        if draw(st.booleans()):
            rule["dst_ports"] = draw(destination_ports)
        if draw(st.integers(0, 3)) == 3:
            rule["src_ports"] = draw(source_ports)
    for side in ("src", "dst"):
        if draw(st.integers(0, 2)) == 2:
            rule[f"{side}_tag"] = draw(st.sampled_from(TAGS))
        if draw(st.integers(0, 3)) == 3:
            rule[f"{side}_net"] = draw(nets4 if version == 4 else nets6)
    if draw(st.integers(0, 6)) == 6:
        rule["ip_version"] = version
    return rule


selectors = st.sampled_from(
    ["a == ''", "has(b)", "!has(a)", "role == 'x'", "role in {'x', 'y'} && !has(c)", "all()", "role != 'x'"]
)


@st.composite
def v3_sides(draw: st.DrawFn, ports: bool) -> dict[str, Any]:
    side: dict[str, Any] = {}
    values: dict[str, st.SearchStrategy[Any]] = {
        "selector": selectors,
        "notSelector": selectors,
        "nets": st.lists(st.one_of(nets4, nets6), min_size=1, max_size=3),
        "notNets": st.lists(st.one_of(nets4, nets6), min_size=1, max_size=2),
    }
    for name in draw(st.lists(st.sampled_from(sorted(values)), unique=True, max_size=2)):
        side[name] = draw(values[name])
    if ports and draw(st.booleans()):
        side[draw(st.sampled_from(["ports", "notPorts"]))] = draw(destination_ports)
    return side


@st.composite
def v3_rules(
    draw: st.DrawFn, actions: tuple[str, ...] = ("Allow", "Allow", "Allow", "Deny", "Pass", "Log")
) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": draw(st.sampled_from(actions))}
    protocol = draw(st.sampled_from(["", "", "", "TCP", "TCP", "UDP", "ICMP", "ICMPv6"]))
    if protocol:
        rule["protocol"] = protocol
    if protocol.startswith("ICMP") and draw(st.booleans()):
        icmp: dict[str, Any] = {"type": draw(st.sampled_from([8, 128, 3]))}
        if draw(st.booleans()):
            icmp["code"] = draw(st.sampled_from([0, 1]))
        rule[draw(st.sampled_from(["icmp", "notICMP"]))] = icmp
    if draw(st.integers(0, 6)) == 6:
        rule["notProtocol"] = draw(st.sampled_from(["TCP", "UDP", 132]))
    if draw(st.integers(0, 6)) == 6:
        rule["ipVersion"] = draw(st.sampled_from([4, 6]))
    rule["source"] = draw(v3_sides(ports=False))
    rule["destination"] = draw(v3_sides(ports=protocol in ("TCP", "UDP")))
    return rule


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """The spec of a policy."""
    spec: dict[str, Any] = {
        "selector": draw(selectors),
        "types": draw(st.sampled_from([["Ingress"], ["Ingress"], ["Egress"], ["Ingress", "Egress"]])),
    }
    spec["order"] = draw(st.sampled_from([None, 1, 2.5]))
    for name in ("ingress", "egress"):
        spec[name] = draw(st.lists(v3_rules(), min_size=1, max_size=5))
    return spec


@st.composite
def clusters(draw: st.DrawFn) -> dict[str, Any]:
    """Profiles p0 to p2, some policies, and what each of four workloads carries."""
    return {
        "profiles": [
            {
                "inbound": draw(st.lists(v049_rules(), min_size=1, max_size=4)),
                "outbound": draw(st.one_of(st.just([{}]), st.lists(v049_rules(), min_size=1, max_size=3))),
                "tags": draw(st.lists(st.sampled_from(TAGS), unique=True, max_size=2)),
            }
            for _ in range(3)
        ],
        "policies": draw(st.lists(policies(), max_size=3)),
        "workloads": [
            {
                "profiles": draw(st.lists(st.sampled_from(["p0", "p1", "p2"]), unique=True, min_size=1, max_size=3)),
                "labels": draw(st.sampled_from([{}, {"role": "x"}, {"role": "y", "a": ""}])),
            }
            for _ in range(4)
        ],
    }
