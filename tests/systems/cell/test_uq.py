"""``hpcpinn uq`` on a cell: draws that agree with Laplace where it is right, files that others open, bands."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.config.inputs import files_read
from hpcpinn.errors import InputError, SolveError
from hpcpinn.inference.infer import check_places
from hpcpinn.inference.laplace import laplace
from hpcpinn.inference.sample import check_proper, sample
from hpcpinn.io.draws import read_draws
from hpcpinn.io.inference import read_inference
from hpcpinn.io.inputs import Destination
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.build.inverse import prepared, sampling
from tests.cli.in_process import hpcpinn
from tests.inference.fork import SMALL, small

for library in ("arviz", "h5netcdf"):
    pytest.importorskip(library, reason="the extra uq is not installed: pip install 'hpcpinn[uq]'")

KEYS = (
    "synapse=[{site='dend[1](0.8)', start=0.5, duration=5.0}]",
    "parameter=[{name='j_release', start=500.0}, {name='gates[0].half', start=-20.0, prior=-21.0, prior_sd=5.0}]",
    "data.truth={j_release=400.0}",
    "data.noise=0.05",
    "run.duration=2.0",
    "uq.draws=80",
    "uq.effective_least=30",
)


class Told:
    """What a person is told: how many draws of how many, in the part of the work that draws are."""

    def __init__(self) -> None:
        self.said: list[tuple[float, float]] = []
        self.total = 0.0

    def doing(self, what: str, total: float = 0.0, unit: str = "") -> None:
        self.total = total if unit == "draws" else 0.0

    def done(self, amount: float, detail: str = "") -> None:
        if self.total:
            self.said.append((amount, self.total))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory):
    output = tmp_path_factory.mktemp("uq") / "posterior.h5"
    config = small(*KEYS, f"run.output={output}")
    check_places(config.run.output, files_read(config), draws=True)
    progress = Told()
    problem, observed = prepared(config, SerialCommunicator())
    outcome = sample(
        problem, observed, sampling(config), SerialCommunicator(), progress, output=Destination(config.run.output)
    )
    assert progress.said[-1] == (80, 80)
    return outcome, output


def test_draws_are_those_of_laplace_where_the_model_is_nearly_linear(drawn):
    outcome, _ = drawn
    result, draws = outcome.inference.result, outcome.draws
    own = result.coordinates
    effective = draws.figures["effective"]
    error = result.sd_log / np.sqrt(effective)
    assert effective > 30.0 and draws.figures["shape"] < 0.7 and outcome.lost == 0
    mean = draws.weight[0] @ own.of(draws.value[0])
    assert np.all(np.abs(mean - own.of(result.estimate)) < 4.0 * error)
    width = np.diff(own.of(draws.interval.T), axis=0)[0]
    np.testing.assert_allclose(width, 2.0 * 1.96 * result.sd_log, rtol=0.5)
    assert np.all(draws.interval[:, 0] < draws.median) and np.all(draws.median < draws.interval[:, 1])


def test_bands_of_draws_lie_around_the_mean_and_are_as_wide_as_laplaces(drawn):
    _, output = drawn
    bands, draws = read_inference(output).bands, read_draws(output)
    assert draws is not None and draws.is_weighted
    assert bands is not None and bands.low is not None and bands.low.shape == bands.mean.shape
    lively = bands.sd > 0.2 * bands.sd.max()
    width = (bands.high - bands.low)[lively] / (2.0 * 1.96 * bands.sd[lively])
    assert 0.6 < np.median(width) < 1.5
    assert np.all(bands.low[lively] < bands.mean[lively] + bands.sd[lively])
    assert np.all(bands.high[lively] > bands.mean[lively] - bands.sd[lively])


def test_arviz_opens_the_draws_in_a_fresh_interpreter(drawn):
    outcome, output = drawn
    program = (
        "import arviz, json, sys, warnings; warnings.simplefilter('ignore')\n"
        "data = arviz.from_netcdf(sys.argv[1])\n"
        "table = arviz.summary(data, kind='stats')\n"
        "print(json.dumps([list(data.groups()), list(table.index), table['mean'].tolist(), "
        "float(data.log_likelihood['value'].sum('observation').max()), data.attrs['pareto_k']]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(output.with_suffix(".nc"))], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    groups, names, means, likeliest, shape = json.loads(done.stdout.splitlines()[-1])
    assert {"posterior", "sample_stats", "log_likelihood", "observed_data", "constant_data"} <= set(groups)
    assert names == ["j_release", "gates[0].half"] and shape == outcome.draws.figures["shape"]
    np.testing.assert_allclose(means, outcome.draws.together.mean(axis=0), rtol=1e-2)
    assert np.isfinite(likeliest)


def test_pictures_of_draws_are_drawn(drawn):
    _, output = drawn
    hpcpinn("plot", output)
    for name in ("bands", "cell", "path", "posterior", "corner"):
        assert (output.parent / "posterior-pictures" / f"{name}.png").stat().st_size > 5000


def test_what_nothing_determines_is_not_drawn():
    """Of a constant that enters nothing, and has no prior, there is no posterior."""
    posterior = laplace(np.zeros(2), np.diag([100.0, 0.0]), np.array([0.0, 0.0]))
    with pytest.raises(SolveError, match="neither data nor priors determine rest_voltage, so there is no posterior"):
        check_proper(("D_c", "rest_voltage"), ~np.isfinite(posterior.sd))


def test_a_cell_without_parameters_and_a_study_of_a_cell_are_refused(tmp_path: Path):
    job = tmp_path / "job.toml"
    job.write_text("")
    with pytest.raises(InputError, match="there is nothing to draw"):
        hpcpinn("uq", job)
    settings = [word for text in SMALL for word in ("--set", text)]
    with pytest.raises(InputError, match="the system 'cell' has no study; there is one for 'square'"):
        hpcpinn("uq", job, *settings, "--study")


def test_the_draws_have_a_place_that_is_no_input(tmp_path: Path):
    taken = tmp_path / "posterior.nc"
    taken.write_text("mine")
    with pytest.raises(InputError, match=r"the draws go there"):
        check_places(str(tmp_path / "posterior.h5"), {}, draws=True)
