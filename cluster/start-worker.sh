#!/usr/bin/env bash
# Let this machine join a Ray cluster, in the foreground; Ctrl-C takes it out again.
#
#   RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=~/token cluster/start-worker.sh HEAD:6379
#
# RAY_AUTH_MODE and the token must be those of the head. More arguments go to ray start.
set -euo pipefail

if [[ $# -lt 1 ]]; then
  echo "start-worker: which head? cluster/start-worker.sh HEAD:6379" >&2
  exit 2
fi
head="$1"
shift

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [[ -x "$root/.venv/bin/ray" ]]; then
  export PATH="$root/.venv/bin:$PATH"
fi
if [[ "${RAY_AUTH_MODE:-}" != "token" && "${RAY_AUTH_MODE:-}" != "disabled" ]]; then
  echo "start-worker: set RAY_AUTH_MODE to what the head has: token or disabled" >&2
  exit 2
fi
export RAY_AUTH_MODE
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0

exec ray start --block --disable-usage-stats --address "$head" "$@"
