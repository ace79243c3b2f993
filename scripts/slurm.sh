#!/usr/bin/env bash
# Reproduce a workspace on the hosts of a Slurm allocation: sbatch scripts/slurm.sh [TARGETS and
# options of `patchlens repro`], from the workspace, which all hosts see at the same path, with the
# environment of patchlens on PATH. Options of sbatch before the script replace the lines below.
#SBATCH --job-name=patchlens
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail

# Whoever knows this may run commands as you; other users of these hosts do not see it.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0
head=$(hostname)
ip=$(python -c 'import socket; print(socket.gethostbyname(socket.gethostname()))')
export RAY_ADDRESS=$ip:$((20000 + SLURM_JOB_ID % 10000))
own=(--num-cpus "${SLURM_CPUS_PER_TASK:-1}" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" --block)

srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
  ray start --head --node-ip-address="$ip" --port="${RAY_ADDRESS#*:}" --include-dashboard=false \
  --temp-dir="/tmp/ray-$SLURM_JOB_ID" "${own[@]}" &
for try in $(seq 60); do
  ray health-check --address "$RAY_ADDRESS" 2> /dev/null && break
  [ "$try" -lt 60 ] || { echo "slurm.sh: no answer from Ray on $head" >&2; exit 1; }
  sleep 2
done
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
  srun --nodes="$others" --ntasks="$others" --exclude="$head" --overlap \
    ray start --address "$RAY_ADDRESS" "${own[@]}" &
fi

patchlens repro --engine ray "$@" &
repro=$!
trap 'kill -TERM $repro' TERM  # two minutes before the end of the allocation: submit it again
while :; do
  wait "$repro" && code=0 || code=$?
  kill -0 "$repro" 2> /dev/null || exit "$code"
done
