#!/usr/bin/env bash
# Reproduces HEAD from nothing in a fresh clone and compares its metrics with the committed ones:
# equal on the same CPU type, |difference| <= 0.002 elsewhere. Needs the environment on PATH.
set -euo pipefail
root=$(git rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$root" "$work/clone"
cd "$work/clone"
export PYTHONPATH=$PWD/src # the code of HEAD, not of the working tree
if [ -d "$root/data/external" ]; then # datasets and weights that the user placed
  mkdir -p data
  ln -s "$root/data/external" data/external
fi
mv metrics "$work/committed"
dvc cache dir --local "$work/cache" # nothing is taken from a cache that the clone may share
dvc repro --force --quiet
patchlens compare "$work/committed/cells" metrics/cells "$@"
