"""What the operator counts about its talk with the cluster; labels are bounded."""

from typing import Final

from prometheus_client import Counter, Gauge

REQUESTS: Final = Counter(
    "shoal_api_requests_total",
    "Requests to the API server, watches left out",
    ["method", "resource", "status"],
)
AGENTS_FOLLOWED: Final = Gauge("shoal_agents_followed", "Agents whose states are followed")
AGENTS_UNREACHABLE: Final = Gauge("shoal_agents_unreachable", "Followed agents without an answer")
RELIST_REPAIRS: Final = Counter(
    "shoal_relist_repairs_total", "Changes that a relist brought and no watch had", ["resource"]
)
