"""What a solved voltage must not do: no membrane survives a few hundred mV, and what drives it there is a slip."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.physics.voltage import HIGHEST
from hpcpinn.wording import biology


def beyond_all_membranes(
    times: Float[ndarray, " T"], V: Float[ndarray, "T n"], name: Callable[[int], str]
) -> str | None:
    """Where, when and how far a voltage is beyond ±`HIGHEST`; None where it is not.

    Args:
        times: Times of the rows, ms, (T,).
        V: Voltage at these times, mV, (T, n).
        name: Function that names a column.

    Returns:
        ``22225 mV (dend[0](0.5), at 2 ms; beyond ±500 mV from 1.05 ms on)``.
    """
    size = np.abs(V)
    size = np.where(np.isfinite(size), size, np.inf)
    if not np.max(size, initial=0.0) > HIGHEST:
        return None
    row, column = np.unravel_index(np.argmax(size), size.shape)
    first = int(np.argmax(np.any(size > HIGHEST, axis=1)))
    value = V[row, column]
    shown = f"{value:.5g} mV" if np.isfinite(value) else "no finite voltage"
    return (
        f"{shown} ({name(int(column))}, at {biology(times[row], 6)}; beyond ±{HIGHEST:g} mV from "
        f"{biology(times[first], 6)} on)"
    )
