"""What a new user types, from an empty folder, with the installed wheel: no checkout, no MPI, PyPI's h5py."""

import json

from hpcpinn.config.jobs import bundled_names
from tests.installed.environment import Environment
from tests.mpi.runner import Finished

PEAKS = (0.1329944, 3.339193)
"""Calcium at soma and tip in the default job, µM."""


def told(done: Finished) -> str:
    assert done.code == 0, done.output[-3000:]
    assert "Traceback" not in done.output
    return done.stdout


def test_nothing_of_mpi_or_the_checkout_is_there(fresh: Environment) -> None:
    program = (
        "import importlib.util as u, json, h5py, hpcpinn\n"
        "print(json.dumps([hpcpinn.__file__, h5py.get_config().mpi, [u.find_spec(x) is None for x in"
        " ('mpi4py', 'mpi4jax', 'xarray', 'arviz', 'pytest')]]))"
    )
    where, mpi, absent = json.loads(told(fresh.python(program)))
    assert where.startswith(str(fresh.folder))
    assert mpi is False
    assert all(absent)


def test_every_bundled_job_is_there_with_its_inputs(fresh: Environment) -> None:
    listed = json.loads(told(fresh.hpcpinn("jobs", "--json")))
    assert [job["name"] for job in listed] == bundled_names()
    program = (
        "import pathlib\n"
        "import hpcpinn as hp\n"
        "from hpcpinn.systems.jobs import load_order\n"
        "from hpcpinn.config.jobs import bundled_names\n"
        "from hpcpinn.systems.jobs import describe\n"
        "from hpcpinn.morphology.meshes import builtin_names, builtin_path\n"
        "for name in bundled_names():\n"
        "    job = describe(name)\n"
        "    load_order(job.file)\n"
        "    hp.load(name).to_toml()\n"
        "    print(name, all((job.file.parent / x).is_file() for x in job.inputs))\n"
        "print(all(builtin_path(name).is_file() for name in builtin_names()), len(builtin_names()))\n"
    )
    lines = told(fresh.python(program)).splitlines()
    assert lines == [*(f"{name} True" for name in bundled_names()), "True 4"]


def test_the_default_job_runs_and_is_drawn(fresh: Environment) -> None:
    told(fresh.hpcpinn("run", optimised=True))
    program = (
        "import json\n"
        "from hpcpinn.io import read\n"
        "run = read('results/run.h5')\n"
        "print(json.dumps([run.complete, run.time[-1], run.probes.calcium.max(axis=0).tolist()]))"
    )
    complete, end, peaks = json.loads(told(fresh.python(program)))
    assert complete
    assert end == 50.0
    assert all(abs(peak / right - 1.0) < 1e-3 for peak, right in zip(peaks, PEAKS, strict=True))
    pictures = told(fresh.hpcpinn("plot", "results/run.h5")).splitlines()
    names = {line.rpartition("/")[2] for line in pictures if line.startswith("picture: ")}
    assert {"overview.png", "cell.png", "kymograph.png", "traces.png"} <= names
    assert all((fresh.empty / "results" / "run-pictures" / name).stat().st_size > 10_000 for name in names)


def test_the_default_job_is_validated(fresh: Environment) -> None:
    figures = json.loads(
        told(fresh.hpcpinn("validate", "--json", "--refinement", "1", "--no-timing", "results/run.h5"))
    )
    assert figures["rel_l2"]["calcium"] < 3e-4
    assert figures["rel_l2"]["calbindin"] < 5e-7
    assert figures["balance"] < 1e-6
    assert figures["equal_error"] is None


def test_constants_are_inferred(fresh: Environment) -> None:
    told(fresh.hpcpinn("infer", "dopamine_inverse"))
    program = (
        "import json\n"
        "from hpcpinn.io.inference import read_inference\n"
        "found = read_inference('results/dopamine_inverse.h5')\n"
        "print(json.dumps([list(x) for x in (found.names, found.estimate, found.low, found.high)]))"
    )
    names, estimate, low, high = json.loads(told(fresh.python(program)))
    assert names == ["D", "k"]
    # For the job's seed, as the fit with the closed form as model finds them.
    assert all(abs(x / right - 1.0) < 1e-3 for x, right in zip(estimate, (0.3425, 0.04838), strict=True))
    assert all(a < truth < b for a, truth, b in zip(low, (0.32, 0.05), high, strict=True))


def test_a_copied_job_runs_where_it_lies(fresh: Environment) -> None:
    told(fresh.hpcpinn("init", "default", "--to", "my own"))
    command = ("run", "my own/default.toml", "--set", "run.duration=1", "--output", "results/own.h5")
    told(fresh.hpcpinn(*command, optimised=True))  # programs that the default job has compiled
    told(fresh.python("from hpcpinn.io import read; run = read('results/own.h5'); assert run.complete, run.time"))


def test_what_is_missing_names_the_extra(fresh: Environment) -> None:
    done = fresh.hpcpinn("uq", "dopamine_inverse")
    assert done.code == 2
    assert "pip install 'hpcpinn[uq]'" in done.stderr
