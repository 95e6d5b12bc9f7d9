"""Least squares on the heads, against rows written down independently from the equation."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from hpcpinn.networks.trunk import make_trunk
from hpcpinn.training.collocation import CollocationPoints, feature_table, gauss_grid, random_points
from hpcpinn.training.least_squares import (
    CableRows,
    Linearisation,
    RowWeights,
    accept,
    correct,
    linearise,
    respond,
)
from hpcpinn.training.local import EdgeRows, Window, combine, edge_values, piece_geometry
from tests.training.systems import Binding, Decay, cable, no_forcing, three_pieces

GRID = gauss_grid(6, 5)
WEIGHTS = RowWeights(initial=2.0, edge=5.0, balance=7.0)
DURATION = 0.3


class Case:
    """Three pieces in a window, with heads, data and edge conditions drawn at random."""

    def __init__(self, equation: Any, points: CollocationPoints | None = None, *, even: bool = True) -> None:
        self.equation, self.cable = equation, three_pieces()
        self.table = feature_table(make_trunk(10, seed=4), GRID, points)
        self.geometry = piece_geometry(self.cable, GRID.space)
        draw = np.random.default_rng(7)
        n_points = len(self.table.points.weight)
        emphasis = np.ones((3, n_points)) if even else draw.uniform(0.2, 2.0, (3, n_points))
        self.edges = EdgeRows(*(jnp.asarray(draw.uniform(-1.0, 1.0, (3, 2, 2))) for _ in range(2)))
        self.heads = jnp.asarray(draw.normal(0.0, 0.1, (3, 2, 10)))
        self.robin_in = jnp.asarray(draw.normal(0.0, 0.3, (3, 2, 2, 5)))
        self.window = Window(
            jnp.asarray(DURATION),
            jnp.asarray(draw.normal(1.0, 0.1, (3, 2, 6))),
            no_forcing(3, n_points),
            jnp.asarray(emphasis),
        )

    @cached_property
    def rows(self) -> CableRows:
        return CableRows(self.equation, self.table, self.geometry, self.edges, WEIGHTS)

    @cached_property
    def linearised(self) -> Callable[[float], Linearisation]:
        """Linearisation at the heads; rows are formed where coefficients vary by more than so much."""
        return jax.jit(lambda limit: linearise(self.rows, self.window, self.heads, exact_above=limit))

    @cached_property
    def step(self) -> Callable[[Linearisation, Array, Array], Array]:
        """The heads after one step from `heads` in which the ends are told `robin_in`."""

        def run(linear, robin_in, heads):
            correction = correct(self.rows, self.window, heads, linear)
            return accept(self.rows, self.window, linear, correction, robin_in)

        return jax.jit(run)

    @cached_property
    def loss(self) -> Callable[..., tuple[Array, Array]]:
        """Gradient of half the sum of squared rows of a piece, and JᵀJ of the rows."""

        def run(piece, head, robin_in, resolvent):
            def rows(flat):
                return self._rows(piece, flat.reshape(2, 10), robin_in, resolvent)

            jacobian = jax.jacfwd(rows)(head.ravel())
            half_squares = jax.grad(lambda flat: 0.5 * jnp.sum(rows(flat) ** 2))
            return half_squares(head.ravel()), jacobian.T @ jacobian

        return jax.jit(run)

    def _rows(self, piece: Array, heads: Float[Array, "K M"], robin_in: Array, resolvent: Array) -> Array:
        """All weighted rows of a piece, from the field in physical coordinates."""
        trunk, equation = self.table.trunk, self.equation
        length, radius, er_radius = (
            jnp.asarray(part)[piece] for part in (self.cable.length, self.cable.radius, self.cable.er_radius)
        )
        scale, rest = jnp.asarray(equation.scale), jnp.asarray(equation.rest)
        diffusion = jnp.asarray(equation.diffusion)

        def area(s):
            a, r = (ends[0] + s / length * (ends[1] - ends[0]) for ends in (radius, er_radius))
            return jnp.pi * (a**2 - r**2)

        def u(s, t):
            square = jnp.stack([2 * s / length - 1, 2 * t / DURATION - 1])
            return rest + scale * (heads @ (trunk.network.apply(trunk.parameters, square) @ trunk.mixing))

        def flux(s, t):
            return area(s) * diffusion * jax.jacfwd(u, 0)(s, t)

        def miss(s, t):
            transport = jax.jacfwd(flux, 0)(s, t) / area(s)
            return jax.jacfwd(u, 1)(s, t) - transport - equation.source(u(s, t), None)

        points, grid = self.table.points, self.table.grid
        residual = jax.vmap(miss)((points.xi + 1) / 2 * length, (points.tau + 1) / 2 * DURATION)
        weight = jnp.sqrt(points.weight * self.window.emphasis[piece])
        inside = weight[:, None] * (residual @ resolvent.T) / scale
        start = jax.vmap(lambda x: u((x + 1) / 2 * length, 0.0))(grid.space)
        initial = WEIGHTS.initial * jnp.sqrt(grid.space_weight)[:, None]
        initial = initial * (start - self.window.initial[piece].T) / scale
        kappa = jnp.sqrt((1.0 / DURATION + jnp.asarray(equation.rate)) / diffusion)
        times = (grid.time + 1) / 2 * DURATION

        def at_end(end, place, outwards):
            value = jax.vmap(lambda t: u(place, t) - rest)(times)
            slope = outwards * jax.vmap(lambda t: jax.jacfwd(u, 0)(place, t))(times) / kappa
            a, b = self.edges.receive[piece, end]
            gap = (a * value + b * slope - robin_in[end].T) / scale
            return WEIGHTS.edge * jnp.sqrt(grid.time_weight)[:, None] * gap

        ends = (at_end(0, 0.0, -1.0), at_end(1, length, 1.0))

        # One more row: what the piece holds in the end but neither held at first nor was given.
        content = jnp.asarray(equation.content) / np.hypot(*equation.scale)  # both count for the content
        cross = area((grid.space + 1) / 2 * length) * grid.space_weight
        surplus = (start - self.window.initial[piece].T).T @ cross
        made = residual.T @ (area((points.xi + 1) / 2 * length) * points.weight)
        balance = WEIGHTS.balance * content @ (surplus + DURATION * made) / cross.sum()
        return jnp.concatenate([part.ravel() for part in (inside, initial, *ends, balance)])


@cache
def case_of(name: str) -> Case:
    return {
        "linear": lambda: Case(Decay()),
        "nonlinear": lambda: Case(Binding()),
        "scattered": lambda: Case(Binding(), random_points(GRID, 30, seed=1), even=False),
    }[name]()


ROWS, MEANS = -1.0, np.inf
"""Limits that choose one way to the normal matrix everywhere."""


def size(array: Array) -> float:
    return float(jnp.abs(array).max())


def squared(lower: Array) -> np.ndarray:
    return np.asarray(lower @ lower.T)


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("linear", 1e-10),
        ("nonlinear", 1e-10),
        ("scattered", 1e-4),
    ],  # points between nodes: A'/A is interpolated
)
def test_the_step_solves_the_normal_equations_of_the_rows(name: str, accuracy: float) -> None:
    """The matrix is JᵀJ and the right side the gradient of rows written down from the equation."""
    case = case_of(name)
    linear = case.linearised(ROWS)
    moved = case.heads - case.step(linear, case.robin_in, case.heads)
    for piece in range(3):
        robin_in, resolvent = case.robin_in[piece], linear.resolvent[piece]
        gradient, normal = case.loss(piece, case.heads[piece], robin_in, resolvent)
        got = squared(linear.cholesky[piece])
        np.testing.assert_allclose(got, normal, rtol=0, atol=accuracy * size(normal))
        np.testing.assert_allclose(got @ moved[piece].ravel(), gradient, rtol=0, atol=accuracy * size(gradient))


@pytest.mark.parametrize("name", ["nonlinear", "scattered"])
def test_the_resolvent_is_the_inverse_of_the_mean_jacobian(name: str) -> None:
    case = case_of(name)
    value = np.asarray(case.table.inside.value)
    for piece, resolvent in enumerate(case.linearised(ROWS).resolvent):
        departure = np.asarray(case.heads[piece]) @ value.T
        field = np.array(case.equation.rest)[:, None] + np.array(case.equation.scale)[:, None] * departure
        slopes = jax.vmap(jax.jacfwd(lambda u: case.equation.source(u, None)))(jnp.asarray(field.T))
        mean = np.tensordot(case.table.points.weight, slopes, 1)
        np.testing.assert_allclose(resolvent @ (np.eye(2) / DURATION - mean), np.eye(2), atol=1e-12)


def test_means_give_the_matrix_of_the_rows_where_coefficients_are_constant() -> None:
    case, cylinder = case_of("linear"), 2
    rows, means = case.linearised(ROWS), case.linearised(MEANS)
    wanted = squared(rows.cholesky[cylinder])
    np.testing.assert_allclose(squared(means.cholesky[cylinder]), wanted, rtol=0, atol=1e-12 * size(wanted))
    np.testing.assert_allclose(means.transfer[cylinder], rows.transfer[cylinder], rtol=0, atol=1e-8)


def test_pieces_factorised_together_are_those_factorised_one_by_one() -> None:
    case = case_of("nonlinear")
    together = jax.jit(lambda heads: linearise(replace(case.rows, batch=2), case.window, heads))(case.heads)
    single = case.linearised(ROWS)
    np.testing.assert_allclose(together.cholesky, single.cholesky, rtol=0, atol=1e-10 * size(single.cholesky))
    np.testing.assert_allclose(together.transfer, single.transfer, rtol=0, atol=1e-8)


def test_rows_are_formed_only_where_coefficients_vary() -> None:
    """A threshold chooses piece by piece; uneven emphasis always needs rows."""
    case = case_of("nonlinear")
    rows, means = (case.linearised(limit).cholesky for limit in (ROWS, MEANS))
    assert size(rows - means) > 1e-3 * size(rows)
    between = [case.linearised(limit).cholesky for limit in np.geomspace(1e-3, 10.0, 80)]
    for chosen in between:
        assert all(np.array_equal(chosen[p], rows[p]) or np.array_equal(chosen[p], means[p]) for p in range(3))
    formed = [[bool(np.array_equal(chosen[p], rows[p])) for p in range(3)] for chosen in between]
    assert any(len(set(pieces)) == 2 for pieces in formed)
    assert all(formed[0]) and not any(formed[-1])
    uneven = case_of("scattered")
    assert np.array_equal(uneven.linearised(ROWS).cholesky, uneven.linearised(MEANS).cholesky)


def test_either_matrix_leads_newton_to_the_same_heads() -> None:
    case, ends = case_of("nonlinear"), []
    for limit in (ROWS, MEANS):
        linear, heads = case.linearised(limit), case.heads
        for _ in range(120):
            heads = case.step(linear, case.robin_in, heads)
        assert size(case.step(linear, case.robin_in, heads) - heads) < 1e-10
        ends.append(heads)
    assert size(ends[0] - ends[1]) < 1e-8
    assert size(ends[0] - case.heads) > 0.05


def test_transfer_is_what_solving_again_would_report() -> None:
    case = case_of("nonlinear")
    linear = case.linearised(0.2)

    def robin_out(robin_in: Array) -> Array:
        heads = case.step(linear, robin_in, case.heads)
        value, slope = edge_values(case.equation, case.table, case.geometry, DURATION, heads)
        return combine(case.edges.send, value, slope)

    base = jax.jit(lambda heads: correct(case.rows, case.window, heads, linear).robin_out)(case.heads)
    np.testing.assert_allclose(robin_out(jnp.zeros_like(case.robin_in)), base, rtol=0, atol=1e-9 * size(base))
    answer = robin_out(case.robin_in) - base
    assert size(answer) > 0.1
    np.testing.assert_allclose(
        respond(case.equation, linear.transfer, case.robin_in), answer, rtol=0, atol=1e-9 * size(answer)
    )


def test_one_step_solves_a_linear_problem() -> None:
    case = case_of("linear")
    linear = case.linearised(ROWS)
    once = case.step(linear, case.robin_in, case.heads)
    for piece in range(3):
        robin_in, resolvent = case.robin_in[piece], linear.resolvent[piece]
        before, after = (size(case.loss(piece, heads[piece], robin_in, resolvent)[0]) for heads in (case.heads, once))
        assert after < 1e-10 * before
    assert size(case.step(linear, case.robin_in, once) - once) < 1e-9 * size(once)


def test_nothing_is_float32() -> None:
    case = case_of("nonlinear")
    linear = case.linearised(0.2)
    for program in (
        jax.make_jaxpr(case.linearised)(0.2),
        jax.make_jaxpr(case.step)(linear, case.robin_in, case.heads),
    ):
        assert "f64" in str(program) and "f32" not in str(program)


def test_error_of_an_exact_solution_falls_with_the_width_of_the_trunk() -> None:
    """u = e^{−(λ + D k²) t} cos(k s) on a cylinder, both ends told value and slope of it."""
    equation = Decay(exchange=0.0)
    length, k = 2.0, 1.2
    grid = gauss_grid(12, 12)
    geometry = piece_geometry(cable([(0, 1)], [length], [(0.5, 0.5)]), grid.space)
    rate, diffusion = np.array(equation.rate), np.array(equation.diffusion)
    falling = (rate + diffusion * k**2)[:, None]

    def exact(s, t):
        return np.exp(-falling * t) * np.cos(k * s)

    def slope(s, t):
        return -k * np.exp(-falling * t) * np.sin(k * s)

    time, place = (grid.time + 1) / 2 * DURATION, (grid.space + 1) / 2 * length
    kappa = np.sqrt((1.0 / DURATION + rate) / diffusion)[:, None]
    robin_in = [exact(0.0, time) - slope(0.0, time) / kappa, exact(length, time) + slope(length, time) / kappa]
    robin_in = jnp.asarray(np.stack(robin_in))[None]
    start = np.array(equation.rest)[:, None] + exact(place, 0.0)
    edges = EdgeRows(jnp.ones((1, 2, 2)), jnp.ones((1, 2, 2)))
    window = Window(jnp.asarray(DURATION), jnp.asarray(start)[None], no_forcing(1, 144))
    errors = []
    for n_features in (16, 80):
        table = feature_table(make_trunk(n_features), grid)

        def heads(table=table, n_features=n_features):
            rows, nothing = CableRows(equation, table, geometry, edges), jnp.zeros((1, 2, n_features))
            linear = linearise(rows, window, nothing)
            correction = correct(rows, window, nothing, linear)
            return accept(rows, window, linear, correction, robin_in)

        got = np.array(equation.scale)[:, None] * np.asarray(jax.jit(heads)()[0] @ table.final.T)
        errors.append(np.abs(got - exact(place, DURATION)).max())
    assert errors[0] > 1e-4
    assert errors[1] < 1e-6
