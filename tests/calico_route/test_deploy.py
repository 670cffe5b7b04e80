"""What is installed beside the program: the dashboard asks for metrics that there are, manifests for what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import ValidationError, validate

from calico_route.flags import SOCKET_DIRECTORY, parser
from calico_route.metrics.families import exposition
from tests.calico_route.cluster import cluster, until

DEPLOY = Path("deploy")

VERSIONS = ("1.27", "1.31", "1.36")  # of Kubernetes, whose published schemas the manifests have to fit


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "daemonset.yaml").read_text()))


async def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    async with cluster("ab") as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: a.agent.mesh.speaker is not None)
        lines = exposition(a.agent, per_peer=True).decode().splitlines()
    samples = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    asked = {name for panel in board["panels"] for target in panel["targets"] for name in names(target["expr"])}
    assert asked <= samples, asked - samples
    assert len(asked) > 12
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in board["panels"]]
    assert all(x + w <= 24 for x, _, w, _ in places)


def names(expression: str) -> list[str]:
    return re.findall(r"calico_route_\w+", expression)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_fit_the_published_schemas(version: str) -> None:
    """Strictly: a field that there is not is an error."""
    for one in manifests():
        assert validate(one, version, strict=True)
    patch = yaml.safe_load((DEPLOY / "calico-node-probes.yaml").read_text())
    patched = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "calico-node"}, **patch}
    labels = {"k8s-app": "calico-node"}
    patched["spec"]["selector"] = {"matchLabels": labels}  # which the object that is patched has
    patched["spec"]["template"]["metadata"] = {"labels": labels}
    assert validate(patched, version, strict=True)
    patched["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(ValidationError, match="livenessprobe"):
        validate(patched, version, strict=True)


def test_the_daemonset_fits_itself_and_the_agent() -> None:
    account, daemonset = manifests()
    assert (account["kind"], daemonset["apiVersion"], daemonset["kind"]) == ("ServiceAccount", "apps/v1", "DaemonSet")
    labels = daemonset["spec"]["template"]["metadata"]["labels"]
    assert daemonset["spec"]["selector"]["matchLabels"].items() <= labels.items()
    pod = daemonset["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["hostNetwork"]
    (container,) = pod["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_BIND_SERVICE"]}
    volumes = {volume["name"] for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) == volumes
    flags = parser().parse_args(container["args"])
    assert (flags.announce, flags.workloads_from, flags.secrets_dir) == ("blocks", "kernel", "/secrets")
    # What the agent writes is on a volume: its root is read-only.
    for path in (flags.bird_socket, flags.bird6_socket, flags.state_dir + "/x", f"{SOCKET_DIRECTORY}/x"):
        assert str(Path(path).parent) in mounts, path
    address, _, port = flags.metrics.partition(":")
    for probe in ("livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert (asked["host"], str(asked["port"])) == (address, port)
        assert asked["path"] in ("/healthz", "/readyz")


def test_the_dockerfile_copies_what_there_is_and_starts_as_an_ordinary_user() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    for what, rest in steps:
        if what == "COPY":
            assert all(Path(name).exists() for name in rest.split()[:-1])
            assert all(f"!{name}" in Path(".dockerignore").read_text().split() for name in rest.split()[:-1])
    kinds = [what for what, _ in steps]
    assert kinds.index("USER") < kinds.index("ENTRYPOINT")
    assert dict(steps)["USER"] == "calico-route"
    assert parser().parse_args(json.loads(dict(steps)["CMD"])).peer_from_etcd == ""
