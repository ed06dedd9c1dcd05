"""InferenceService and runtimes → the one server that the predictor's pods run (contract §3).

```
 asks         what a framework key asks for
   ▼
 selections   which runtime serves it; `pins` keeps a service on the one it has
   ▼
 placeholders, merges, servertypes, images
   ▼
 servers      the containers and the pod, whole, for `desired`
```

Pure. Called by `reconcile`; `cluster.store` asks `pins` whom a runtime concerns.
"""
