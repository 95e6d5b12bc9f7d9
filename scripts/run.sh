#!/usr/bin/env bash
# Set up, then run: the default cell and protocol, or whatever `hpcpinn run` is told to.
#
#   bash scripts/run.sh [arguments of hpcpinn run]        RANKS=2 unless set
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
. "$root/scripts/mpi_environment.sh"
exec bash "$root/scripts/mpirun.sh" -n "${RANKS:-2}" "$root/.venv/bin/python" -m hpcpinn run "$@"
