#!/usr/bin/env bash
# Runs the example of docs/claims.md, prune.m = 0, in a clone of HEAD, two models at a time, and shows
# there what `dvc metrics diff` prints of the verdicts and of pruning's k-NN. Needs a reproduced HEAD.
set -euo pipefail
source "$(dirname "$0")/clone_head.sh"
dvc cache dir --local "$root/.dvc/cache"
dvc checkout --quiet
sed -i 's/^  m: 0\.26 /  m: 0 /' params.yaml
git diff --quiet params.yaml && { echo "params.yaml: prune.m is not 0.26" >&2; exit 1; }
patchlens repro
dvc metrics diff --md > diff.md
head -2 diff.md > shown.md
grep -E 'claims\.json|knn\.prune\.pixel_miou +\|' diff.md >> shown.md
printf '\nThese rows of %d: the verdicts, and k-NN with `prune`.\n' "$(($(wc -l < diff.md) - 3))" >> shown.md
python scripts/embed.py "$root/docs/claims.md" flip shown.md
