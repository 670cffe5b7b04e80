"""What monitoring asks over HTTP: OpenMetrics, and whether the agent is alive and ready.

readiness    whether it is ready, and if not why
families     the metrics, by prometheus-client: imported when they are first asked for
server       GET, and nothing else
"""

from .server import MetricsServer

__all__ = ["MetricsServer"]
