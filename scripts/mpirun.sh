#!/usr/bin/env bash
# mpirun whose ranks hear Ctrl-C and SIGTERM at once, and are killed by nobody while they write a checkpoint.
#
#   bash scripts/mpirun.sh -n 8 hpcpinn run job.toml
#
# mpirun itself hands them on late and kills the ranks soon after; SIGUSR1 it only hands on. A second one ends at once.
set -uo pipefail
# Where a rank dies, the others are told after so many seconds, and killed after as many more (Open MPI 4, Open MPI 5).
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-2}
export PRTE_MCA_odls_base_sigkill_timeout=${PRTE_MCA_odls_base_sigkill_timeout:-2}

asked=
ask() {
    asked=${asked:-$1}
    kill -USR1 $ranks 2>/dev/null
}
trap 'ask 129' HUP
trap 'ask 130' INT
trap 'ask 143' TERM
trap 'ask 138' USR1

# In a session of its own: a terminal sends Ctrl-C to everything that is in its own.
setsid mpirun "$@" </dev/null &
ranks=$!
wait $ranks
code=$?
while kill -0 $ranks 2>/dev/null; do # a signal ends `wait`, not the ranks
    wait $ranks
    code=$?
done
[ -n "$asked" ] && [ $code = 138 ] && code=$asked
exit $code
