"""``hpcpinn uq`` as a user starts it: right, the same on two ranks, readable by others, silent where it must be."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError, SolveError
from hpcpinn.io.draws import read_draws
from hpcpinn.io.inference import read_inference
from hpcpinn.io.metrics import read_metrics
from tests.cli.in_process import hpcpinn
from tests.mpi import runner

for library in ("blackjax", "arviz", "h5netcdf"):
    pytest.importorskip(library, reason="the extra uq is not installed: pip install 'hpcpinn[uq]'")

JOB = """
[domain]
kind = "square"

[[parameter]]
name = "D"
start = 0.30

[[parameter]]
name = "k"
prior = 0.05
prior_factor = 1.3

[data]
count = 100
noise = 0.03

[inference]
features = 20

[uq]
chains = 3
warmup = 150
draws = 500
ess_least = 60.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With draws by one rank; compiled as for two, for the ranks of a test have one thread each."""
    here = tmp_path_factory.mktemp("uq")
    (here / "job.toml").write_text(JOB)
    drawn_on(1, here / "alone.h5")
    return here


def drawn_on(ranks: int, file: Path) -> None:
    command = ["-m", "hpcpinn", "uq", str(file.parent / "job.toml"), "--output", str(file)]
    flags = {"XLA_FLAGS": runner.surroundings()["XLA_FLAGS"]}
    job = runner.mpirun(command, ranks, limit=300.0, directory=file.parent, environment=flags)
    assert job.code == 0, job.output
    assert job.stdout.count("chains      3 of 500 draws, no divergence") == 1


def test_the_draws_have_the_moments_of_the_posterior(folder: Path):
    """By quadrature of the closed form on a grid, which knows neither networks nor chains."""
    from hpcpinn.physics.dopamine import PRESETS, exact

    result = read_inference(folder / "alone.h5")
    found = read_draws(folder / "alone.h5")
    assert found is not None
    draws, quality = found, found.figures
    seen = result.observations
    axes = [np.log(e) + s * np.linspace(-6.0, 6.0, 61) for e, s in zip(result.estimate, result.sd_log, strict=True)]
    density = np.empty((61, 61))
    for i, D in enumerate(np.exp(axes[0])):
        spread = np.asarray(exact(seen["x"], seen["y"], seen["t"], PRESETS["dopamine"].replace(D=D, k=0.0)))
        for j, k in enumerate(np.exp(axes[1])):
            missed = (spread * np.exp(-k * seen["t"]) - seen["value"]) / seen["noise"]
            density[i, j] = -0.5 * missed @ missed - 0.5 * (np.log(k / 0.05) / np.log(1.3)) ** 2
    density = np.exp(density - density.max())
    density /= density.sum()
    z = np.log(draws.together)
    for i, axis in enumerate(axes):
        weight = density.sum(axis=1 - i)
        mean = weight @ axis
        sd = np.sqrt(weight @ (axis - mean) ** 2)
        assert abs(z[:, i].mean() - mean) < 4.0 * sd / np.sqrt(quality["ess_bulk"][i])
        assert abs(z[:, i].std() / sd - 1.0) < 4.0 * np.sqrt(0.5 / quality["ess_tail"][i])
    told = read_metrics(folder / "alone.h5")
    assert told["chains"]["divergences"] == 0 and told["parameters"]["D"]["rhat"] < 1.01


def test_two_ranks_draw_the_same_to_the_last_bit(folder: Path):
    """Three chains on two ranks."""
    drawn_on(2, folder / "shared.h5")
    drawn = []
    for name in ("alone", "shared"):
        found = read_draws(folder / f"{name}.h5")
        assert found is not None
        drawn.append({"value": found.value, "log_density": found.log_density, **found.figures})
    for name in ("value", "log_density", "energy", "steps", "step_size", "rhat"):
        np.testing.assert_array_equal(*(one[name] for one in drawn), err_msg=name)
    assert len({float(size) for size in drawn[0]["step_size"]}) == 3  # chains differ


def test_both_files_open_in_a_fresh_interpreter(folder: Path):
    reader = """
import json, sys, warnings
warnings.simplefilter("ignore")
import arviz, h5py, xarray
data = arviz.from_netcdf(sys.argv[1] + ".nc")
posterior = xarray.open_dataset(sys.argv[1] + ".nc", group="posterior")
with h5py.File(sys.argv[1] + ".h5") as file:
    value = file["draws/value"][:]
same = all((posterior[name].values == value[..., i]).all() for i, name in enumerate(("D", "k")))
print(json.dumps({
    "groups": sorted(data.groups()), "same": bool(same), "dims": list(posterior["D"].dims),
    "unit": posterior["D"].attrs["units"], "rhat": float(arviz.rhat(data)["D"]),
    "loo": float(arviz.loo(data).elpd_loo), "observed": data.observed_data["value"].values.tolist(),
}))
"""
    done = subprocess.run(
        [sys.executable, "-c", reader, str(folder / "alone")], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["groups"] == ["constant_data", "log_likelihood", "observed_data", "posterior", "sample_stats"]
    assert told["same"] and told["dims"] == ["chain", "draw"] and told["unit"] == "um2/ms" and told["rhat"] < 1.01
    seen = read_inference(folder / "alone.h5").observations
    assert told["observed"] == seen["value"].tolist()
    # What is left out is predicted as well as the noise lets: −log σ√(2π) − ½ per observation.
    assert abs(told["loo"] / 100 + np.log(0.03 * np.sqrt(2.0 * np.pi)) + 0.5) < 4.0 * np.sqrt(0.5 / 100)


def test_pictures_are_drawn(tmp_path: Path, folder: Path):
    hpcpinn("plot", folder / "alone.h5", "--out", tmp_path)
    assert {"corner.png", "chains.png", "placement.png", "posterior.png"} <= {file.name for file in tmp_path.iterdir()}


def test_no_posterior_no_chains(tmp_path: Path):
    late = JOB.replace("count = 100", "first = 17.0\ncount = 100")
    (tmp_path / "job.toml").write_text(late)
    with pytest.raises(SolveError, match="uq: neither data nor priors determine D, so there is no posterior to draw"):
        hpcpinn("uq", tmp_path / "job.toml", "--output", tmp_path / "out.h5")


def test_chains_too_short_report_nothing(tmp_path: Path, folder: Path, capsys):
    with pytest.raises(SolveError, match=r"effective draws of .*at least 3000"):
        hpcpinn("uq", folder / "job.toml", "--output", tmp_path / "out.h5", "--set", "uq.ess_least=1000")
    # a slow machine says what takes long
    progress = ("setting up", "compiling", "fitting", "looking", "checking", "sampling", "judging")
    assert [line for line in capsys.readouterr().out.splitlines() if not line.startswith(progress)] == []
    assert not list(tmp_path.iterdir())


def test_a_netcdf_file_of_others_is_not_replaced(tmp_path: Path, folder: Path):
    with h5py.File(tmp_path / "out.nc", "w") as file:
        file["precious"] = 1.0
    with pytest.raises(InputError, match=r"out.nc is there already and is no hpcpinn file of draws"):
        hpcpinn("uq", folder / "job.toml", "--output", tmp_path / "out.h5")
