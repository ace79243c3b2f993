#!/usr/bin/env bash
# Reproduces HEAD from nothing in a fresh clone, as `make repro` does, and compares its metrics with
# the committed ones: equal on the same CPU type with as many threads, |difference| <= 0.002
# elsewhere. Needs the environment on PATH.
set -euo pipefail
source "$(dirname "$0")/clone_head.sh"
mv metrics "$work/committed"
dvc cache dir --local "$work/cache" # nothing is taken from a cache that the clone may share
python scripts/repro.py 2
patchlens compare "$work/committed" metrics "$@"
