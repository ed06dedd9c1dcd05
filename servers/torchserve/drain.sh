#!/bin/sh
# Run a server, and after SIGTERM let it answer a little longer: others may still send requests
# to a pod that is leaving. Each server image has this file.
"$@" &
server=$!
trap 'sleep "${DRAIN_SECONDS:-3}"; kill -TERM "$server"' TERM
code=0
wait "$server" || code=$?
# The signal ends the first wait; the second one waits for the server.
if kill -0 "$server" 2>/dev/null; then
  code=0
  wait "$server" || code=$?
fi
exit "$code"
