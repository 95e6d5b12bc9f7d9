#!/usr/bin/env bash
# Set up, then run: the default cell and protocol, or whatever `hpcpinn run` is told to.
#
#   bash scripts/run.sh [arguments of hpcpinn run]        RANKS=2 unless set
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
. "$root/scripts/mpi_environment.sh"
# Ranks that mpirun is told to end have so many seconds for a checkpoint (Open MPI 4, Open MPI 5).
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-10}
export PRTE_MCA_odls_base_sigkill_timeout=${PRTE_MCA_odls_base_sigkill_timeout:-10}
exec mpirun -n "${RANKS:-2}" "$root/.venv/bin/python" -m hpcpinn run "$@"
