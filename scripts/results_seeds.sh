#!/usr/bin/env bash
# Puts the mini models of another seed into their slots, in a clone of HEAD, reproduces, and writes
# how far two seeds of the training lie apart into docs/results-minicity.md. Needs a reproduced HEAD.
set -euo pipefail
source "$(dirname "$0")/clone_head.sh"
dvc cache dir --local "$root/.dvc/cache"
dvc checkout --quiet
models=(dino mae)
for model in "${models[@]}"; do # under the same file name: claims know objectives by it
  old=$(sha256sum "weights/$model.safetensors" | cut -d' ' -f1)
  mv "weights/$model-seed1.safetensors" "weights/$model.safetensors"
  new=$(sha256sum "weights/$model.safetensors" | cut -d' ' -f1)
  sed -i "s/$old/$new/" params.yaml
  grep -q "$new" params.yaml || { echo "params.yaml: no sha256 of weights/$model.safetensors" >&2; exit 1; }
done
git diff --stat params.yaml
patchlens repro
python scripts/seeds_table.py "$root" "${models[@]}" > seeds.md
python scripts/embed.py "$root/docs/results-minicity.md" seeds seeds.md
