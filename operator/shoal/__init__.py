"""Shoal: many machine-learning models on shared servers, behind KServe's API."""

__version__ = "0.1.0"
