"""The influx of cells from that of compartments, against the matrix itself."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from hpcpinn.timestepping.cell_weights import cell_weights
from hpcpinn.timestepping.influx import InfluxWindow


@pytest.mark.parametrize("released", [[], [3, 40]])
def test_cells_get_what_the_matrix_says(released: list[int]) -> None:
    """Rows of one to three entries, one of none and one of nine."""
    random = np.random.default_rng(1)
    matrix = np.zeros((100, 30))
    for row, count in enumerate([*random.integers(1, 4, 98), 0, 9]):
        matrix[row, random.choice(30, count, replace=False)] = random.random(count)
    window = InfluxWindow(jnp.asarray(random.random(30)), jnp.asarray(random.random((4, 30))))
    more = random.random((4, len(released)))
    weights = cell_weights(sparse.csr_matrix(matrix), np.array(released, int))
    assert weights is not None and len(weights.column) == 3 and len(weights.row) == 6
    found = weights.on_cells(window._replace(released=jnp.asarray(more)) if released else window)
    moments = np.asarray(window.moments) @ matrix.T
    moments[:, released] += more
    np.testing.assert_allclose(found.sink, matrix @ np.asarray(window.sink), rtol=1e-14)
    np.testing.assert_allclose(found.moments, moments, rtol=1e-14)


def test_cells_that_are_compartments_need_no_weights() -> None:
    one = sparse.identity(5, format="csr")
    assert cell_weights(one) is None
    assert cell_weights(one, np.array([2])) is not None
    assert cell_weights(one[[0, 1, 2, 4, 3]]) is not None
