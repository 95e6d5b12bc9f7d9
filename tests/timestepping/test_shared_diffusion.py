"""Diffusion spread over ranks is that of the whole: by one exchange of a halo, or several."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import jax
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
    """One of several ranks, each a thread; all meet for every exchange."""

    def __init__(self, rank: int, size: int, meeting: Barrier | None = None, table: dict | None = None) -> None:
        self.rank, self.size, self.meeting, self.table, self.exchanges = rank, size, meeting, table, 0

    def exchange(self, rows, plan):
        assert self.meeting is not None and self.table is not None
        self.exchanges += 1
        self.table[self.rank] = np.asarray(rows), plan
        self.meeting.wait(60)
        after = np.array(rows)
        after[:] = np.nan
        after[: len(after) - len(plan.receive_rows)] = rows[: len(after) - len(plan.receive_rows)]
        for meeting in plan.rounds:
            theirs, other = self.table[meeting.partner]
            sent = next(r for r in other.rounds if r.index == meeting.index)
            assert sent.partner == self.rank
            after[meeting.receive_rows] = theirs[sent.send_rows]
        self.meeting.wait(60)
        return jnp.asarray(after)


@pytest.fixture(scope="module")
def cable():
    whole = cable_from_swc(read_swc(morphology_path("builtin:y_branch")))[0]
    return whole.split([np.arange(1, 8) / 8] * whole.n_frusta)


@pytest.mark.parametrize(("n", "short"), [(2, 1e-4), (3, 1e-4), (3, 2e-3)])
def test_shares_do_what_the_whole_does(cable, n, short):
    """Windows of all lengths, one exchange in those that are short; what nobody sent is not a number."""
    grid = cell_grid(cable)
    owner = partition(cable, np.ones(cable.n_frusta), n).owner
    fields = np.random.default_rng(0).random((2, grid.n))
    meeting, table = Barrier(n), {}
    ranks = [One(rank, n, meeting, table) for rank in range(n)]

    def one_rank(communicator):
        share = shared_diffusion(grid, owner, D, short, communicator)
        assert isinstance(share, SharedDiffusion)
        series, found = share.series(WINDOWS).padded(1), []
        own = jnp.asarray(fields[:, owner == communicator.rank])
        with jax.disable_jit():
            for coefficients, terms in zip(series.coefficients, series.terms, strict=True):
                before = communicator.exchanges
                found.append((share(own, coefficients, terms), communicator.exchanges - before))
        return found

    with ThreadPoolExecutor(n) as pool:
        shares = list(pool.map(one_rank, ranks))
    whole = cable_diffusion(grid, D)
    series = whole.series(WINDOWS).padded(1)
    for row, length in enumerate([*WINDOWS, 0.0]):
        expected = whole(jnp.asarray(fields), series.coefficients[row], series.terms[row])
        for rank in range(n):
            found, exchanges = shares[rank][row]
            np.testing.assert_allclose(found, expected[:, owner == rank], rtol=1e-13)
            assert (exchanges == 1) == (length <= short)


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
        np.testing.assert_allclose(found, alone(fields, series.coefficients[row], series.terms[row]), rtol=1e-13)


VOLUMES = ("cytosol", "er")


def test_every_species_diffuses_in_the_volume_it_lives_in(cable):
    """As it does alone on a cable of that volume, and with its own content kept."""
    held = replace(cable, er_radius=0.2 * cable.radius + 0.1 * cable.radius.min())
    grid, fields = cell_grid(held, VOLUMES), jnp.asarray(np.random.default_rng(2).random((2, cable.n_frusta)))
    both = cable_diffusion(grid, D, volumes=VOLUMES)
    series = both.series(WINDOWS)
    found = np.asarray(both(fields, series.coefficients[1], series.terms[1]))
    for number, volume in enumerate(VOLUMES):
        one = cable_diffusion(cell_grid(held.within(volume)), D, radius=both.radius)
        alone = np.asarray(one(fields, series.coefficients[1], series.terms[1]))[number]
        np.testing.assert_allclose(found[number], alone, rtol=1e-13)
        own = grid.within(volume).volume
        np.testing.assert_allclose(own @ found[number], own @ np.asarray(fields[number]), rtol=1e-13)
