"""The sidecar: what is on disk and in the model server follows one ConfigMap, and says how far."""
