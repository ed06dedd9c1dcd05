"""One pass: observe, decide, apply, report; and the queue that runs the passes."""
