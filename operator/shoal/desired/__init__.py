"""What should exist: one InferenceService and its models in, every child out, whole.

Pure: the same `Wanted` gives the same bytes. `children.make` is the door; each kind has a
module with a `make`. Called by `reconcile`.
"""
