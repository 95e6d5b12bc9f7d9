"""How long the exchange between ranks takes in a sweep of coupled windows."""

import time as clock

import jax
import jax.numpy as jnp
from jaxtyping import Array

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.systems.cell.coupled_setup import CoupledSetup


def measured_exchange(setup: CoupledSetup, communicator: Communicator, repeats: int = 20) -> float:
    """Seconds that the exchanges of one sweep take, in compiled code. Collective over all ranks."""
    if communicator.size == 1:
        return 0.0
    solver = setup.solver
    n_slots = 2 * len(setup.local) + solver.interfaces.n_ghosts
    shape = (n_slots, len(solver.equation.scale), len(solver.table.grid.time))

    @jax.jit
    def many(x: Array) -> Array:
        def one_sweep(x: Array, _: None) -> tuple[Array, None]:
            for _half in range(3):  # red, black, and the jump
                x = communicator.exchange(x, solver.interfaces.plan)
            return x + communicator.max(jnp.zeros(())), None

        last: Array = jax.lax.scan(one_sweep, x, None, length=repeats)[0]
        return last

    many(jnp.zeros(shape)).block_until_ready()
    communicator.barrier()
    begun = clock.perf_counter()
    many(jnp.zeros(shape)).block_until_ready()
    return (clock.perf_counter() - begun) / repeats
