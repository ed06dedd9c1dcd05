#!/bin/sh
# Run a server, and after SIGTERM let it answer a little longer: others may still send requests
# to a pod that is leaving. Each server image has this file.
# The trap comes before the server: a signal that comes at once must find it.
trap 'sleep "${DRAIN_SECONDS:-3}"; kill -TERM "$!"; wait "$!"; exit "$?"' TERM
"$@" &
wait "$!"
