"""The metrics of an agent: in aggregate, and by choice of each session."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from calico_route.agent import Agent
from calico_route.kernel import ProblemKind
from pybgp import PeerSnapshot, State, __version__

from .readiness import obstacles

_FAMILIES = {1: "ipv4", 2: "ipv6"}


def exposition(agent: Agent, *, per_peer: bool) -> bytes:
    """The metrics as OpenMetrics text."""
    made: bytes = generate_latest(AgentCollector(agent, per_peer=per_peer))  # type: ignore[no-untyped-call]
    return made


class AgentCollector(Collector):
    """Looks at the agent when it is asked."""

    def __init__(self, agent: Agent, *, per_peer: bool) -> None:
        self._agent = agent
        self._per_peer = per_peer

    def collect(self) -> Iterator[Metric]:
        agent = self._agent
        snapshots = agent.mesh.snapshots()
        labels = {"version": __version__, "node": agent.ourselves.identity.name}
        yield InfoMetricFamily("calico_route", "The agent.", labels)
        yield GaugeMetricFamily("calico_route_start_time_seconds", "When it started, since 1970.", agent.started)
        yield GaugeMetricFamily("calico_route_ready", "1: as /readyz says.", not obstacles(agent))
        yield from self._sessions(snapshots)
        yield from self._routes()
        yield from self._kernel()
        yield from self._datastore()
        if self._per_peer:
            yield from self._peers(snapshots)

    def _sessions(self, snapshots: Mapping[str, PeerSnapshot]) -> Iterator[Metric]:
        agent = self._agent
        wanted = set() if agent.wanted is None else set(agent.wanted.peers)
        yield GaugeMetricFamily("calico_route_sessions_wanted", "Sessions that the datastore asks for.", len(wanted))
        found = GaugeMetricFamily("calico_route_sessions", "Sessions by state.", labels=["state"])
        for state in State:
            found.add_metric([str(state)], sum(one.state is state for one in snapshots.values()))
        yield found
        converged = len(wanted & agent.mesh.complete())
        text = "Of the wanted sessions, those that have brought all their routes."
        yield GaugeMetricFamily("calico_route_sessions_converged", text, converged)
        text = "Sessions whose neighbour restarts, and whose routes are kept meanwhile."
        yield GaugeMetricFamily("calico_route_sessions_stale", text, sum(one.restarting for one in snapshots.values()))
        yield CounterMetricFamily("calico_route_session_losses", "Sessions that stood and ended.", agent.mesh.losses)

    def _routes(self) -> Iterator[Metric]:
        agent = self._agent
        wanted = agent.wanted
        announced = [] if wanted is None else [prefix.family.afi for prefix in wanted.announcements]
        learned = GaugeMetricFamily("calico_route_learned_prefixes", "Learned from others.", labels=["family"])
        own = GaugeMetricFamily("calico_route_announced_prefixes", "Announced by this node.", labels=["family"])
        for afi, family in _FAMILIES.items():
            learned.add_metric([family], agent.mesh.learned[afi])
            own.add_metric([family], announced.count(afi))
        yield learned
        yield own
        withheld = 0 if wanted is None else len(wanted.withheld)
        yield GaugeMetricFamily("calico_route_withheld_prefixes", "Of workloads here, not announced.", withheld)
        updates = CounterMetricFamily("calico_route_updates", "UPDATE messages since the start.", labels=["way"])
        for way, number in zip(("in", "out"), agent.mesh.updates(), strict=True):
            updates.add_metric([way], number)
        yield updates

    def _kernel(self) -> Iterator[Metric]:
        kernel = self._agent.kernel.routes()
        routes = GaugeMetricFamily("calico_route_kernel_routes", "Routes of ours in the kernel.", labels=["family"])
        for afi, family in _FAMILIES.items():
            routes.add_metric([family], len(kernel.installed.get(afi, ())))
        yield routes
        yield GaugeMetricFamily("calico_route_kernel_pending", "Routes on their way into the kernel.", kernel.pending)
        text = "Routes of before the start that nobody has confirmed yet."
        yield GaugeMetricFamily("calico_route_kernel_stale", text, kernel.unconfirmed)
        text = "Routes that are not in the kernel as they should be, by what keeps them out or changes them."
        problems = GaugeMetricFamily("calico_route_kernel_problems", text, labels=["kind"])
        kinds = Counter(str(getattr(problem, "kind", "other")) for problem in kernel.problems)
        for kind in ProblemKind:
            problems.add_metric([kind], kinds[kind])
        yield problems

    def _datastore(self) -> Iterator[Metric]:
        agent = self._agent
        status = agent.datastore.status
        yield GaugeMetricFamily("calico_route_datastore_up", "1: it answers.", status.connected)
        away = 0.0 if status.connected else max(0.0, time.time() - (status.since or agent.started))
        text = "For how long the datastore has not answered."
        yield GaugeMetricFamily("calico_route_datastore_away_seconds", text, away)
        yield GaugeMetricFamily("calico_route_datastore_revision", "The last one that was read.", status.revision)
        lag = max(0.0, time.time() - (status.heard or agent.started))
        text = "Since the datastore last gave news, or answered that there are none: so old may be what is known."
        yield GaugeMetricFamily("calico_route_datastore_lag_seconds", text, lag)
        held = 0 if agent.believed is None else sum(len(one.missing) for one in agent.believed.holds)
        text = "Resources that are gone from the datastore, and not believed to be."
        yield GaugeMetricFamily("calico_route_datastore_disbelieved", text, held)
        wrong = sum(map(len, agent.problems.values())) + (0 if agent.wanted is None else len(agent.wanted.problems))
        yield GaugeMetricFamily("calico_route_problems", "What `status` lists under problems.", wrong)

    def _peers(self, snapshots: Mapping[str, PeerSnapshot]) -> Iterator[Metric]:
        agent = self._agent
        labels = ["node", "address"]
        up = GaugeMetricFamily("calico_route_peer_up", "1: established.", labels=labels)
        since = GaugeMetricFamily("calico_route_peer_state_seconds", "For how long in its state.", labels=labels)
        received = GaugeMetricFamily("calico_route_peer_received_prefixes", "Heard from it.", labels=labels)
        advertised = GaugeMetricFamily("calico_route_peer_advertised_prefixes", "Told to it.", labels=labels)
        told = CounterMetricFamily("calico_route_peer_updates", "UPDATE messages.", labels=[*labels, "way"])
        ups = CounterMetricFamily("calico_route_peer_established", "How often it was established.", labels=labels)
        for address, one in sorted(snapshots.items()):
            peer = agent.mesh.peers.get(address)
            names = [(peer.node or peer.origin) if peer is not None else one.description, address]
            up.add_metric(names, one.established)
            since.add_metric(names, one.uptime)
            received.add_metric(names, one.routes_received)
            advertised.add_metric(names, one.routes_advertised)
            told.add_metric([*names, "in"], one.updates_received)
            told.add_metric([*names, "out"], one.updates_sent)
            ups.add_metric(names, one.established_count)
        yield from (up, since, received, advertised, told, ups)
