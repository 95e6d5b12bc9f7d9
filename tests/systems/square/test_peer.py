"""DeepXDE as the third check of a square, by a stand-in whose error is known."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import matplotlib.figure
import numpy as np
import pytest

from hpcpinn.errors import InputError, SolveError
from hpcpinn.io import Box, read
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.seal import seal_file
from hpcpinn.io.sidecar import DEEPXDE, EXACT, reference_path
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.physics.dopamine import PRESETS
from hpcpinn.systems.jobs import load_order
from hpcpinn.systems.square.comparison import closed_form
from hpcpinn.systems.square.drawings import draw_square, reference_of
from hpcpinn.systems.square.recorded import DOPAMINE, WINDOWS
from tests.cli.in_process import hpcpinn

JOB = '[domain]\nkind = "square"\n'
STAND_IN = """\
#!{python}
import json, sys
import numpy as np

if sys.argv[1] == "-c":
    sys.exit(sys.argv[2] != "import deepxde")
_, given, wanted = sys.argv[1:]
job = json.load(open(given))
told = dict(seconds=12.5, adam=job["adam"], lbfgs=7, loss=1e-3, device="a stand-in")
assert job["D"] == {D} and job["half_width"] == {half_width} and job["duration"] == job["t"][-1]
np.savez(wanted, values=1.01 * np.load({exact!r}), told=json.dumps(told))
"""
WINDOW = {
    "start": 0.0, "length": 0.75, "newton_steps": 2, "sweeps": 20, "jump": 1e-9, "error_estimate": 1e-2,
    "exact_error": 1e-3, "rejected": 0, "seconds": 1.25,
}  # fmt: skip
"""Two of them make the run."""
TIME = np.arange(4) * 0.5


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A run that is 1e-3 off everywhere, and ``exact.npy`` beside it."""
    (tmp_path / "job.toml").write_text(JOB)
    config, constants = load_order(tmp_path / "job.toml").described, PRESETS["dopamine"]
    x, y = (constants.half_width * ((2.0 * np.arange(count) + 1.0) / count - 1.0) for count in (18, 24))
    exact = np.asarray(closed_form(constants, x, y, TIME))
    np.save(tmp_path / "exact.npy", exact)
    header = ResultHeader(
        system="square", geometry=Box(x, y), fields=(DOPAMINE,), windows=WINDOWS, config=config.to_json()
    )
    with ResultWriter(tmp_path / "run.h5", make_communicator("serial"), header) as writer:
        for time, frame in zip(TIME, exact, strict=True):
            writer.frame(time, {"dopamine": 1.001 * frame})
        writer.windows([WINDOW, WINDOW | {"start": 0.75}])
    return tmp_path / "run.h5"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Stands where a Python with DeepXDE is wanted; 1e-2 off everywhere."""
    path, constants = tmp_path / "python", PRESETS["dopamine"]
    exact = str(tmp_path / "exact.npy")
    path.write_text(STAND_IN.format(python=sys.executable, D=constants.D, half_width=constants.half_width, exact=exact))
    path.chmod(0o755)
    return path


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], dict[str, matplotlib.figure.Figure]]:
    """Draws a result and gives its figures by name."""

    def draw(result: Path) -> dict[str, matplotlib.figure.Figure]:
        drawn: dict[str, matplotlib.figure.Figure] = {}
        monkeypatch.setattr(
            matplotlib.figure.Figure, "savefig", lambda figure, path, **_: drawn.update({Path(path).stem: figure})
        )
        draw_square(read(result), tmp_path / "pictures")
        return drawn

    return draw


def test_three_checks_in_one_report(result: Path, python: Path, capsys):
    hpcpinn("validate", result, "--refinement", "1", "--deepxde", python, "--deepxde-minutes", "0.5", "--json")
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["error_exact"] == pytest.approx(1e-3)
    assert len(found["finite_differences"]) == 1
    assert found["seconds_ours"] == pytest.approx(2.5)
    peer = found["deepxde"]
    assert peer["error"] == pytest.approx(1e-2)
    assert (peer["seconds_training"], peer["adam"], peer["lbfgs"]) == (12.5, 20_000, 7)
    assert peer["device"] == "a stand-in" and peer["seconds"] > 0.0
    assert peer["settings"]["limit"] == 30.0 and peer["settings"]["width"] == 64
    assert said.err.splitlines()[-1].startswith("hpcpinn: finite differences on 18 x 24 cells in ")


def test_what_deepxde_found_is_kept_until_the_run_is_another(result: Path, python: Path, capsys):
    hpcpinn("validate", result, "--refinement", "1", "--deepxde", python)
    report = capsys.readouterr().out
    assert "DeepXDE, all frames                 1.00e-02 against the closed form (20000 of 20000 steps of" in report
    assert "this run                            2.5 s on 1 rank, compilation included" in report
    assert "earlier" not in report
    hpcpinn("validate", result, "--refinement", "1")
    report = capsys.readouterr().out
    assert "s on a stand-in, in an earlier validation)" in report
    reference = reference_of(read(result))
    assert reference is not None
    np.testing.assert_allclose(reference[DEEPXDE].fields["dopamine"], 1.01 * reference[EXACT].fields["dopamine"])
    with h5py.File(result, "r+") as file:
        file.attrs["created"] = "later"
    seal_file(result)
    hpcpinn("validate", result, "--refinement", "1", "--json")
    assert json.loads(capsys.readouterr().out)["deepxde"] is None
    with h5py.File(reference_path(result)) as file:
        assert "deepxde" not in file["solutions"]


def test_other_solutions_of_fewer_frames_are_none(result: Path):
    hpcpinn("validate", result, "--refinement", "1")
    run = read(result)
    frames = {name: np.concatenate([values, values[-1:]]) for name, values in run.fields.items()}
    longer = dataclasses.replace(run, time=np.append(run.time, 2.0), fields=frames)
    assert reference_of(run) is not None and reference_of(longer) is None


def test_a_damaged_file_of_other_solutions_is_replaced(result: Path):
    reference_path(result).write_bytes(b"no HDF5")
    hpcpinn("validate", result, "--refinement", "1")
    assert reference_of(read(result)) is not None


def test_pictures_show_deepxde_where_it_was_asked(result: Path, python: Path, pictures):
    def shown(figures: dict[str, matplotlib.figure.Figure]) -> tuple[list[str], list[str]]:
        rows = [axes.get_ylabel().split("\n")[0] for axes in figures["snapshots"].axes if "\ny" in axes.get_ylabel()]
        return rows, [line.get_label() for line in figures["errors"].axes[0].get_lines()]

    hpcpinn("validate", result, "--refinement", "1")
    rows, curves = shown(pictures(result))
    assert rows == ["hpcpinn", "closed form", "finite differences", "hpcpinn's error"]
    assert curves == ["hpcpinn", "finite differences"]
    hpcpinn("validate", result, "--refinement", "1", "--deepxde", python)
    figures = pictures(result)
    rows, curves = shown(figures)
    assert rows == ["hpcpinn", "closed form", "finite differences", "DeepXDE", "hpcpinn's error"]
    assert curves == ["hpcpinn", "finite differences", "DeepXDE"]
    np.testing.assert_allclose(figures["errors"].axes[0].get_lines()[-1].get_ydata(), 1e-2)


def test_what_was_found_before_deepxde_failed_is_kept(result: Path, tmp_path: Path, capsys):
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\n[ \"$1\" = -c ] && exit 0\necho 'out of memory' >&2; exit 3\n")
    failing.chmod(0o755)
    with pytest.raises(SolveError, match=r"DeepXDE ended with code 3: out of memory"):
        hpcpinn("validate", result, "--refinement", "1", "--deepxde", failing)
    reference = reference_of(read(result))
    assert reference is not None and DEEPXDE not in reference


def test_mistakes_are_told_before_work_starts(result: Path, python: Path, tmp_path: Path, capsys):
    with pytest.raises(InputError, match=r"--deepxde-minutes 3: nothing is trained without --deepxde PYTHON"):
        hpcpinn("validate", result, "--deepxde-minutes", "3")
    for minutes in ("0", "-1", "nan", "inf"):
        with pytest.raises(InputError, match=rf"--deepxde-minutes {minutes}: is no time to train in; use more than 0"):
            hpcpinn("validate", result, "--deepxde", python, "--deepxde-minutes", minutes)
    with pytest.raises(InputError, match=r"--deepxde /no/python: cannot be run with deepxde \(No such file"):
        hpcpinn("validate", result, "--deepxde", "/no/python")
    assert "finite differences" not in capsys.readouterr().err
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "hpcpinn-result"
    with pytest.raises(InputError, match=r"--deepxde \S+: \S+other.h5 is no run on a square; leave it away"):
        hpcpinn("validate", tmp_path / "other.h5", "--deepxde", python)
    with pytest.raises(InputError, match=r"missing.h5: no such file"):
        hpcpinn("validate", tmp_path / "missing.h5", "--deepxde", python)
