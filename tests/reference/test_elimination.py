import numpy as np
import pytest

from hpcpinn.errors import SolveError
from hpcpinn.reference.elimination import TreeElimination
from hpcpinn.reference.mesh import make_mesh
from tests.reference.cables import branches, cylinder, small_tree

CABLES = {
    "one run": cylinder(),
    "tree": small_tree(),
    "two halves that start at one node": branches([3.0, 4.0], [(1.0, 0.5), (1.0, 2.0)], [-1, -1]),
    "a chain of three": branches([1.0, 2.0, 3.0], [(1.0, 1.0), (2.0, 1.0), (0.5, 1.0)], [-1, 0, 1]),
}


def dense(mesh, diffusion, block):
    """The same matrix from the coupling of the mesh, without elimination."""
    n = mesh.n_cells
    spread = mesh.coupling.toarray() / mesh.volume[:, None]
    matrix = -np.kron(spread, np.diag(diffusion))
    for i in range(n):
        matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += block[i]
    return matrix


@pytest.mark.parametrize("name", CABLES)
@pytest.mark.parametrize("cells", [1, 5])
def test_solves_what_a_dense_solver_solves(name, cells):
    mesh = make_mesh(CABLES[name], cells)
    random = np.random.default_rng(0)
    block = random.random((mesh.n_cells, 2, 2)) + 2.0 * np.eye(2)
    right = random.standard_normal(2 * mesh.n_cells)
    solve = TreeElimination(mesh, (220.0, 20.0)).factor(block[:, 0, 0], block[:, 0, 1], block[:, 1, 0], block[:, 1, 1])
    expected = np.linalg.solve(dense(mesh, [220.0, 20.0], block), right)
    np.testing.assert_allclose(solve(right), expected, rtol=1e-10, atol=1e-12)


def test_says_when_the_matrix_is_not_finite():
    mesh = make_mesh(cylinder(), 3)
    bad, good = np.full(3, np.nan), np.ones(3)
    solve_or_fail = TreeElimination(mesh, (1.0, 1.0))
    try:
        answer = solve_or_fail.factor(bad, good, good, good)(np.ones(6))
    except SolveError:
        return
    assert not np.isfinite(answer).all()
