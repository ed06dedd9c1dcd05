"""The only rooms that talk to the Kubernetes API and to the agents."""
