#!/usr/bin/env bash
# Puts the mini models of another seed into their slots, in a clone of HEAD, reproduces, and writes
# how far two seeds of the training lie apart into docs/results-minicity.md. Needs a reproduced HEAD.
set -euo pipefail
source "$(dirname "$0")/clone_head.sh"
dvc cache dir --local "$root/.dvc/cache"
dvc checkout --quiet
models=(dino mae)
for model in "${models[@]}"; do
  for name in "$model" "$model-seed1"; do sha256sum "weights/$name.safetensors"; done | {
    read -r old file
    read -r new other
    sed -i "s#$file#$other#; s/$old/$new/" params.yaml
  }
done
python scripts/repro.py 2
python scripts/seeds_table.py "$root" "${models[@]}" > seeds.md
python scripts/embed.py "$root/docs/results-minicity.md" seeds seeds.md
