"""What is installed beside the program: the dashboard asks for metrics that there are, manifests for what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from calico_route.flags import parser
from calico_route.metrics.families import exposition
from tests.calico_route.cluster import cluster, until

DEPLOY = Path("deploy")

# Fields of the published schemas (Kubernetes 1.31) of what the manifests use, by the path that leads to an object.
KNOWN = {
    "container": "name image args env securityContext livenessProbe readinessProbe resources volumeMounts",
    "pod": "serviceAccountName automountServiceAccountToken hostNetwork dnsPolicy priorityClassName nodeSelector "
    "terminationGracePeriodSeconds tolerations containers volumes",
    "securityContext": "runAsUser allowPrivilegeEscalation readOnlyRootFilesystem capabilities",
    "probe": "httpGet exec periodSeconds failureThreshold initialDelaySeconds timeoutSeconds successThreshold",
    "daemonset": "selector updateStrategy template minReadySeconds revisionHistoryLimit",
    "env": "name value valueFrom",
    "mount": "name mountPath readOnly subPath",
}


def unknown(kind: str, value: dict[str, Any]) -> set[str]:
    return set(value) - set(KNOWN[kind].split())


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


def test_the_daemonset_has_known_fields_and_flags_that_there_are() -> None:
    account, daemonset = manifests()
    assert (account["kind"], daemonset["apiVersion"], daemonset["kind"]) == ("ServiceAccount", "apps/v1", "DaemonSet")
    assert not unknown("daemonset", daemonset["spec"])
    labels = daemonset["spec"]["template"]["metadata"]["labels"]
    assert daemonset["spec"]["selector"]["matchLabels"].items() <= labels.items()
    pod = daemonset["spec"]["template"]["spec"]
    assert not unknown("pod", pod)
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    (container,) = pod["containers"]
    assert not unknown("container", container)
    assert not unknown("securityContext", container["securityContext"])
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_BIND_SERVICE"]}
    for probe in ("livenessProbe", "readinessProbe"):
        assert not unknown("probe", container[probe])
    volumes = {volume["name"] for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        assert not unknown("mount", mount)
        assert mount["name"] in volumes
    assert all(not unknown("env", one) for one in container["env"])
    flags = parser().parse_args(container["args"])
    assert (flags.announce, flags.workloads_from, flags.secrets_dir) == ("blocks", "kernel", "/secrets")
    patch = yaml.safe_load((DEPLOY / "calico-node-probes.yaml").read_text())
    (patched,) = patch["spec"]["template"]["spec"]["containers"]
    assert not unknown("container", patched)


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
