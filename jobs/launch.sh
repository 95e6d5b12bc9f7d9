{{systems}}export PYTHONUNBUFFERED=1
# More ranks than processors would otherwise wait for each other at full speed.
export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}

# Where a rank dies, mpirun tells the others after so many seconds, and kills them after as many more (Open MPI 4, 5).
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-2}
export PRTE_MCA_odls_base_sigkill_timeout=${PRTE_MCA_odls_base_sigkill_timeout:-2}

# `--resume auto` starts afresh where there is no checkpoint and goes on from it where there is one:
# after a requeue, by hand or because a node failed, the run continues at the last checkpoint.
command=({{command}})

start_ranks() {
    if srun --mpi=list 2>&1 | grep -qw pmix; then
        exec srun --mpi=pmix --kill-on-bad-exit=1 "${command[@]}"
    elif command -v mpirun >/dev/null; then
        exec mpirun "${command[@]}"
    else
        exec srun --kill-on-bad-exit=1 "${command[@]}"
    fi
}

back_to_the_queue() {
    if [ "${SLURM_RESTART_COUNT:-0}" -lt {{restarts}} ]; then
        echo "hpcpinn: time is nearly up; back to the queue, to go on from the checkpoint"
        # The number of a whole array may be that of one of its tasks: name the task.
        scontrol requeue "${SLURM_ARRAY_TASK_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"
    else
        echo "hpcpinn: time is nearly up, after {{restarts}} restarts; not requeued" >&2
    fi
}

# SIGUSR1 goes to every rank, and they end with a checkpoint; what has not ended after most of the grace is requeued
# as it is, to go on from the checkpoint before.
time_is_up() {
    asked=yes
    kill -USR1 $ranks
    { sleep {{patience}} >/dev/null 2>&1; back_to_the_queue; } &
    watch=$!
}
trap time_is_up USR1
trap 'kill -USR1 $ranks' TERM

echo "hpcpinn: job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, $SLURM_NTASKS ranks, restart ${SLURM_RESTART_COUNT:-0}"
start_ranks &
ranks=$!
# A signal ends `wait` but not the ranks.
wait $ranks
while kill -0 $ranks 2>/dev/null; do
    wait $ranks
done
wait $ranks
code=$?
if [ -n "$asked" ]; then
    kill $watch 2>/dev/null
    # 0: it had come to its end; 1, 2: a failure, which would come again.
    [ $code -gt 2 ] && back_to_the_queue
fi
exit $code
