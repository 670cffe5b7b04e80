"""The layers of docs/architecture.md, held by walking every import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pybgp

ROOT = Path(__file__).parent.parent
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "family", "prefix", "config", "version"),
    ("messages",),
    ("fsm", "rib"),
    ("policy", "session", "happenings"),
    (
        "peer",
        "connections",
        "router",
        "events",
        "exchange",
        "explanation",
        "exchanges",
        "graceful_restart",
        "jobs",
        "listing",
        "prefix_limit",
        "groups",
        "dynamic",
        "tables",
    ),
    (
        *("transport", "tcp_options", "speaker", "subscription", "snapshot", "pacing"),
        *("control", "journal", "link", "link_local", "listening", "local_socket", "shell"),
    ),
    ("app", "__main__"),
)
IO = {"asyncio", "socket", "select", "selectors", "ssl", "time", "os", "random", "threading", "subprocess"}
FIRST_WITH_IO = 5
THIRD_PARTY = {
    "netaddr": {"pybgp/prefix.py", "calico_route"},
    "pyroute2": {"calico_route/kernel", "calico_route/workload"},
    "prometheus_client": {"calico_route/metrics"},
    "aioetcd3": {"calico_route/etcd"},
    "aiogrpc": {"calico_route/etcd"},
    "grpc": {"calico_route/etcd"},
    "google": {"calico_route/etcd"},
    "yaml": {"calico_route"},
    "typer": {"calico_route/commands"},
}

NODE_PACKAGES: tuple[tuple[str, ...], ...] = (("policy", "ipam"), ("workload",), ("docker",), ("node",), ("commands",))
"""Of calico_route, what `calico-route node` adds to the agent, from below; the agent knows nothing of them."""
ALL_ABOVE_THE_AGENT = {name for names in NODE_PACKAGES for name in names} | {"cni"}
DISPATCH = {"calico_route.__main__"}  # looks at the first word of the command line
PORTS = "calico_route.workload.ports"  # protocols alone: for whoever implements them


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            if module == "pybgp" or node.module is None:
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def layer(module: str) -> int:
    """The layer of `pybgp.x…` by its second name; -1 for the package itself."""
    parts = module.split(".")
    if len(parts) < 2 or parts[1] not in {name for names in LAYERS for name in names}:
        return -1
    return next(number for number, names in enumerate(LAYERS) if parts[1] in names)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", files("pybgp"), ids=module_of)
def test_pybgp_imports_go_downward(path: Path) -> None:
    module = module_of(path)
    own = layer(module)
    assert own >= 0 or module == "pybgp", f"{module} has no layer: enter it in LAYERS"
    for imported in imports(path):
        if imported.split(".")[0] == "pybgp" and module != "pybgp":
            theirs = layer(imported)
            assert theirs >= 0, f"{module} imports {imported}"
            assert theirs <= own, f"{module} imports {imported}, which is above it"
            pair = {module.split(".")[1], imported.split(".")[1]}
            assert pair != {"fsm", "rib"}, f"{module} imports {imported}"
        if 0 <= own < FIRST_WITH_IO and not module.endswith("__main__"):
            assert imported.split(".")[0] not in IO, f"{module} is sans-I/O and imports {imported}"


@pytest.mark.parametrize("path", files("calico_route"), ids=module_of)
def test_calico_route_uses_the_public_names(path: Path) -> None:
    """Those of pybgp, and of pybgp.policy, which docs/embedding.md shows."""
    public = {"pybgp": pybgp.__all__, "pybgp.policy": pybgp.policy.__all__}
    for imported in imports(path):
        if imported.split(".")[0] == "pybgp":
            module, _, name = imported.rpartition(".")
            assert module in public, f"{path.name} imports from inside of pybgp: {imported}"
            assert name in public[module] or imported in public, f"{path.name} imports {imported}"


def node_layer(module: str) -> int:
    """The layer of `calico_route.x…`; -1 for the agent's."""
    name = [*module.split("."), "", ""][1]
    return next((number for number, names in enumerate(NODE_PACKAGES) if name in names), -1)


@pytest.mark.parametrize("path", files("calico_route"), ids=module_of)
def test_the_agent_knows_nothing_of_containers(path: Path) -> None:
    """And what it has beside it is in layers, too."""
    module = module_of(path)
    parts = module.split(".")
    own = parts[1] if len(parts) > 1 else ""
    for imported in imports(path):
        theirs = [*imported.split("."), "", ""][1] if imported.startswith("calico_route.") else ""
        if theirs not in ALL_ABOVE_THE_AGENT or theirs == own or module in DISPATCH or imported.startswith(PORTS):
            continue
        assert own in ALL_ABOVE_THE_AGENT, f"{module} imports {imported}"
        assert theirs != "cni", f"{module} imports {imported}: it is a program of its own"
        assert node_layer(imported) < node_layer(module), f"{module} imports {imported}"


@pytest.mark.parametrize("path", files("calico_route/cni"), ids=module_of)
def test_the_plug_in_needs_python_alone(path: Path) -> None:
    for imported in imports(path):
        first = imported.split(".")[0]
        assert first in sys.stdlib_module_names or imported.startswith("calico_route.cni"), f"{path}: {imported}"


@pytest.mark.parametrize("path", files("pybgp") + files("calico_route"), ids=module_of)
def test_other_packages_stay_at_their_edge(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    for imported in imports(path):
        allowed = THIRD_PARTY.get(imported.split(".")[0])
        if allowed is not None:
            assert any(place.startswith(edge) for edge in allowed), f"{place} imports {imported}"


@pytest.mark.parametrize("path", files("pybgp") + files("calico_route") + files("demo"), ids=module_of)
def test_a_file_stays_one_thing(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500
    assert path.stem not in {"utils", "util", "helpers", "manager", "common", "misc"}


@pytest.mark.parametrize("path", files("pybgp"), ids=module_of)
def test_a_library_leaves_the_log_to_the_program(path: Path) -> None:
    """It may write to its loggers; handlers, levels and formats are the program's."""
    if layer(module_of(path)) == len(LAYERS) - 1:
        return
    assert "logging.config" not in imports(path)
    names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not names & {"basicConfig", "dictConfig", "fileConfig", "addHandler", "setLevel"}


def test_no_type_checking_imports() -> None:
    """A needed one would say that a layer is wrong."""
    guilty = [str(path) for path in files("pybgp") + files("calico_route") if "TYPE_CHECKING" in path.read_text()]
    assert guilty == []
