"""What a network's configuration, the runtime and CNI_ARGS ask for."""

from __future__ import annotations

from .result import BAD_CONFIGURATION, BAD_ENVIRONMENT, INCOMPATIBLE, UNDECODABLE, UNSUPPORTED_FIELD, VERSIONS, CniError

OURS = {"socket", "nodename", "profiles", "pools", "labels", "mtu", "ipam"}
OF_CNI = {"cniVersion", "cniVersions", "name", "type", "args", "capabilities", "runtimeConfig", "prevResult", "dns"}
OF_CNI |= {"disableCheck", "disableGC", "loadOnlyInlinedPlugins", "ipMasq"}
OF_IPAM = {"type", "pools", "ipv4_pools", "ipv6_pools", "assign_ipv4", "assign_ipv6"}
IPAM_TYPES = (None, "", "calico-route", "calico-ipam")
ARGS = {"IgnoreUnknown", "IP", "MAC", "CALICO_IP", "CALICO_PROFILE"}


def version_of(configuration: object) -> str:
    """Its cniVersion. CniError for a configuration that is none, or of a version that we do not speak."""
    if not isinstance(configuration, dict):
        raise CniError(UNDECODABLE, "the network configuration is no JSON object", "it is expected on standard input")
    version = configuration.get("cniVersion")
    if version not in VERSIONS:
        words = f"this plug-in speaks {', '.join(VERSIONS)}"
        raise CniError(INCOMPATIBLE, f"incompatible CNI version {version!r}", words)
    return str(version)


def name_of(configuration: dict[str, object]) -> str:
    name = configuration.get("name")
    if not isinstance(name, str) or not name:
        raise CniError(BAD_CONFIGURATION, "the network has no name")
    return name


def read_args(text: str) -> dict[str, str]:
    """CNI_ARGS: `KEY=VALUE;KEY=VALUE`."""
    found = {}
    for part in filter(None, text.split(";")):
        name, equals, value = part.partition("=")
        if not equals:
            raise CniError(BAD_ENVIRONMENT, f"CNI_ARGS: {part!r} is not KEY=VALUE")
        found[name] = value
    unknown = sorted(name for name in found.keys() - ARGS if not name.startswith("K8S_"))
    if unknown and found.get("IgnoreUnknown", "").lower() not in ("1", "true"):
        raise CniError(BAD_ENVIRONMENT, f"CNI_ARGS: unknown {', '.join(unknown)}", f"known: {', '.join(sorted(ARGS))}")
    return found


def request_of(configuration: dict[str, object], args: dict[str, str]) -> dict[str, object]:
    """The members of an `add` that do not come from the environment. CniError for what cannot be meant."""
    _check(configuration)
    name = name_of(configuration)
    ipam = _object(configuration, "ipam")
    runtime = _object(configuration, "runtimeConfig")
    conventions = _object(_object(configuration, "args"), "cni")
    request: dict[str, object] = {
        "network": name,
        "orchestrator": "cni",
        # Without any, the workloads of one network reach each other, and everything: as Calico's own plug-in has it.
        "profiles": _texts(configuration, "profiles") if "profiles" in configuration else [name],
        "pools": [*_texts(configuration, "pools"), *_pools(ipam)],
        "addresses": _word(ipam),
        "labels": {**_labels(conventions.get("labels")), **_object(configuration, "labels")},
    }
    if "mtu" in configuration:
        request["mtu"] = configuration["mtu"]
    wanted = _texts(runtime, "ips") or _texts(conventions, "ips")
    for text in (args.get("IP"), args.get("CALICO_IP")):
        wanted = text.split(",") if text else wanted
    if wanted:
        automatic = len(wanted) == 1 and wanted[0].lower().startswith("auto")
        request["addresses"] = wanted[0] if automatic else [one.strip().partition("/")[0] for one in wanted]
    if args.get("CALICO_PROFILE"):
        request["profiles"] = [one.strip() for one in args["CALICO_PROFILE"].split(",") if one.strip()]
    mac = args.get("MAC") or runtime.get("mac") or conventions.get("mac")
    if mac:
        request["mac"] = mac
    if args.get("K8S_POD_NAME"):
        request["name"] = args["K8S_POD_NAME"]  # podman gives a container's name so
    return request


def _check(configuration: dict[str, object]) -> None:
    for name, value in configuration.items():
        known = name in OURS or name in OF_CNI or name.startswith("cni.dev/")
        if not known or (name == "ipMasq" and value):
            words = "this plug-in does not translate addresses" if known else f"there are {', '.join(sorted(OURS))}"
            raise CniError(UNSUPPORTED_FIELD, f"unsupported field {name!r}: {value!r}", words)
    ipam = _object(configuration, "ipam")
    if ipam.get("type") not in IPAM_TYPES:
        words = "addresses come from Calico's pools: leave ipam away, or give the type calico-route"
        raise CniError(UNSUPPORTED_FIELD, f"unsupported field 'ipam': type {ipam.get('type')!r}", words)
    for name, value in ipam.items():
        if name not in OF_IPAM:
            words = f"there are {', '.join(sorted(OF_IPAM))}"
            raise CniError(UNSUPPORTED_FIELD, f"unsupported field 'ipam.{name}': {value!r}", words)


def _pools(ipam: dict[str, object]) -> list[str]:
    return [*_texts(ipam, "pools"), *_texts(ipam, "ipv4_pools"), *_texts(ipam, "ipv6_pools")]


def _word(ipam: dict[str, object]) -> str:
    four, six = _flag(ipam, "assign_ipv4", True), _flag(ipam, "assign_ipv6", False)
    if not four and not six:
        raise CniError(BAD_CONFIGURATION, "ipam: neither an IPv4 nor an IPv6 address is to be assigned")
    return "auto46" if four and six else "auto4" if four else "auto6"


def _flag(document: dict[str, object], name: str, default: bool) -> bool:
    value = document.get(name, default)
    if isinstance(value, str) and value.lower() in ("true", "false"):  # so Calico's plug-in has them
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise CniError(BAD_CONFIGURATION, f"{name} must be true or false, and is {value!r}")
    return value


def _object(document: dict[str, object], name: str) -> dict[str, object]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CniError(BAD_CONFIGURATION, f"{name} must be an object, and is {value!r}")
    return value


def _texts(document: dict[str, object], name: str) -> list[str]:
    value = document.get(name)
    if value is None:
        return []
    if isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise CniError(BAD_CONFIGURATION, f"{name} must be a list of texts, and is {value!r}")
    return value


def _labels(value: object) -> dict[str, object]:
    """`[{"key": …, "value": …}]`, as the conventions of CNI have labels."""
    if value is None:
        return {}
    if not isinstance(value, list) or not all(isinstance(one, dict) and "key" in one for one in value):
        raise CniError(BAD_CONFIGURATION, f"args.cni.labels must be a list of keys and values, and is {value!r}")
    return {str(one["key"]): one.get("value", "") for one in value}
