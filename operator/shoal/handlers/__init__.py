"""The operator's doors: watches in, probes and metrics out. The only room that knows Kopf."""
