"""What the operator counts about its own work; labels are bounded."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

PASSES: Final = Counter("shoal_reconciles_total", "Passes over one service", ["outcome"])
PASS_SECONDS: Final = Histogram("shoal_reconcile_seconds", "Seconds of one pass")
QUEUED: Final = Gauge("shoal_queue_keys", "Services that wait for a pass within 10 s")
CONFIG_VALID: Final = Gauge(
    "shoal_config_valid", "1 while inferenceservice-config is as it should be, else 0"
)
