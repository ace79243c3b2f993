#!/usr/bin/env bash
# Runs presets/camvid.yaml in a fresh clone and puts its table into docs/results-camvid.md.
# Needs data/external as presets/camvid.yaml describes, and the environment on PATH.
set -euo pipefail
source "$(dirname "$0")/clone_head.sh"
cp presets/camvid.yaml params.yaml
rm -rf metrics
dvc repro
python scripts/embed.py "$root/docs/results-camvid.md" table metrics/tables/segmentation.md
cells=metrics/cells/camvid/vit_s14
python scripts/sweep_table.py "$cells" > sweeps.md
python scripts/embed.py "$root/docs/results-camvid.md" sweeps sweeps.md
