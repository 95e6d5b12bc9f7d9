"""Wall time of compiled calls, for benchmarks."""

import time
from collections.abc import Callable
from typing import Any

import jax


def best(run: Callable[[], Any], repeats: int = 5) -> float:
    """Shortest wall time of a call, s; called once before, so that it is compiled."""
    jax.block_until_ready(run())
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - began)
    return min(seconds)
