"""Time of compiled calls, for benchmarks."""

import time
from collections.abc import Callable
from typing import Any

import jax


def best(run: Callable[[], Any], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """Shortest time of a call by a clock, s; called once before, so that it is compiled."""
    jax.block_until_ready(run())
    seconds = []
    for _ in range(repeats):
        began = clock()
        jax.block_until_ready(run())
        seconds.append(clock() - began)
    return min(seconds)
