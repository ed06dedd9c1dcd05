#!/bin/sh
# Other commands than TorchServe's are run as they are.
if [ "$1" = torchserve ]; then
  set -- python3 /app/front.py "$@"
fi
exec /app/drain.sh "$@"
