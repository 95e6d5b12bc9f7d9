"""Rectangles: the factors are those of the rows, sides answer as condensed, windows follow closed forms."""

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.domain.first_order_window import FirstOrderRectangles
from hpcpinn.domain.newton import NewtonSettings
from hpcpinn.domain.rectangle_window import RectangleWindow
from hpcpinn.domain.rectangles import Rectangles
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.errors import InputError
from hpcpinn.networks.axis import make_axis_trunk
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.training.first_order import FirstOrder
from hpcpinn.training.local import combine
from hpcpinn.training.rectangle_squares import accept, correct, loss
from hpcpinn.training.rectangles import RectangleData, rectangle_table, side_values

SIDE = 2.0


@dataclass(frozen=True)
class Exchange:
    """Two species that turn into each other and diffuse at their own pace; `rest` is not zero."""

    names = ("u", "v")
    diffusion = (0.3, 0.05)
    scale = (1.0, 4.0)
    rate = (0.5, 0.2)
    rest = (1.0, 2.5)
    content = (1.0, 1.0)

    def source(self, u: Any, forcing: Any) -> Any:
        flow = 0.5 * (u[0] - 1.0) - 0.2 * (u[1] - 2.5)
        return jnp.stack([-flow, flow])

    def passage(self, u: Any, forcing: Any) -> Any:
        return jnp.zeros(2)


def solver(communicator: Communicator, count=(3, 3), features=6, in_time=5) -> tuple[RectangleWindow, np.ndarray]:
    domain = Rectangles((0.0, 0.0), (SIDE, SIDE), count)
    owner = domain.owners(communicator.size)
    local = domain.stored(owner, communicator.rank)
    table = rectangle_table(
        partial(make_axis_trunk, features), make_axis_trunk(in_time, seed=1), features + 2, in_time + 2
    )
    sweeping = SweepSettings(int(np.sum(domain.colour[local] == 0)), tolerance=1e-10, max_sweeps=80,
                             most_per_window=80, memory=30)  # fmt: skip
    newton = NewtonSettings(1e-9, 4, renew_above=np.inf, renew_first=np.inf, inexact=0.0)
    window = RectangleWindow(
        Exchange(), table, domain.geometry(local), domain.interfaces(owner, communicator.rank), communicator,
        sweeping, newton,
    )  # fmt: skip
    return window, local


def modes(x: np.ndarray, y: np.ndarray, t: float) -> np.ndarray:
    """An even part of both species and one cos-shaped mode, exactly, (2, ...)."""
    shape = np.cos(np.pi * x / SIDE) * np.cos(2 * np.pi * y / SIDE)
    turning = np.array([[-0.5, 0.2], [0.5, -0.2]])
    wave = (np.pi / SIDE) ** 2 + (2 * np.pi / SIDE) ** 2
    even = jax.scipy.linalg.expm(turning * t) @ np.array([0.4, 1.0])
    shaped = jax.scipy.linalg.expm((turning - wave * np.diag([0.3, 0.05])) * t) @ np.array([0.5, -0.8])
    rest = np.array([1.0, 2.5])
    columns = (slice(None), *(None,) * x.ndim)
    return (rest + even)[columns] + np.asarray(shaped)[columns] * shape


def nodes(window: RectangleWindow) -> tuple[np.ndarray, np.ndarray]:
    centre, line = np.asarray(window.geometry.centre), window.table.grid.space
    half = 0.5 * np.asarray(window.geometry.size)
    x, y = (centre[:, axis, None] + half[axis] * line for axis in range(2))
    return np.broadcast_arrays(x[:, :, None], y[:, None, :])


def started(window: RectangleWindow, length: float) -> RectangleData:
    x, y = nodes(window)
    return RectangleData(jnp.asarray(length), jnp.asarray(np.moveaxis(modes(x, y, 0.0), 0, 1)))


@pytest.fixture
def small(communicator) -> RectangleWindow:
    return solver(communicator, features=3, in_time=3)[0]


def test_factors_are_those_of_the_rows_of_every_piece(small):
    """Of all nine kinds of piece, mirror images among them, and two species that turn into each other."""
    data = started(small, 0.4)
    heads = jnp.zeros((9, 2, 3, 3, 3))
    robin_in = jnp.zeros((9, 4, 2, 5 * 5))
    linear = small.linearised(data, heads).linear

    def squares(heads):
        return loss(small.rows, data, robin_in, heads)

    # The sum of squares is quadratic: differences of its gradient are the normal matrix times a vector.
    pull = jax.jit(jax.grad(squares))
    trial = jax.random.normal(jax.random.PRNGKey(5), heads.shape)
    pulled = (pull(trial) - pull(heads)).reshape(9, -1)
    for piece, flat in enumerate(trial.reshape(9, -1)):
        factor = linear.cholesky[small.geometry.block[piece]]
        wanted = factor @ (factor.T @ flat)
        np.testing.assert_allclose(pulled[piece], wanted, atol=1e-10 * float(jnp.abs(wanted).max()))


def test_sides_answer_as_condensed(small):
    """S applied to what the sides are told is what the trained heads report."""
    data, heads = started(small, 0.4), jnp.zeros((9, 2, 3, 3, 3))
    linear = small.linearised(data, heads).linear
    robin_in = jax.random.normal(jax.random.PRNGKey(0), (9, 4, 2, 25))
    correction = correct(small.rows, data, heads, linear)
    trained = accept(small.rows, data, linear, correction, robin_in)
    value, slope = side_values(small.equation, small.table, small.geometry, data.duration, trained)
    answer = combine(small.interfaces.rows.send, value, slope)
    scale = np.array(small.equation.scale)[:, None]
    flat = np.asarray(robin_in / scale).reshape(9, -1)
    expected = np.einsum("pij,pj->pi", linear.transfer, flat).reshape(robin_in.shape) * scale
    np.testing.assert_allclose(answer - correction.robin_out, expected, atol=1e-8)


@pytest.mark.parametrize("count", [(3, 3), (1, 1)], ids=str)
def test_a_window_follows_the_closed_form(communicator, count):
    features = {(3, 3): 7, (1, 1): 12}[count]
    window, _ = solver(communicator, count, features, 6)
    length = 0.3
    data = started(window, length)
    solution = window.solve(data, window.continued(data.initial, length), None, jnp.array([1.0, 4.0]))
    x, y = nodes(window)
    wanted = np.moveaxis(modes(x, y, length), 0, 1)
    error = np.abs(np.asarray(window.at_end(solution.traces.heads)) - wanted).max(axis=(0, 2, 3))
    assert solution.converged
    assert np.all(error < 2e-5 * np.array([1.0, 4.0])), error


FIRST_ORDER = {
    "adam": FirstOrder("adam", 2e-2, decay=3000),
    "lbfgs": FirstOrder("lbfgs"),
}


def trained_by(window: RectangleWindow, name: str, steps: int, sweeps: int) -> FirstOrderRectangles:
    """The same rows, by a first-order optimiser."""
    same = {field.name: getattr(window, field.name) for field in fields(RectangleWindow)}
    same["sweeping"] = replace(window.sweeping, tolerance=2e-3, max_sweeps=sweeps, most_per_window=sweeps)
    return FirstOrderRectangles(**same, optimiser=FIRST_ORDER[name], steps=steps)


@pytest.mark.parametrize("name, steps", [("adam", 3000), pytest.param("lbfgs", 600, marks=pytest.mark.slow)])
def test_first_order_trainers_come_to_the_least_squares_solution(communicator, name, steps):
    """Of rows that are the same; two species, 2 × 2 rectangles. A window held at its start would miss by 0.3."""
    window, _ = solver(communicator, (2, 2), features=6, in_time=4)
    length, size = 0.2, jnp.array([1.0, 4.0])
    data = started(window, length)
    guess = window.continued(data.initial, length)
    wanted = window.departure(window.solve(data, guess, None, size).traces.heads)
    solution = trained_by(window, name, steps, sweeps=10).solve(data, guess, None, size)
    missed, held = (
        float(jnp.max(jnp.abs(window.departure(heads) - wanted) / size[:, None]))
        for heads in (solution.traces.heads, guess.heads)
    )
    assert held > 0.1
    assert solution.converged and missed < 1e-2


@pytest.mark.mpi_ranks(2)
def test_first_order_training_does_not_depend_on_ranks(communicator):
    """Sides are told what their neighbours reported, whichever rank has them."""

    def trained(on: Communicator) -> dict[int, np.ndarray]:
        window, pieces = solver(on, (3, 2), features=4, in_time=3)
        data = started(window, 0.2)
        by_adam = trained_by(window, "adam", steps=8, sweeps=2)
        solution = by_adam.solve(data, window.continued(data.initial, 0.2), None, jnp.array([1.0, 4.0]))
        return dict(zip(pieces.tolist(), np.asarray(solution.traces.heads), strict=True))

    alone, shared = communicator.on_root(trained, SerialCommunicator()), trained(communicator)
    assert 0 < len(shared) < len(alone) == 6
    for piece, heads in shared.items():
        np.testing.assert_allclose(heads, alone[piece], atol=1e-9)


def test_sides_that_meet_lie_on_one_edge():
    domain = Rectangles((-1.0, -1.0), (2.0, 1.0), (3, 2))
    node = domain.node
    assert node[0, 1] == node[1, 0] and node[0, 3] == node[3, 2]  # right of 0 is left of 1, above 0 is below 3
    assert np.all(np.bincount(node.ravel()) <= 2)
    inner = np.sum(np.bincount(node.ravel()) == 2)
    assert inner == 2 * 2 + 3  # upright, level
    np.testing.assert_allclose(domain.centre[4], [0.5, 0.5])


def test_more_ranks_than_subdomains_are_refused():
    with pytest.raises(InputError, match=r"domain.subdomains: 1 x 2 = 2 for 3 ranks"):
        Rectangles((0.0, 0.0), (1.0, 1.0), (1, 2)).owners(3)
