"""Diffusion by networks with kept factors: exact solutions, content, agreement at the ends, few factors."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from hpcpinn.domain.interfaces import storage_order
from hpcpinn.domain.network_diffusion import NetworkDiffusion, network_diffusion
from hpcpinn.domain.partition import colour, partition
from hpcpinn.domain.pieces import PieceRule, cut_into_pieces
from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.diffusion import cable_diffusion
from hpcpinn.training.collocation import lagrange
from synthetic import y_cable
from tests.training.systems import cable

D = (220.0, 20.0)
LENGTHS = np.array([1e-4, 1e-3, 1e-2])


def equivalent_cylinder() -> Cable:
    """A Y whose children have the parent's cross-section together; 160 µm from root to both tips.

    What depends on the path alone diffuses as on one cable of 160 µm (Rall).
    """
    nodes = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (3, 8), (8, 9), (9, 10), (10, 11), (11, 12)]
    radii = [(1.0, 1.0)] * 3 + [(0.8, 0.8)] * 4 + [(0.6, 0.6)] * 5
    return cable(nodes, [20.0] * 3 + [25.0] * 4 + [25.0, 15.0, 20.0, 20.0, 20.0], radii)


def y_pieces() -> Cable:
    """A Y cut as runs cut it: short pieces where the radius jumps."""
    return cut_into_pieces(y_cable((60.0, 50.0, 40.0)), [], [], PieceRule(20.0, 0.5, 2.0)).cable


def alone(pieces: Cable) -> NetworkDiffusion:
    return network_diffusion(pieces, np.zeros(pieces.n_frusta, int), SerialCommunicator(), D)


@cache
def on_cylinder() -> NetworkDiffusion:
    diffusion = alone(equivalent_cylinder())
    diffusion.series(LENGTHS)
    return diffusion


@cache
def on_y() -> NetworkDiffusion:
    diffusion = alone(y_pieces())
    diffusion.series(LENGTHS)
    return diffusion


def along(diffusion: NetworkDiffusion, ends: np.ndarray) -> np.ndarray:
    """What is linear on every piece, at its nodes, (P, X)."""
    share = (diffusion.table.grid.space + 1.0) / 2.0
    return ends[:, :1] + share * (ends[:, 1:] - ends[:, :1])


def node_volumes(diffusion: NetworkDiffusion) -> np.ndarray:
    """Volume that every point stands for."""
    geometry = diffusion.geometry
    return np.asarray(geometry.length[:, None] * geometry.cross_section(0) * diffusion.table.grid.space_weight).ravel()


@cache
def marcher(diffusion: NetworkDiffusion):
    """Compiled once for every number of windows."""

    @jax.jit
    def run(fields, number, count, stored):
        return jax.lax.fori_loop(0, count, lambda _, u: diffusion(u, number, *stored), fields)

    return run


def march(diffusion: NetworkDiffusion, fields: np.ndarray, length: float, count: int) -> np.ndarray:
    """The fields after some windows of one length. Collective over all ranks."""
    number = diffusion.series(np.array([length])).number[0]
    return np.asarray(marcher(diffusion)(jnp.asarray(fields), number, count, diffusion.stored))


def mode(diffusion: NetworkDiffusion) -> np.ndarray:
    """A wave of two periods along the equivalent cylinder."""
    pieces = equivalent_cylinder()
    s = along(diffusion, pieces.path)
    return np.cos(4.0 * np.pi * s / 160.0).ravel()


@pytest.mark.parametrize("length, count", [(1e-4, 100), (1e-3, 10), (1e-2, 1)])
def test_exact_solution_through_a_branch_point(length: float, count: int) -> None:
    """Zero flux at root and tips, radii that differ: the same after few long windows and many short ones."""
    diffusion = on_cylinder()
    u = mode(diffusion)
    got = march(diffusion, np.stack([u, u]), length, count)
    rate = (4.0 * np.pi / 160.0) ** 2 * np.array(D)
    wanted = np.exp(-rate * length * count)[:, None] * u
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_all_ends_agree_at_their_nodes() -> None:
    diffusion = on_cylinder()
    u = mode(diffusion)
    after = march(diffusion, np.stack([u, u]), 1e-3, 3).reshape(2, len(diffusion.geometry.length), -1)
    ends = after @ lagrange(diffusion.table.grid.space, np.array([-1.0, 1.0])).T
    node = np.asarray(diffusion.interfaces.rule.end_node)
    for one in np.unique(node):
        values = ends[:, node == one]
        assert np.ptp(values, axis=1).max() < 1e-4


def test_content_is_kept_to_round_off_whatever_the_field() -> None:
    diffusion = on_y()
    rough = np.random.default_rng(1).random((2, diffusion.n_points))
    volume = node_volumes(diffusion)
    np.testing.assert_allclose(volume.sum(), y_pieces().volume.sum(), rtol=1e-13)
    for length in LENGTHS:
        after = march(diffusion, rough, length, 20)
        np.testing.assert_allclose(after @ volume, rough @ volume, rtol=1e-12)


def test_a_uniform_field_stays_and_no_mode_grows() -> None:
    diffusion = on_y()
    volume = node_volumes(diffusion)
    rough = np.random.default_rng(2).standard_normal((2, diffusion.n_points))
    for length in LENGTHS:
        np.testing.assert_allclose(march(diffusion, np.full(rough.shape, 7.0), length, 3), 7.0, rtol=1e-9)
        after = [march(diffusion, rough, length, count) for count in (1, 200, 1000)]
        norms = [np.sqrt((u - (u @ volume / volume.sum())[:, None]) ** 2 @ volume) for u in after]
        assert np.all(norms[1] < norms[0])
        assert np.all(norms[2] < norms[1])


def test_windows_of_no_length_change_no_bit() -> None:
    diffusion = on_y()
    fields = np.random.default_rng(3).standard_normal((2, diffusion.n_points))
    rows = diffusion.series(LENGTHS).padded(2)
    assert len(rows.number) == len(LENGTHS) + 2
    for number in (rows.number[-1], diffusion.series(np.zeros(1)).number[0]):
        got = diffusion(jnp.asarray(fields), number, *diffusion.stored)
        assert np.array_equal(got, fields)


def test_agrees_with_the_exact_operator_on_refined_cells() -> None:
    """A field that jumps where the radius does, as an influx leaves it behind."""
    diffusion, pieces, parts = on_y(), y_pieces(), 40
    cells = pieces.split([np.arange(1, parts) / parts] * pieces.n_frusta)
    exact = cable_diffusion(cell_grid(cells), D)
    row = exact.series(np.array([5e-3]))
    start = 1.0 / cells.radius.mean(axis=1)
    found = np.asarray(exact(jnp.asarray(np.stack([start, start])), row.coefficients[0], row.terms[0]))
    middles = (np.arange(parts) + 0.5) / parts
    spline = CubicSpline(middles, found.reshape(2, -1, parts), axis=2)
    wanted = spline((diffusion.table.grid.space + 1.0) / 2.0).reshape(2, -1)

    u = (1.0 / along(diffusion, pieces.radius)).ravel()
    volume = node_volumes(diffusion)
    moved = np.sqrt((wanted - u) ** 2 @ volume)
    errors = {
        count: np.sqrt((march(diffusion, np.stack([u, u]), 5e-3 / count, count) - wanted) ** 2 @ volume) / moved
        for count in (5, 50)
    }
    assert np.all(errors[50] < 5e-3), errors
    assert np.all(errors[5] < 5e-3), errors


def test_factors_are_made_once_for_every_length() -> None:
    diffusion = alone(equivalent_cylinder())
    first = diffusion.series(np.array([1e-3, 2e-3, 1e-3, 2e-3 * (1.0 + 1e-13)]))
    assert diffusion.factorisations == 2
    kept = [np.asarray(diffusion.stored[0].keep[n]) for n in np.asarray(first.number)]
    again = diffusion.series(np.array([2e-3, 1e-3, *np.linspace(3e-3, 9e-3, 9)]))
    assert diffusion.factorisations == 11
    assert np.asarray(again.number)[:2].tolist() == np.asarray(first.number)[1::-1].tolist()
    for number, before in zip(np.asarray(first.number), kept, strict=True):
        assert np.array_equal(diffusion.stored[0].keep[number], before)


def test_absurd_amounts_are_refused() -> None:
    diffusion = alone(equivalent_cylinder())
    diffusion.most_bytes = 20.0 * diffusion.bytes_per_length
    diffusion.series(np.linspace(1e-3, 2e-3, 10))
    with pytest.raises(InputError, match=r"32 window lengths.*use fewer features"):
        diffusion.series(np.linspace(3e-3, 4e-3, 10))
    assert diffusion.factorisations == 10


@pytest.mark.mpi_ranks(2, limit=300)
def test_two_ranks_find_what_one_finds(communicator: Communicator) -> None:
    """In whatever order they hold their pieces: here that of coupled windows, red ones first."""
    pieces = y_pieces()
    n = pieces.n_frusta
    field = np.random.default_rng(4).random((2, n, 9))
    wanted = communicator.on_root(lambda: march(alone(pieces), field.reshape(2, -1), 1e-3, 5).reshape(2, n, -1))
    owner, colours = partition(pieces, np.ones(n), communicator.size).owner, colour(pieces)
    mine = storage_order(owner, colours, communicator.rank)
    assert 0 < len(mine) < n
    diffusion = network_diffusion(pieces, owner, communicator, D, colours=colours)
    after = march(diffusion, field[:, mine].reshape(2, -1), 1e-3, 5)
    np.testing.assert_allclose(after, wanted[:, mine].reshape(2, -1), rtol=0, atol=1e-11)


def test_every_species_diffuses_in_the_volume_it_lives_in() -> None:
    """As it does alone on pieces of that volume, and with its own content kept."""
    pieces = cable([(0, 1), (1, 2), (1, 3)], [20.0, 25.0, 15.0], [(1.0, 0.8), (0.6, 0.6), (0.5, 0.7)])
    pieces = replace(pieces, er_radius=0.3 * pieces.radius[:, ::-1] + 0.1)
    volumes, owner = ("cytosol", "er"), np.zeros(pieces.n_frusta, int)
    both = network_diffusion(pieces, owner, SerialCommunicator(), D, volumes=volumes)
    rows = both.series(LENGTHS[1:2])
    fields = jnp.asarray(np.random.default_rng(3).random((2, both.n_points)))
    found = np.asarray(both(fields, rows.number[0], *both.stored)).reshape(2, pieces.n_frusta, -1)
    for number, volume in enumerate(volumes):
        one = network_diffusion(pieces.within(volume), owner, SerialCommunicator(), D[number : number + 1])
        rows = one.series(LENGTHS[1:2])
        alone = np.asarray(one(fields[number : number + 1], rows.number[0], *one.stored))
        np.testing.assert_allclose(found[number], alone.reshape(pieces.n_frusta, -1), rtol=1e-10)
        own, start = node_volumes(one), np.asarray(fields[number])
        np.testing.assert_allclose(own @ found[number].ravel(), own @ start, rtol=1e-12)
