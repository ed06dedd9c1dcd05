"""How a Kubernetes cluster is had on a machine without one: bring-up, images, teardown."""
