"""What is true: observed objects and agents' reports in, statuses and events out.

Pure; the clock and the URLs are passed in. Called by `reconcile`.
"""
