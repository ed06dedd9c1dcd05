"""The resources as frozen types: `parse(body)` for the operator, schemas for the CRDs.

`reconcile` parses what the watches brought; `desired` and `status` read the parsed types;
`crds.all()` makes the CustomResourceDefinitions out of the same types.
"""
