{{systems}}export PYTHONUNBUFFERED=1
# More ranks than processors would otherwise wait for each other at full speed.
export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}

# `--resume auto` starts afresh where there is no checkpoint and goes on from it where there is one:
# after a requeue, by hand or because a node failed, the run continues at the last checkpoint.
command=({{command}})

start_ranks() {
    if srun --mpi=list 2>&1 | grep -qw pmix; then
        srun --mpi=pmix --kill-on-bad-exit=1 "${command[@]}"
    elif command -v mpirun >/dev/null; then
        mpirun "${command[@]}"
    else
        srun --kill-on-bad-exit=1 "${command[@]}"
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
trap back_to_the_queue USR1

echo "hpcpinn: job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, $SLURM_NTASKS ranks, restart ${SLURM_RESTART_COUNT:-0}"
start_ranks &
ranks=$!
# A signal ends `wait` but not the ranks.
while kill -0 $ranks 2>/dev/null; do
    wait $ranks
    code=$?
done
exit $code
