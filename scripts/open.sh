#!/usr/bin/env bash
# Runs a preset, `open` or `open-small`, with the code of the working tree in a folder of its own below
# .work, so that the results of this repository stay as they are. Run again, it resumes there.
set -euo pipefail
preset=$1
root=$(git rev-parse --show-toplevel)
place=$root/.work/$preset
mkdir -p "$place"
cd "$place"
[ -d .git ] || git init --quiet
[ -d .dvc ] || dvc init --quiet
cp "$root/.dvc/config" .dvc/
cp "$root"/{dvc.yaml,claims.yaml,.gitignore,.dvcignore} .
cp "$root/presets/$preset.yaml" params.yaml
rm -rf src
cp -r "$root/src" src
export PYTHONPATH=$PWD/src
patchlens plan --drop-features
patchlens repro --jobs 1 --drop-features # one model at a time: the disk holds no more
echo "Findings and tables: $place/reports/site/index.html"
