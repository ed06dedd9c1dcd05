"""What the agent counts. Labels are bounded: no model's name is one."""

from prometheus_client import Counter, Gauge

LOADS = Counter("shoal_agent_loads", "Loads that the model server confirmed.")
UNLOADS = Counter("shoal_agent_unloads", "Unloads that the model server confirmed.")
FAILURES = Counter("shoal_agent_failures", "Failed tries, by reason.", ["reason"])
FETCHED_BYTES = Counter("shoal_agent_fetched_bytes", "Bytes downloaded.")
MODELS = Gauge("shoal_agent_models", "Models by state.", ["state"])
CONFIG_ERRORS = Counter(
    "shoal_agent_config_errors", "Failures to follow the list of models, by source.", ["source"]
)
SERVER_UP = Gauge("shoal_agent_server_up", "Whether the model server answers.")
