#!/usr/bin/env bash
# Reproduces HEAD from nothing in a fresh clone and compares its metrics with the committed ones:
# equal where both have one machine.json (CPU type, device, threads; a stage of `make repro` has half
# of the cores), |difference| <= 0.002 elsewhere. Needs the environment on PATH.
set -euo pipefail
source "$(dirname "$0")/clone_head.sh"
mv metrics "$work/committed"
dvc cache dir --local "$work/cache" # nothing is taken from a cache that the clone may share
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(($(nproc) > 1 ? $(nproc) / 2 : 1))}
export OPENBLAS_NUM_THREADS=$OMP_NUM_THREADS MKL_NUM_THREADS=$OMP_NUM_THREADS
dvc repro --force --quiet
python scripts/machine.py
patchlens compare "$work/committed" metrics "$@"
