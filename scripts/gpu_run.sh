#!/usr/bin/env bash
# All that needs a GPU, in one call of at most nine minutes: docs/gpu-check.md.
#   scripts/gpu_run.sh [--parts parity,bench,plan,train] [--crops N] [--seconds S] [--out FOLDER]
#   scripts/gpu_run.sh --tiny      a rehearsal on a CPU
# It uses the torch that is there. What else is missing there lies as wheels in WHEELS (.whl).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
wheels=${WHEELS:-.whl}
site=.work/gpu/site
if [ -d "$wheels" ] && [ ! -d "$site" ]; then
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site.partial" "$wheels"/*.whl
  mv "$site.partial" "$site"
fi
export PYTHONPATH=$PWD/src:$PWD/$site${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
exec "$python" scripts/gpu "$@"
