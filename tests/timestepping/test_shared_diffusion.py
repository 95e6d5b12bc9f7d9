"""Diffusion spread over ranks is that of the whole, after one exchange of a halo."""

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.domain.partition import partition
from hpcpinn.morphology import cable_from_swc, read_swc
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.diffusion import CableDiffusion, cable_diffusion
from hpcpinn.timestepping.shared_diffusion import SharedDiffusion, shared_diffusion

D = (220.0, 20.0)
WINDOWS = np.array([1e-4, 2e-3, 2e-2])
"""s."""


class One(SerialCommunicator):
    """One of several ranks that exchanges nothing by itself."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


@pytest.fixture(scope="module")
def cable():
    whole = cable_from_swc(read_swc(morphology_path("builtin:y_branch")))[0]
    return whole.split([np.arange(1, 8) / 8] * whole.n_frusta)


def exchanged(shares: list[SharedDiffusion], rows: list[np.ndarray]) -> list[np.ndarray]:
    """What a network would do: every meeting of two ranks in the round that both plan it for."""
    after = [x.copy() for x in rows]
    for rank, share in enumerate(shares):
        for meeting in share.plan.rounds:
            partner = next(r for r in shares[meeting.partner].plan.rounds if r.index == meeting.index)
            assert partner.partner == rank
            after[rank][meeting.receive_rows] = rows[meeting.partner][partner.send_rows]
    return after


@pytest.mark.parametrize("n", [2, 3])
def test_one_exchange_serves_a_window_of_any_length(cable, n):
    grid = cell_grid(cable)
    owner = partition(cable, np.ones(cable.n_frusta), n).owner
    shares = [shared_diffusion(grid, owner, D, float(WINDOWS.max()), One(rank, n)) for rank in range(n)]
    fields = np.random.default_rng(0).random((2, grid.n))
    own = [np.flatnonzero(owner == rank) for rank in range(n)]
    blank = [
        np.concatenate([fields[:, mine].T, np.full((share.local_count - len(mine), 2), np.nan)])
        for mine, share in zip(own, shares, strict=True)
    ]
    known = exchanged(shares, blank)
    assert not any(np.isnan(x).any() for x in known)
    whole = cable_diffusion(grid, D)
    series = whole.series(WINDOWS)
    for row in range(len(WINDOWS)):
        expected = whole(jnp.asarray(fields), series.coefficients[row], series.terms[row])
        for mine, share, x in zip(own, shares, known, strict=True):
            one = share.series(WINDOWS)
            found = share.local(jnp.asarray(x.T), one.coefficients[row], one.terms[row])[:, : share.n_own]
            np.testing.assert_allclose(found, expected[:, mine], rtol=1e-13)


def test_a_halo_is_no_deeper_than_the_longest_window_asks(cable):
    grid = cell_grid(cable)
    owner = partition(cable, np.ones(cable.n_frusta), 2).owner
    short, long = (shared_diffusion(grid, owner, D, length, One(0, 2)) for length in (1e-4, 2e-2))
    assert 0 < len(short.plan.receive_rows) < len(long.plan.receive_rows)
    with pytest.raises(ValueError, match="halo"):
        short.series(np.array([2e-2]))


def test_whole_cells_need_no_halo(cable):
    from hpcpinn.morphology.forest import join_cables

    grid = cell_grid(join_cables([cable, cable]))
    owner = np.repeat([0, 1], cable.n_frusta)
    share = shared_diffusion(grid, owner, D, 2e-2, One(1, 2))
    assert isinstance(share, CableDiffusion)
    fields = jnp.asarray(np.random.default_rng(1).random((2, cable.n_frusta)))
    series = share.series(WINDOWS)
    alone = cable_diffusion(cell_grid(cable), D)
    for row in range(len(WINDOWS)):
        found = share(fields, series.coefficients[row], series.terms[row])
        np.testing.assert_allclose(
            found, alone(fields, series.coefficients[row], series.terms[row]), rtol=1e-13
        )
