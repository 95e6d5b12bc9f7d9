"""A model that predicts no numbers ends an inference with a line, and writes nothing."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.coordinates import Coordinates
from hpcpinn.errors import SolveError
from hpcpinn.inference.entry import LearnedConstant, inverse_problem
from hpcpinn.inference.forward_model import Seen, is_traced
from hpcpinn.inference.gauss_newton import Prior
from hpcpinn.inference.infer import infer
from hpcpinn.inference.problem import InverseProblem, Observed
from hpcpinn.inference.study import DataSets, Synthesis, study
from hpcpinn.io.inputs import Destination
from hpcpinn.io.observations import Observations
from hpcpinn.parallel.communicator import SerialCommunicator

T = np.array([0.0, 1.0, 2.0, 3.0])
SEEN = Observed(Observations(2.0 * T, np.full(4, 0.1), {"t": T}, {"value": "mV", "t": "ms"}))


def traced(predict) -> InverseProblem:
    """The problem of a model whose only constant begins at 1."""
    problem = SimpleNamespace(parameters={"slope": 1.0}, predict=predict)
    return inverse_problem(problem, [LearnedConstant("slope", unit="mV")])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_prediction_that_is_no_number(tmp_path, wrong):
    def predict(parameters, at):
        return jnp.where(at["t"] > 1.5, wrong, parameters["slope"] * at["t"])

    line = r"predicts is not finite at slope = 1 mV, for 2 of 4 observations \(the first: t = 2\.0\); begin elsewhere"
    with pytest.raises(SolveError, match=line):
        infer(traced(predict), SEEN, output=Destination(tmp_path / "found.h5"))
    assert not list(tmp_path.iterdir())


def test_slopes_that_are_no_numbers(tmp_path):
    def predict(parameters, at):
        return parameters["slope"] * jnp.sqrt(at["t"] * (parameters["slope"] - 1.0))  # 0, with an infinite slope

    with pytest.raises(SolveError, match="the slopes of what the model predicts are not finite at slope = 1 mV"):
        infer(traced(predict), SEEN, output=Destination(tmp_path / "found.h5"))
    assert not list(tmp_path.iterdir())


def test_a_study_of_what_is_no_number():
    def predict(parameters, at):
        return jnp.where(at["t"] > 1.5, jnp.nan, parameters["slope"] * at["t"])

    experiment = Synthesis(np.zeros(1), 1.0, lambda count, number: (SEEN.observations, SEEN.observations.value))
    with pytest.raises(SolveError, match="predicts is not finite at slope = 1 mV, for 2 of 4 observations"):
        study(traced(predict), experiment, DataSets((0.1,), (4,), 20), SerialCommunicator())


class Line:
    """A model of a line, every evaluation of which stands for a run; no number comes of slopes in a range."""

    names, units, coordinates = ("slope",), ("mV",), Coordinates((1.0,))

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def at(self, observations):
        return observations["t"]

    def solve(self, z, near=None, *, slopes=True):
        return float(z[0])

    def seen(self, solution, at):
        value = np.nan if self.low < solution < self.high else solution
        return Seen(value * at, at[:, None].copy())


def test_a_stepped_model_that_predicts_no_numbers(tmp_path):
    def problem(low: float, high: float) -> InverseProblem:
        return InverseProblem(Line(low, high), np.array([1.0]), Prior(np.zeros(1), np.zeros(1)), unit="mV")

    assert not is_traced(problem(0.0, 2.0).model)
    with pytest.raises(SolveError, match="predicts is not finite at slope = 1 mV, for 4 of 4 observations"):
        infer(problem(0.0, 1.5), SEEN, output=Destination(tmp_path / "found.h5"))
    assert not list(tmp_path.iterdir())
    found = infer(problem(2.1, 3.0), SEEN)  # never there
    assert found.result.estimate[0] == pytest.approx(2.0)
