"""From the voltage's compartments to cells, window by window.

Calcium has more cells than the voltage has compartments (three times as many, where both follow their own
rule): a motif keeps the influx on compartments, and what cells have of it is worked out in the loop.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.physics.voltage import compact_weights
from hpcpinn.timestepping.influx import InfluxWindow

_FEW = 0.02
"""Share of the cells that may have more entries than there are gathers: the others are added one by one."""

_NONE = np.zeros(0, int)


class CellWeights(NamedTuple):
    """A sparse matrix (N, P), most of whose rows have few entries.

    Attributes:
        column, weight: The first entries of every row, (width, N), filled up with zeros.
        row, column_left, weight_left: All other entries.
        released: Cells that sources reach besides.
    """

    column: Int[Array, "width N"]
    weight: Float[Array, "width N"]
    row: Int[Array, " R"]
    column_left: Int[Array, " R"]
    weight_left: Float[Array, " R"]
    released: Int[Array, " m"]

    def on_cells(self, window: InfluxWindow) -> InfluxWindow:
        """The influx of one window (without the axis of windows) on cells."""
        own = jnp.concatenate([window.sink[None], window.moments])
        values = sum(
            weight * own.at[:, column].get(mode="promise_in_bounds")
            for column, weight in zip(self.column, self.weight, strict=True)
        )
        if self.row.size:
            left = self.weight_left * own.at[:, self.column_left].get(mode="promise_in_bounds")
            values = values.at[:, self.row].add(left, mode="promise_in_bounds")
        if window.released is not None:
            values = values.at[1:, self.released].add(window.released, mode="promise_in_bounds")
        return InfluxWindow(values[0], values[1:])


def cell_weights(to_cells: sparse.csr_matrix, released: Int[ndarray, " m"] = _NONE) -> CellWeights | None:
    """Weights as arrays for a compiled loop; None where every cell is a compartment.

    Args:
        to_cells: Weights of the compartments in every cell, (N, P).
        released: Cells that sources reach besides.
    """
    matrix = sparse.csr_matrix(to_cells)
    if not len(released) and _is_identity(matrix):
        return None
    compact = compact_weights(matrix)
    column, weight = np.asarray(compact.site).T, np.asarray(compact.weight).T
    count = np.count_nonzero(weight, axis=0)
    width = max(1, int(np.sort(count)[int((1.0 - _FEW) * (len(count) - 1))])) if len(count) else 1
    row, place = np.nonzero(weight[width:].T)
    place += width
    first = column[:width].astype(np.int32), weight[:width]
    left = row.astype(np.int32), column[place, row].astype(np.int32), weight[place, row]
    return CellWeights(*jax.device_put((*first, *left, np.asarray(released, np.int32))))


def _is_identity(matrix: sparse.csr_matrix) -> bool:
    return bool(matrix.shape[0] == matrix.shape[1] and abs(matrix - sparse.identity(matrix.shape[0])).max() == 0.0)
