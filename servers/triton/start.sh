#!/bin/sh
# A server that was killed leaves its models' shared memory behind. It belongs to the pod, so it
# would be there for good, and a pod has 64 MiB.
rm -f /dev/shm/triton_python_backend_shm_region_*
exec /app/drain.sh "$@"
