"""Constants of a system that says no more than what would be observed: fitted, drawn, written, refused in a line."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.core.parameters import POSITIVE, REAL, Constants, Scalar, constant
from hpcpinn.errors import InputError, SolveError
from hpcpinn.inference.entry import LearnedConstant, inverse_problem
from hpcpinn.inference.forward_model import is_traced
from hpcpinn.inference.infer import infer
from hpcpinn.inference.problem import Observed
from hpcpinn.inference.sample import Sampling, sample
from hpcpinn.inference.summary_lines import lines_of_draws, lines_of_inference, warnings_of
from hpcpinn.io.draws import read_draws
from hpcpinn.io.inference import read_inference
from hpcpinn.io.inputs import Destination
from hpcpinn.io.observations import Observations
from hpcpinn.report.inference import draw_inference


@dataclass(frozen=True)
class DecayConstants(Constants):
    """Constants of an amount that decays to an offset."""

    tau: Scalar = constant("Time constant", "ms", POSITIVE, default=2.0)
    offset: Scalar = constant("What is left", "mV", REAL, measure=0.5, default=0.0)
    unused: Scalar = constant("A constant that nothing depends on", "nA", POSITIVE, default=1.0)


@dataclass(frozen=True)
class Decay:
    """What is seen of it."""

    parameters: DecayConstants = DecayConstants()

    def predict(self, parameters, at):
        return 3.0 * jnp.exp(-at["t"] / parameters.tau) + parameters.offset


TRUTH = DecayConstants(tau=1.5, offset=-0.4)
NOISE = 0.02
LEARN = (LearnedConstant("tau"), LearnedConstant("offset", start=0.3))


@pytest.fixture(scope="module")
def observations() -> Observations:
    t = np.linspace(0.0, 8.0, 60)
    clean = np.asarray(Decay().predict(TRUTH, {"t": t}))
    value = clean + NOISE * np.random.default_rng(4).standard_normal(60)
    return Observations(value, np.full(60, NOISE), {"t": t}, {"value": "mV", "t": "ms"})


def information(z, t):
    """Of the data on log τ and the offset over its measure, by hand."""
    tau = np.exp(z[0])
    slope = np.stack([3.0 * np.exp(-t / tau) * t / tau, np.full_like(t, 0.5)], axis=1) / NOISE
    return slope.T @ slope


def test_constants_are_found_with_the_intervals_of_the_data(tmp_path, observations):
    output = tmp_path / "decay.h5"
    observed = Observed(observations, truth={"tau": 1.5, "offset": -0.4})
    outcome = infer(inverse_problem(Decay(), LEARN, unit="mV"), observed, output=Destination(output))
    result = outcome.result
    z = result.coordinates.of(result.estimate)
    assert np.all(np.abs(z - result.coordinates.of([1.5, -0.4])) < 3.0 * result.sd_log)
    np.testing.assert_allclose(result.covariance, np.linalg.inv(information(z, observations["t"])), rtol=1e-6)
    assert result.units == ("ms", "mV") and result.measure.tolist() == [0.0, 0.5] and result.determined.all()
    assert outcome.verdict.holds_truth == ("tau", "offset") and not warnings_of(outcome)
    lines = lines_of_inference(outcome, "x")
    assert any(line.startswith("tau         1.") and ", truth 1.5)" in line for line in lines)
    back = read_inference(output)
    np.testing.assert_array_equal(back.observations["t"], observations["t"])
    assert back.unit == "mV" and back.observations.unit("t") == "ms" and back.bands is None and back.check is None
    best = TRUTH.replace(tau=back.estimate[0], offset=back.estimate[1])
    np.testing.assert_allclose(back.predicted, Decay().predict(best, {"t": observations["t"]}), rtol=1e-12)
    drawn, left_out = draw_inference(back, tmp_path / "pictures")
    assert [path.name for path in drawn] == ["path.png", "posterior.png", "residuals.png"] and not left_out


def test_a_mapping_of_numbers_will_do_and_priors_count(observations):
    class Plain:
        def __init__(self):
            self.parameters = {"tau": 2.0, "offset": 0.0}

        def predict(self, parameters, at):
            return Decay().predict(DecayConstants(**parameters), at)

    learn = (LearnedConstant("tau", unit="ms", prior=1.0, prior_width=1e-3), LearnedConstant("offset", measure=0.5))
    outcome = infer(inverse_problem(Plain(), learn), Observed(observations))
    assert abs(np.log(outcome.result.estimate[0])) < 0.02, "the prior is narrower than the data"
    assert outcome.result.units[0] == "ms" and warnings_of(outcome)[0].startswith("the model misses the data by")


def test_draws_have_the_moments_of_the_posterior(tmp_path, observations):
    for library in ("blackjax", "arviz", "h5netcdf"):
        pytest.importorskip(library, reason="the extra uq is not installed: pip install 'hpcpinn[uq]'")
    output = tmp_path / "decay.h5"
    how = Sampling(draws=300, warmup=150, chains=3, ess_least=30.0, rhat_most=1.05)
    outcome = sample(inverse_problem(Decay(), LEARN), Observed(observations), how, output=Destination(output))
    result, draws = outcome.inference.result, read_draws(output)
    assert draws is not None and not draws.is_weighted
    z = result.coordinates.of(draws.flat)
    error = result.sd_log / np.sqrt(draws.figures["ess_bulk"])
    assert np.all(np.abs(z.mean(axis=0) - result.coordinates.of(result.estimate)) < 4.0 * error + 0.1 * result.sd_log)
    np.testing.assert_allclose(z.std(axis=0), result.sd_log, rtol=0.2)
    assert outcome.placement is None and "next_observation" not in outcome.figures
    assert any(line.startswith("chains      3 of 300 draws") for line in lines_of_draws(outcome, str(output)))


def test_what_nothing_depends_on_is_not_determined_and_not_drawn(observations):
    problem, observed = inverse_problem(Decay(), (*LEARN, LearnedConstant("unused"))), Observed(observations)
    assert infer(problem, observed).result.determined.tolist() == [True, True, False]
    with pytest.raises(SolveError, match="neither data nor priors determine unused, so there is no posterior"):
        sample(problem, observed)


@pytest.mark.parametrize(
    ("learn", "line"),
    [
        ((), "nothing is learned"),
        ((LearnedConstant("rate"),), "'rate' is no constant that can be inferred; there are tau, offset, unused"),
        ((LearnedConstant("tau"), LearnedConstant("tau")), "'tau' is learned twice"),
        (
            (LearnedConstant("ofset"),),
            "'ofset' is no constant that can be inferred; did you mean 'offset'\\? There are",
        ),
        ((LearnedConstant("tau", prior=-1.0),), "number 1, prior: tau begins at -1, which has no logarithm"),
        ((LearnedConstant("tau", start=-1.0),), "tau begins at -1, which has no logarithm; give a start above 0"),
    ],
)
def test_what_cannot_be_learned_is_refused(learn, line):
    with pytest.raises(InputError, match=line):
        inverse_problem(Decay(), learn)


def test_a_model_of_a_system_is_traced():
    assert is_traced(inverse_problem(Decay(), LEARN).model)
