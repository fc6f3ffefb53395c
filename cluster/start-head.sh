#!/usr/bin/env bash
# Start the head of a Ray cluster on this machine, in the foreground; Ctrl-C ends it.
#
#   RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=~/token cluster/start-head.sh
#   RAY_AUTH_MODE=disabled cluster/start-head.sh --num-cpus 0    # a network of your own
#
# Arguments go to ray start. Then, from anywhere:
#   senn-ray submit --address http://THIS-HOST:8265 -- compare --out /shared/runs/first
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# Jobs call `python`: it must be the one that has senn-ray.
if [[ -x "$root/.venv/bin/ray" ]]; then
  export PATH="$root/.venv/bin:$PATH"
fi

# Anyone who reaches an open head can run code on it, so this is never left to chance.
case "${RAY_AUTH_MODE:-}" in
  disabled) ;;
  token)
    if [[ -z "${RAY_AUTH_TOKEN:-}${RAY_AUTH_TOKEN_PATH:-}" ]]; then
      echo "start-head: RAY_AUTH_MODE=token needs RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH" >&2
      exit 2
    fi
    ;;
  *)
    echo "start-head: set RAY_AUTH_MODE to token, or to disabled on a network of your own" >&2
    exit 2
    ;;
esac
export RAY_AUTH_MODE
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0
# Jobs that are stopped have time to write their report; Ray's own limit is 3 s.
export RAY_JOB_STOP_WAIT_TIME_S="${RAY_JOB_STOP_WAIT_TIME_S:-30}"

exec ray start --head --block --disable-usage-stats \
  --port "${SENN_RAY_PORT:-6379}" \
  --dashboard-host "${SENN_RAY_DASHBOARD_HOST:-0.0.0.0}" \
  --dashboard-port "${SENN_RAY_DASHBOARD_PORT:-8265}" \
  "$@"
