"""Pieces that agree at a junction: the fixed point is continuous, conserves, and has one answer."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from exact import cone_mode
from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.domain.flows import node_volume
from hpcpinn.domain.interfaces import build_interfaces, storage_order
from hpcpinn.domain.newton import NewtonSettings
from hpcpinn.domain.partition import colour
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.domain.window_solver import WindowSolution
from hpcpinn.morphology.cable import Cable
from hpcpinn.networks.trunk import make_trunk
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.training.collocation import feature_table, gauss_grid
from hpcpinn.training.local import Window, edge_values, evaluate, piece_geometry, robin_parameter
from tests.training.systems import Binding, Decay, cable, no_forcing

DURATION = 0.5
GRID = gauss_grid(10, 10)
SIZE = jnp.array([1.0, 3.0])


def branches() -> Cable:
    """A Y of six pieces: three branches of different radii, some tapering; 2.2 from root to fork to tips."""
    return cable(
        [(0, 1), (1, 2), (2, 3), (3, 4), (2, 5), (5, 6)],
        [1.0, 1.2, 1.2, 1.0, 1.3, 0.9],
        [(1.0, 0.9), (0.9, 0.8), (0.5, 0.4), (0.4, 0.4), (0.3, 0.3), (0.3, 0.2)],
    )


def wave(s: np.ndarray) -> np.ndarray:
    """Departure from rest of both species at the path s; flat at the root, the fork and the tips."""
    return np.stack([np.cos(np.pi * s / 2.2), 2.0 - np.cos(np.pi * s / 2.2)])


def solver(equation=None, transmission="robin", pieces=None, features=64, **sweeping) -> CoupledWindow:
    pieces, equation = branches() if pieces is None else pieces, equation or Decay()
    owner, colours = np.zeros(pieces.n_frusta, int), colour(pieces)
    stored = storage_order(owner, colours, 0)
    settings = {"tolerance": 1e-11, "max_sweeps": 400, "most_per_window": 10_000, **sweeping}
    return CoupledWindow(
        equation=equation,
        table=feature_table(make_trunk(features), GRID),
        geometry=piece_geometry(pieces.take(stored), GRID.space, equation.volumes),
        interfaces=build_interfaces(pieces, owner, colours, 0, transmission, equation.volumes),
        communicator=make_communicator("serial"),
        sweeping=SweepSettings(n_red=int((colours == 0).sum()), **settings),
        newton=NewtonSettings(tolerance=1e-10, max_steps=20),
    )


def start_of(pieces: Cable, equation) -> jnp.ndarray:
    """The wave at the space nodes, in the order of storage."""
    mine = pieces.take(storage_order(np.zeros(pieces.n_frusta, int), colour(pieces), 0))
    share = (GRID.space + 1.0) / 2.0
    path = mine.path[:, :1] + share * np.diff(mine.path, axis=1)
    return jnp.asarray(np.array(equation.rest)[:, None] + np.moveaxis(wave(path), 0, 1))


def solved(here: CoupledWindow, field: jnp.ndarray) -> WindowSolution:
    window = Window(jnp.asarray(DURATION), field, no_forcing(field.shape[0], 100))
    given = jnp.zeros((field.shape[0], 2, 2, 10))
    return here.solve(window, here.continued(field, DURATION), given, SIZE)


@cache
def answer(transmission="robin", **sweeping) -> tuple[CoupledWindow, WindowSolution]:
    here = solver(Binding(), transmission, **sweeping)
    return here, solved(here, start_of(branches(), here.equation))


def field_of(here: CoupledWindow, solution: WindowSolution) -> np.ndarray:
    return np.asarray(evaluate(here.table.inside.value, solution.traces.heads, here.equation))


def junction(here: CoupledWindow, solution: WindowSolution) -> tuple[np.ndarray, np.ndarray]:
    """Values and outward flows A D ∂n u of the three ends that meet, (3, K, T)."""
    pieces = branches()
    stored = storage_order(np.zeros(6, int), colour(pieces), 0)
    value, slope = edge_values(here.equation, here.table, here.geometry, DURATION, solution.traces.heads)
    kappa = robin_parameter(here.equation, DURATION)[:, None]
    flow = slope * kappa * jnp.asarray(here.equation.diffusion)[:, None]
    flow = flow * here.geometry.end_area[..., None]
    meeting = [(row, end) for row in range(6) for end in (0, 1) if pieces.node[stored[row], end] == 2]
    assert len(meeting) == 3
    return tuple(np.array([array[at] for at in meeting]) for array in (value, flow))


@pytest.mark.parametrize("transmission", ["robin", "dirichlet-neumann"])
def test_values_agree_and_flows_cancel_at_a_junction(transmission: str) -> None:
    here, solution = answer(transmission)
    assert solution.converged
    value, flow = junction(here, solution)
    assert np.abs(value - value.mean(axis=0)).max() < 2e-4 * np.abs(value).max()
    assert np.abs(flow).max() > 0.1
    assert np.abs(flow.sum(axis=0)).max() < 1e-2 * np.abs(flow).max()


def test_robin_is_fixed_where_every_end_is_told_twice_the_mean_less_its_report() -> None:
    """Whatever the least squares make of it: g + o is the same for all ends of a node."""
    here, solution = answer()
    value, slope = edge_values(here.equation, here.table, here.geometry, DURATION, solution.traces.heads)
    both = np.asarray(solution.traces.robin_in + (value - slope))
    stored = storage_order(np.zeros(6, int), colour(branches()), 0)
    node = branches().node[stored]
    for place in range(7):
        sums = both[node == place]
        if len(sums) > 1:
            assert np.abs(sums - sums[0]).max() < 1e-8


@cache
def linear_answer(**sweeping) -> np.ndarray:
    here = solver(Decay(), tolerance=1e-13, **sweeping)
    solution = solved(here, start_of(branches(), here.equation))
    assert solution.converged
    return field_of(here, solution)


@pytest.mark.parametrize(
    "sweeping",
    [
        {"order": "additive"},
        {"acceleration": "none"},
        {"order": "additive", "acceleration": "none"},
        {"acceleration": "stars"},
        {"order": "additive", "acceleration": "stars"},
    ],
)
def test_every_way_to_sweep_leads_to_the_same_answer(sweeping: dict[str, str]) -> None:
    """Of a linear equation: the rows of another are weighted by where Newton has last linearised."""
    assert np.abs(linear_answer() - linear_answer(**sweeping)).max() < 1e-10


def test_dirichlet_neumann_agrees_up_to_the_discretisation() -> None:
    reference = field_of(*answer())
    apart = np.abs(field_of(*answer("dirichlet-neumann")) - reference).max()
    assert 0.0 < apart < 1e-3 * np.abs(reference).max()


def test_acceleration_and_alternation_save_sweeps() -> None:
    def sweeps(**sweeping) -> int:
        return answer(**sweeping)[1].sweeps

    assert sweeps() < sweeps(acceleration="none")
    assert sweeps(acceleration="none") < sweeps(order="additive", acceleration="none")
    assert sweeps(acceleration="stars") < sweeps() / 2


def test_rest_stays_at_rest_to_the_last_bit() -> None:
    here = answer()[0]
    field = jnp.broadcast_to(jnp.asarray(Decay.rest)[None, :, None], (6, 2, 10))
    here = replace(here, equation=Decay())
    solution = solved(here, field)
    assert np.array_equal(here.at_end(solution.traces.heads), field)


def test_what_does_not_react_is_kept() -> None:
    """Total content of a species that only diffuses, through junctions and jumps of the radius."""
    equation = Decay(exchange=0.0, rate=(0.0, 0.0))
    here = solver(equation)
    field = start_of(branches(), equation)
    solution = solved(here, field)
    volume = here.geometry.length[:, None] * here.geometry.cross_section(0) * GRID.space_weight
    before, after = (
        np.asarray(jnp.einsum("pkx,px->k", f, volume)) - np.array(equation.rest) * float(volume.sum())
        for f in (field, here.at_end(solution.traces.heads))
    )
    moved = np.abs(np.asarray(here.at_end(solution.traces.heads) - field)).max()
    assert moved > 0.1
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-5 * np.abs(before).max())


def test_a_cable_cut_into_pieces_is_the_cable_in_one() -> None:
    whole = cable([(0, 1)], [2.2], [(1.0, 0.56)])
    parts = cable([(0, 1), (1, 2)], [0.8, 1.4], [(1.0, 0.84), (0.84, 0.56)])
    ends = []
    for pieces in (whole, parts):
        here = solver(pieces=pieces, features=64)
        solution = solved(here, start_of(pieces, here.equation))
        value, _ = edge_values(here.equation, here.table, here.geometry, DURATION, solution.traces.heads)
        stored = list(storage_order(np.zeros(pieces.n_frusta, int), colour(pieces), 0))
        last = stored.index(pieces.n_frusta - 1)
        ends.append((np.asarray(value[stored.index(0), 0]), np.asarray(value[last, 1])))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-3)


def test_a_given_flux_comes_in_completely() -> None:
    """A flux through a free end and one into a junction, no reaction: the content grows by them."""
    equation = Decay(exchange=0.0, rate=(0.0, 0.0))
    here, pieces = solver(equation), branches()
    stored = storage_order(np.zeros(6, int), colour(pieces), 0)
    flux = np.zeros((6, 2, 10))
    flux[pieces.node[stored] == 4] = 0.3  # amount per time through a tip
    flux[pieces.node[stored] == 2] = 0.2  # into the junction, told to all its ends
    field = start_of(pieces, equation)
    window = Window(jnp.asarray(DURATION), field, no_forcing(6, 100))
    given = here.given_flux(jnp.asarray(flux), 0, DURATION)
    solution = here.solve(window, here.continued(field, DURATION), given, SIZE)
    volume = here.geometry.length[:, None] * here.geometry.cross_section(0) * GRID.space_weight
    gained = np.asarray(jnp.einsum("pkx,px->k", here.at_end(solution.traces.heads) - field, volume))
    np.testing.assert_allclose(gained, [0.5 * DURATION, 0.0], atol=2e-3 * DURATION)


def test_a_mirrored_cable_has_the_mirrored_answer() -> None:
    """The same cable rooted at its other end: ξ, the colours and the order of the sums turn round."""
    there = cable([(0, 1), (1, 2), (2, 3)], [1.0, 1.5, 1.0], [(1.0, 0.8), (0.8, 0.8), (0.4, 0.3)])
    back = cable([(0, 1), (1, 2), (2, 3)], [1.0, 1.5, 1.0], [(0.3, 0.4), (0.8, 0.8), (0.8, 1.0)])
    ends = []
    for pieces, turned in ((there, False), (back, True)):
        here = solver(Binding(), pieces=pieces, features=64)
        stored = storage_order(np.zeros(3, int), colour(pieces), 0)
        field = start_of(there, here.equation)[np.argsort(storage_order(np.zeros(3, int), colour(there), 0))]
        field = field[::-1, :, ::-1] if turned else field
        solution = solved(here, field[stored])
        final = here.at_end(solution.traces.heads)[np.argsort(stored)]
        ends.append(np.asarray(final[::-1, :, ::-1] if turned else final))
    assert np.ptp(ends[0]) > 0.5
    np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=5e-3)


def test_nothing_in_a_window_is_float32() -> None:
    here, solution = answer()
    field = start_of(branches(), here.equation)
    window = Window(jnp.asarray(DURATION), field, no_forcing(6, 100))
    given = jnp.zeros((6, 2, 2, 10))
    checks = no_forcing(6, 81)
    programs = {
        "continued": jax.make_jaxpr(here._continued)(field, DURATION),
        "linearise": jax.make_jaxpr(here.linearised)(window, solution.traces.heads),
        "step": jax.make_jaxpr(here._step)(window, solution.traces, solution.linear, given, SIZE, 1e-5, 8),
        "estimate": jax.make_jaxpr(here._estimate)(checks, DURATION, solution.traces.heads),
    }
    for name, program in programs.items():
        assert "f64" in str(program), name
        assert "f32" not in str(program), name
    results = jax.tree.leaves((solution.traces, solution.linear, solution.size, solution.histories))
    assert {leaf.dtype for leaf in results} == {np.dtype("float64")}


@pytest.mark.parametrize("acceleration", ["tree", "none"])
def test_a_species_in_an_organelle_follows_its_closed_form_and_leaves_the_cytosol_alone(acceleration: str) -> None:
    """In a reticulum of radius 0.3 (s + 1)."""
    mode, k = cone_mode((0.3, 0.96), 2.2)
    radius, er_radius = [(2.0, 1.8), (1.8, 1.2)], [(0.3, 0.54), (0.54, 0.96)]
    pieces = cable([(0, 1), (1, 2)], [0.8, 1.4], radius, er_radius)
    equation = Decay(exchange=0.0, rate=(0.0, 0.0), volumes=("cytosol", "er"))
    here = solver(equation, pieces=pieces, acceleration=acceleration)
    mine = pieces.take(storage_order(np.zeros(2, int), colour(pieces), 0))
    away = mode(mine.path[:, :1] + (GRID.space + 1.0) / 2.0 * np.diff(mine.path, axis=1))
    field = jnp.broadcast_to(jnp.asarray(equation.rest)[:, None], (2, 2, 10)).at[:, 1].add(away)
    after = np.asarray(here.at_end(solved(here, field).traces.heads))
    np.testing.assert_array_equal(after[:, 0], field[:, 0])
    decayed = away * np.exp(-equation.diffusion[1] * k**2 * DURATION)
    np.testing.assert_allclose(after[:, 1] - equation.rest[1], decayed, rtol=0.0, atol=2e-4)
    volume = np.asarray(node_volume(here))
    np.testing.assert_allclose(
        volume.sum(axis=(0, 2)), [part.volume.sum() for part in map(pieces.within, equation.volumes)]
    )
    held = volume[:, 1] * np.array([np.asarray(field[:, 1]), after[:, 1]])
    assert np.ptp(held.sum(axis=(1, 2))) < 1e-6 * np.abs(volume[:, 1] * away).sum()
