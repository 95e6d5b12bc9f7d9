import numpy as np
import pytest

from hpcpinn.errors import SolveError
from hpcpinn.reference import rosenbrock
from hpcpinn.reference.rosenbrock import integrate

STIFF = 1e4


class Pair:
    """u' = −λ(u − cos t) − sin t, v' = −v² + u² + t: non-autonomous, nonlinear, as stiff as λ."""

    def __init__(self, rate: float):
        self._rate = rate

    def open_step(self, t, h):
        self._times = t + rosenbrock.NODES * h

    def close_step(self):
        pass

    def f(self, t, y):
        return np.array([-self._rate * (y[0] - np.cos(t)) - np.sin(t), -(y[1] ** 2) + y[0] ** 2 + t])

    def rate(self, stage, y):
        return self.f(self._times[stage], y)

    def time_slope(self, y):
        t = self._times[0]
        return np.array([-self._rate * np.sin(t) - np.cos(t), 1.0])

    def factor(self, y, shift):
        matrix = np.array([[shift + self._rate, 0.0], [-2.0 * y[0], shift + 2.0 * y[1]]])
        return lambda right: np.linalg.solve(matrix, right)

    def norm(self, error, y, tolerance):
        return float(np.max(np.abs(error) / (tolerance * (np.abs(y) + 1.0))))

    def longest(self, t):
        return np.inf


def run(rate, times, system=Pair, **options):
    options = {"stops": np.zeros(0), "tolerance": 1e-6} | options
    return integrate(system(rate), np.array([1.0, 0.5]), 0.0, np.asarray(times, float), **options)


def errors(rate, times, steps, exact):
    return [np.abs(run(rate, times, step=1.0 / n)[0] - exact).max() for n in steps]


def orders(values):
    return np.log2(np.array(values[:-1]) / np.array(values[1:]))


@pytest.mark.parametrize("rate", [1.0, STIFF])
def test_order_five_at_the_end_of_steps_stiff_or_not(rate):
    exact = run(rate, [1.0], tolerance=1e-13)[0]
    seen = orders(errors(rate, [1.0], (8, 16, 32), exact))
    assert seen.min() > 4.7


def test_order_four_between_steps():
    times = np.linspace(0.0, 1.0, 37)
    exact = run(1.0, times, tolerance=1e-13)[0]
    assert orders(errors(1.0, times, (8, 16, 32), exact)).min() > 3.7


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_error_follows_the_tolerance(tolerance):
    times = np.linspace(0.1, 3.0, 30)
    exact = run(STIFF, times, tolerance=1e-13)[0]
    seen = run(STIFF, times, tolerance=tolerance)[0]
    assert np.abs(seen[-1] - exact[-1]).max() < tolerance
    assert np.abs(seen - exact).max() < 100.0 * tolerance


def test_a_stiff_component_is_damped_at_once():
    y, _ = integrate(Pair(1e12), np.array([2.0, 0.5]), 0.0, np.array([0.1]),
                     stops=np.zeros(0), tolerance=1.0, step=0.1)  # fmt: skip
    assert abs(y[0, 0] - np.cos(0.1)) < 1e-6


def test_steps_end_at_the_stops():
    seen = []

    class Watched(Pair):
        def open_step(self, t, h):
            super().open_step(t, h)
            seen.append(t)

    stops = np.array([0.123, 0.777, 0.777 + 1e-16])
    integrate(Watched(1.0), np.array([1.0, 0.5]), 0.0, np.array([1.0]), stops=stops, tolerance=1e-6)
    for stop in (0.123, 0.777):
        assert np.abs(np.array(seen) - stop).min() < 1e-15


def test_the_first_time_may_be_the_start():
    y, _ = run(1.0, [0.0, 1.0])
    np.testing.assert_array_equal(y[0], [1.0, 0.5])


def test_cancelling_ends_the_solve():
    with pytest.raises(SolveError, match="cancelled at t = 0"):
        run(1.0, [1.0], cancel=lambda: True)


def test_running_out_of_steps_is_said():
    with pytest.raises(SolveError, match="3 steps used up"):
        run(1.0, [1.0], step=0.1, max_steps=3)


def test_a_state_that_blows_up_is_said():
    class Explosive(Pair):
        def f(self, t, y):
            return np.array([0.0, y[1] ** 2])

        def time_slope(self, y):
            return np.zeros(2)

        def factor(self, y, shift):
            return lambda right: right / np.array([shift, shift - 2.0 * y[1]])

    with pytest.raises(SolveError, match="collapsed at t = 2"):
        run(1.0, [3.0], system=Explosive)
