#!/bin/sh
# Remake the lock of each server image from its requirements.in; needs uv.
set -eu
cd "$(dirname "$0")"
compile() {
  folder=$1; shift
  uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --no-header --quiet "$@" "$folder/requirements.in" -o "$folder/requirements.lock"
}
compile mlserver --override mlserver/overrides.in
compile kserve-sdk
compile triton --no-deps
compile torchserve --no-deps
