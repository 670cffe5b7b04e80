"""Results and errors of a plug-in in the words of the CNI specification (sections 2 and 5)."""

from __future__ import annotations

VERSIONS = ("0.4.0", "1.0.0", "1.1.0")
NEWEST = VERSIONS[-1]
HOST_MAC = "ee:ee:ee:ee:ee:ee"

INCOMPATIBLE, UNSUPPORTED_FIELD, UNKNOWN_CONTAINER, BAD_ENVIRONMENT = 1, 2, 3, 4
IO_FAILURE, UNDECODABLE, BAD_CONFIGURATION, TRY_LATER = 5, 6, 7, 11
NOT_AVAILABLE = 50
INTERNAL = 100
"""From here on the plug-in's own."""

CODES = {
    "invalid": BAD_CONFIGURATION,
    "no-netns": BAD_ENVIRONMENT,
    "unknown": UNKNOWN_CONTAINER,
    "busy": TRY_LATER,
    "unavailable": TRY_LATER,
    "internal": INTERNAL,
    "taken": 101,
    "full": 102,
    "outside": 103,
    "reserved": 104,
    "unknown-profile": 105,
    "differs": 106,
}
"""By the agent's word."""


class CniError(Exception):
    """What the runtime is told: a code of the specification, a short message, and more for a person."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details

    def document(self, version: str) -> dict[str, object]:
        return {"cniVersion": version, "code": self.code, "msg": self.message, "details": self.details}


def added(
    version: str, workload: dict[str, object], netns: str, previous: dict[str, object] | None, dns: object
) -> dict[str, object]:
    """The result of an ADD: that of the plug-in before, if any, and ours."""
    before = previous or {}
    interfaces = [*_list(before, "interfaces")]
    interfaces.append({"name": workload["host_interface"], "mac": HOST_MAC})
    interfaces.append({"name": workload["interface"], "mac": workload["mac"], "sandbox": netns})
    ips, routes = [*_list(before, "ips")], [*_list(before, "routes")]
    gateways = {False: workload["gateway"], True: workload["gateway6"]}
    addresses = [str(address) for address in _list(workload, "addresses")]
    for address in addresses:
        six = ":" in address
        ip: dict[str, object] = {"address": f"{address}/{128 if six else 32}", "gateway": gateways[six]}
        ip["interface"] = len(interfaces) - 1
        if version == "0.4.0":
            ip["version"] = "6" if six else "4"
        ips.append(ip)
    for six, everywhere in ((False, "0.0.0.0/0"), (True, "::/0")):
        if any((":" in address) == six for address in addresses):
            routes.append({"dst": everywhere, "gw": gateways[six]})
    settings = dns if isinstance(dns, dict) and dns else before.get("dns") or {}
    return {"cniVersion": version, "interfaces": interfaces, "ips": ips, "routes": routes, "dns": settings}


def _list(document: dict[str, object], name: str) -> list[object]:
    found = document.get(name)
    return found if isinstance(found, list) else []


def addresses_in(result: dict[str, object], interface: str) -> set[str]:
    """The addresses that a result gives to an interface of the container."""
    names = [one.get("name") if isinstance(one, dict) else None for one in _list(result, "interfaces")]
    found = set()
    for ip in _list(result, "ips"):
        index = ip.get("interface") if isinstance(ip, dict) else None
        if isinstance(index, int) and 0 <= index < len(names) and names[index] == interface:
            found.add(str(ip.get("address", "")).partition("/")[0] if isinstance(ip, dict) else "")
    return found
