"""Finite differences on the square: second order in space and time at once, conservative, right limits."""

import numpy as np

from hpcpinn.reference.square import ReferenceSquare, solve_square

D, K, A = 0.32, 0.05, 2.5


def mode(x, y):
    """cos-shaped along both sides: decays as one exponential."""
    return 1.0 + np.cos(np.pi * (x + A) / (2 * A)) * np.cos(np.pi * (y + A) / A)


def exact_mode(x, y, t):
    rate = D * ((np.pi / (2 * A)) ** 2 + (np.pi / A) ** 2)
    return np.exp(-K * t) * (1.0 + np.exp(-rate * t) * (mode(x, y) - 1.0))


def test_it_converges_with_order_two():
    problem, times, errors = ReferenceSquare(D, K, A, mode), np.array([0.0, 1.0, 3.0]), []
    for cells in (12, 24, 48):
        frames = solve_square(problem, times, (cells, 2 * cells), step=3.0 / cells, settling=1.0)
        x, y = problem.middles(cells), problem.middles(2 * cells)
        wanted = np.stack([exact_mode(x[None, :], y[:, None], t) for t in times])
        errors.append(np.abs(frames - wanted).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - 2.0) < 0.1), (errors, orders)


def test_what_is_lost_is_taken_up():
    problem = ReferenceSquare(D, K, A, lambda x, y: np.exp(-((x - 1.9) ** 2 + (y + 2.2) ** 2)))
    times = np.array([0.0, 0.7, 4.0])
    amount = solve_square(problem, times, (20, 24), step=0.2, settling=0.5).sum(axis=(1, 2))
    np.testing.assert_allclose(amount, amount[0] * np.exp(-K * times), rtol=1e-12)


def test_axes_are_y_and_x():
    problem = ReferenceSquare(D, 0.0, A, lambda x, y: x + 0.0 * y)
    frame = solve_square(problem, np.zeros(1), (4, 3), step=0.1, settling=1.0)[0]
    np.testing.assert_allclose(frame, np.tile(problem.middles(4), (3, 1)))
