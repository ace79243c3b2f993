#!/usr/bin/env bash
# Runs presets/camvid.yaml in a fresh clone and puts its table into docs/results-camvid.md.
# Needs data/external as presets/camvid.yaml describes, and the environment on PATH.
set -euo pipefail
root=$(git rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$root" "$work/clone"
cd "$work/clone"
export PYTHONPATH=$PWD/src # the code of HEAD, not of the working tree
mkdir -p data
ln -s "$root/data/external" data/external
cp presets/camvid.yaml params.yaml
rm -rf metrics
dvc repro
python scripts/embed.py "$root/docs/results-camvid.md" table metrics/tables/segmentation.md
cells=metrics/cells/camvid/vit_s14
python scripts/sweep_table.py "$cells" > sweeps.md
python scripts/embed.py "$root/docs/results-camvid.md" sweeps sweeps.md
