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
    n, K = mesh.n_cells, len(diffusion)
    spread = mesh.coupling.toarray() / mesh.volume[:, None]
    matrix = -np.kron(spread, np.diag(diffusion))
    for i in range(n):
        matrix[K * i : K * i + K, K * i : K * i + K] += block[:, :, i]
    return matrix


@pytest.mark.parametrize("name", CABLES)
@pytest.mark.parametrize("cells", [1, 5])
@pytest.mark.parametrize("diffusion", [(220.0,), (220.0, 20.0), (220.0, 20.0, 60.0, 0.0)])
def test_solves_what_a_dense_solver_solves(name, cells, diffusion):
    mesh = make_mesh(CABLES[name], cells)
    random = np.random.default_rng(0)
    K = len(diffusion)
    block = random.random((K, K, mesh.n_cells)) + K * np.eye(K)[:, :, None]
    right = random.standard_normal(K * mesh.n_cells)
    solve = TreeElimination([mesh] * len(diffusion), diffusion).factor(block)
    expected = np.linalg.solve(dense(mesh, diffusion, block), right)
    np.testing.assert_allclose(solve(right), expected, rtol=1e-10, atol=1e-12)


def test_says_when_the_matrix_is_not_finite():
    mesh = make_mesh(cylinder(), 3)
    block = np.ones((2, 2, 3))
    block[0, 0] = np.nan
    solve_or_fail = TreeElimination([mesh] * 2, (1.0, 1.0))
    try:
        answer = solve_or_fail.factor(block)(np.ones(6))
    except SolveError:
        return
    assert not np.isfinite(answer).all()
