"""Ways for a job to end, one per name: ``python fault_scenarios.py NAME [--debug]`` under mpirun."""

import os
import signal
import sys
import time

from mpi4py import MPI

from hpcpinn.errors import InputError, SolveError
from hpcpinn.parallel.abort import guarded

world = MPI.COMM_WORLD


def success() -> None:
    world.Barrier()


def slow_rank() -> None:
    """One rank needs longer than the patience of the others."""
    if world.rank == 1:
        time.sleep(2.0)


def same_error() -> None:
    raise InputError("cell.swc:3: radius is NaN; give a number")


def own_errors() -> None:
    raise InputError(f"part {world.rank} is missing")


def error_on_one() -> None:
    if world.rank == 1:
        raise SolveError("window 7 did not converge")
    world.Barrier()


def error_after_others_finished() -> None:
    if world.rank == 1:
        time.sleep(1.0)
        raise SolveError("window 7 did not converge")


def bug_on_one() -> None:
    if world.rank == 1:
        [].pop()
    world.Barrier()


def exit_on_one() -> None:
    if world.rank == 1:
        sys.exit(3)
    world.Barrier()


def killed() -> None:
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    world.Barrier()


def error_while_others_compute() -> None:
    """The others are inside compiled code that waits for the failed rank."""
    from hpcpinn.parallel.device import prepare

    prepare()
    import jax
    import jax.numpy as jnp

    from hpcpinn.parallel.transports import make_communicator

    communicator = make_communicator("mpi4jax")
    if world.rank == 1:
        raise SolveError("window 7 did not converge")
    jax.jit(communicator.sum)(jnp.ones(3)).block_until_ready()


def error_in_callback() -> None:
    """One rank fails inside compiled code."""
    from hpcpinn.parallel.device import prepare

    prepare()
    import jax
    import jax.numpy as jnp
    from jax.experimental import io_callback

    from hpcpinn.parallel.transports import make_communicator

    communicator = make_communicator("mpi4py")

    def fail_on_one(values):
        if world.rank == 1:
            raise OSError("no space left")
        return values

    def step(x):
        return communicator.sum(io_callback(fail_on_one, x, x, ordered=True))

    jax.jit(step)(jnp.ones(3)).block_until_ready()


if __name__ == "__main__":
    with guarded(debug="--debug" in sys.argv, patience=1.0):
        globals()[sys.argv[1]]()
