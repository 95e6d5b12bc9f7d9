"""How many threads a compiled loop deserves."""

import jax

_WORTH_THREADS = 4000
"""Length of the arrays from which on threads gained: a loop over split windows on 3 and 8 cores took 1.4 times as
long as on one with 542 cells, 0.8 times with 4868."""


def loop_options(length: int) -> dict[str, bool] | None:
    """Compiler options of a loop whose steps work on arrays of a length; None for those that JAX has.

    On a CPU, to hand out a step's short parts to threads takes longer than they do.
    """
    if jax.default_backend() != "cpu" or length >= _WORTH_THREADS:
        return None
    return {"xla_cpu_multi_thread_eigen": False}
