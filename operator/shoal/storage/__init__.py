"""Where models come from: addresses, credentials, downloads; used by the agent and by fetch."""
