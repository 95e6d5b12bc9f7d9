"""Systems of one file each, which nothing in the package names: run, killed and resumed, validated, drawn, inferred."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError, NothingToDoError, SolveError
from hpcpinn.io.checkpoint import checkpoint_path
from hpcpinn.io.read import read
from hpcpinn.io.seal import seal_file
from hpcpinn.systems import system_named
from tests.cli.in_process import hpcpinn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOYS = ("pair", "plate", "discharge")
FILES = os.pathsep.join(str(HERE / f"{name}.py") for name in TOYS)
LINE = ["--set", "run.checkpoint_every=2", "--set", "window.longest=0.1", "--set", "run.duration=8"]
"""Many short windows, a checkpoint after every second one."""


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCPINN_SYSTEMS", FILES)


def job(folder: Path, system: str, more: str = "") -> Path:
    """A job file of a toy, whose result goes beside it."""
    file = folder / f"{system}.toml"
    file.write_text(f'system = "{system}"\n[run]\noutput = "{folder / system}.h5"\n{more}')
    return file


def solved(folder: Path, system: str, *arguments: str) -> Path:
    """The result of a toy that was run by the command line."""
    hpcpinn("run", job(folder, system), *arguments)
    return folder / f"{system}.h5"


def test_the_page_on_extending_shows_the_pair() -> None:
    page = (ROOT / "docs" / "extend.md").read_text()
    assert f"```python\n{(HERE / 'pair.py').read_text()}```\n" in page


def test_the_page_on_extending_draws_the_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    page = (ROOT / "docs" / "extend.md").read_text()
    block = next(text for text in page.split("```") if text.startswith("python\n") and "def draw(" in text)
    shown: dict[str, Any] = {}
    exec(block.removeprefix("python\n"), shown)
    assert len(block[block.index("def draw(") :].splitlines()) <= 10
    result = solved(tmp_path, "pair", "--set", "run.duration=3")
    monkeypatch.setattr(type(system_named("pair")), "draw", shown["draw"], raising=False)
    hpcpinn("plot", result, "--out", tmp_path / "pictures")
    assert [file.name for file in (tmp_path / "pictures").iterdir()] == ["plane.png"]
    with h5py.File(result, "a") as file:
        file["committed"][0] = 0  # frames
    seal_file(result)
    with pytest.raises(InputError, match="no frames yet"):
        hpcpinn("plot", result, "--out", tmp_path / "pictures")


def test_the_package_names_no_toy() -> None:
    words = {name: [name, f"{name.capitalize()}Constants"] for name in ("plate", "discharge")}
    for file in (ROOT / "hpcpinn").rglob("*.py"):
        text = file.read_text()
        for names in words.values():
            assert not any(f'"{word}"' in text or f".{word}" in text for word in names), file


@pytest.mark.parametrize(
    ("system", "field", "of", "most"),
    [
        ("pair", "v", "reference", 1e-5),
        ("plate", "u", "closed_form", 1e-9),
        ("discharge", "voltage", "closed_form", 1e-13),
    ],
)
def test_each_is_right_by_its_own_measure(tmp_path: Path, capsys, system: str, field: str, of: str, most: float):
    result = solved(tmp_path, system)
    capsys.readouterr()
    hpcpinn("validate", result, "--json")
    found = json.loads(capsys.readouterr().out)["differences"]
    difference = next(one for one in found if one["field"] == field and one["of"] == of)
    assert 0.0 < difference["relative"] < most
    with h5py.File(tmp_path / f"{system}.reference.h5") as kept:
        assert kept[f"solutions/{of}/{field}"].shape == read(result).fields[field].shape


def test_a_person_is_told_how_far_a_toy_is_from_its_closed_form(tmp_path: Path, capsys):
    result = solved(tmp_path, "discharge")
    capsys.readouterr()
    hpcpinn("validate", result)
    told = capsys.readouterr().out
    assert re.match(r"voltage     \S+ from the closed form \(relative L2\), \S+ mV at most\n", told), told
    assert f"kept in     {tmp_path / 'discharge.reference.h5'}\n" in told


def test_another_constant_makes_another_solution_and_the_description_is_kept(tmp_path: Path):
    one = read(solved(tmp_path, "pair"))
    other = read(solved(tmp_path, "pair", "--set", "constants.tau=25", "--output", str(tmp_path / "pair.h5")))
    assert np.abs(one.v - other.v).max() > 0.5
    assert other.config["system"] == "pair" and other.config["constants"]["tau"] == 25.0


@pytest.mark.parametrize(("system", "pictures"), [
    ("pair", ["v", "w", "windows"]), ("plate", ["u"]), ("discharge", ["voltage", "windows"]),
])  # fmt: skip
def test_each_is_drawn(tmp_path: Path, capsys, system: str, pictures: list[str]):
    result = solved(tmp_path, system)
    capsys.readouterr()
    hpcpinn("plot", result, "--out", tmp_path / "pictures")
    drawn = [
        Path(line.removeprefix("picture: ")).stem
        for line in capsys.readouterr().out.splitlines()
        if "picture: " in line
    ]
    assert drawn == pictures
    assert sorted(file.stem for file in (tmp_path / "pictures").iterdir()) == sorted(pictures)
    with pytest.raises(InputError, match=r"--times 1e\+06: the run is from 0 to"):
        hpcpinn("plot", result, "--times", "1e6")
    with pytest.raises(InputError, match="--member 1: this run has no members"):
        hpcpinn("plot", result, "--member", "1")


def test_a_disc_holds_nothing_outside_its_mask(tmp_path: Path):
    run = read(solved(tmp_path, "plate"))
    assert run.time.tolist() == [0.0] and run.u.shape == (1, 25, 25)
    assert (np.isnan(run.u[0]) == ~run.box.mask).all() and run.u[0][12, 12] < run.u[0][12, 1]
    assert not checkpoint_path(run.path).exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=lambda found: str(found),
)
def test_a_run_that_is_killed_or_stopped_goes_on_to_the_last_bit(tmp_path: Path, number: signal.Signals, code: int):
    whole = read(solved(tmp_path, "pair", *LINE))
    cut = tmp_path / "cut.h5"
    command = [sys.executable, "-m", "hpcpinn", "run", str(tmp_path / "pair.toml"), *LINE, "--output", str(cut)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    streams: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **streams) as process:
        until = time.monotonic() + 60.0
        while time.monotonic() < until and process.poll() is None and windows_in(cut) < 10:
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30.0)
    assert process.returncode == code, errors
    before = windows_in(cut)
    assert 10 <= before < len(whole.windows["start"]) and not read(cut).complete
    if number != signal.SIGKILL:
        heard, stopped = errors.splitlines()
        assert heard == f"hpcpinn: {number.name}: stopping here; a second one ends at once"
        place = re.fullmatch(r"hpcpinn: stopped at ([\d.]+) of 8 ms; go on with --resume", stopped)
        assert place is not None
        last = read(cut).windows
        assert float(place[1]) == pytest.approx(last["start"][-1] + last["length"][-1], abs=0.01)
    hpcpinn("run", tmp_path / "pair.toml", *LINE, "--output", cut, "--resume")
    resumed = read(cut)
    assert resumed.complete
    for name in ("v", "w", "time"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    for name in ("start", "length", "error_estimate", "rejected"):
        np.testing.assert_array_equal(resumed.windows[name], whole.windows[name])
    with pytest.raises(NothingToDoError, match="already at 8 ms; nothing to do"):
        hpcpinn("run", tmp_path / "pair.toml", *LINE, "--output", cut, "--resume")


def windows_in(result: Path) -> int:
    """How many windows count in a result that may be about to be written."""
    try:
        with h5py.File(result, "r", locking=False) as file:
            return int(file["committed"][2])
    except (OSError, KeyError):
        return 0


def test_a_checkpoint_of_other_constants_is_refused(tmp_path: Path):
    solved(tmp_path, "pair", "--set", "run.duration=5")
    with pytest.raises(InputError, match=r"constants.tau"):
        hpcpinn("run", tmp_path / "pair.toml", "--set", "constants.tau=25", "--resume")


def measured(folder: Path, system: str, constant: str, truth: float) -> Path:
    """A file of data that a toy makes with one constant at another value, with noise of 1 %."""
    from hpcpinn.core.parameters import with_values
    from hpcpinn.parallel.communicator import SerialCommunicator
    from hpcpinn.systems.jobs import load_order

    order = load_order(job(folder, system))
    problem = order.system.build(order.described, SerialCommunicator())
    at = {"t": np.linspace(0.5, 20.0, 60)}
    if system == "plate":
        turn, out = np.linspace(0.0, 30.0, 60), 0.9 * problem.parameters.radius * np.sqrt(np.linspace(0.01, 1.0, 60))
        at = {"x": out * np.cos(turn), "y": out * np.sin(turn)}
    clean = np.asarray(problem.predict(with_values(problem.parameters, {constant: truth}), at))
    noise = 0.01 * float(np.ptp(clean))
    values = clean + noise * np.random.default_rng(5).standard_normal(60)
    columns = {"value": values, **at, "noise": np.full(60, noise)}
    file = folder / "data.csv"
    np.savetxt(file, np.stack(list(columns.values()), axis=1), delimiter=",", header=",".join(columns), comments="")
    return file


@pytest.mark.parametrize(
    ("system", "constant", "truth"), [("pair", "tau", 15.0), ("plate", "D", None), ("discharge", "rest", -60.0)]
)
def test_a_constant_of_each_is_inferred_from_data(tmp_path: Path, capsys, system: str, constant: str, truth):
    from hpcpinn.io.inference import read_inference

    own = getattr(described_constants(system), constant)
    truth = 1.3 * own if truth is None else truth
    measured(tmp_path, system, constant, truth)
    learn = f'[[parameter]]\nname = "{constant}"\n[data]\nfile = "data.csv"\n'
    capsys.readouterr()
    hpcpinn("infer", job(tmp_path, system, learn))
    found = read_inference(tmp_path / f"{system}.h5")
    z, true = found.coordinates.of(found.estimate), found.coordinates.of([truth])
    assert found.names == (constant,) and bool(found.determined[0]) and found.start[0] == pytest.approx(own)
    assert abs(z - true)[0] < 3.0 * found.sd_log[0] < 0.3 * abs(true - found.coordinates.of([own]))[0]
    assert f"{constant:<12}" in capsys.readouterr().out
    hpcpinn("plot", tmp_path / f"{system}.h5", "--out", tmp_path / "pictures")
    assert {"path.png", "posterior.png"} <= {file.name for file in (tmp_path / "pictures").iterdir()}


def described_constants(system: str):
    from hpcpinn.parallel.communicator import SerialCommunicator
    from hpcpinn.systems import system_named

    known = system_named(system)
    return known.build(known.tables(), SerialCommunicator()).parameters


def test_an_inference_without_data_or_constants_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"\[\[parameter\]\]: none is given, so there is nothing to infer"):
        hpcpinn("infer", job(tmp_path, "discharge"))
    with pytest.raises(InputError, match=r"data.file: none is given; name a file with the columns value, t, noise"):
        hpcpinn("infer", job(tmp_path, "discharge", '[[parameter]]\nname = "tau"\n'))


def test_systems_and_their_keys_are_listed(capsys):
    hpcpinn("systems")
    lines = capsys.readouterr().out.splitlines()
    assert "cell       calcium, calbindin and voltage of a branched neuron" in lines
    assert f"pair       a FitzHugh-Nagumo pair  (HPCPINN_SYSTEMS: {HERE / 'pair.py'})" in lines
    hpcpinn("systems", "pair")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == f'system = "pair" a FitzHugh-Nagumo pair (HPCPINN_SYSTEMS: {HERE / "pair.py"})'
    assert lines[1:3] == ["[constants]", "tau = 12.5 Time constant of recovery, ms. (above 0)"]
    assert "a = 0.7 Shift of the line of recovery." in lines and "[[parameter]]" in lines
    assert any(
        line.startswith('transport = "auto" Way in which ranks exchange') and "One of auto, serial" in line
        for line in lines
    )
    hpcpinn("systems", "cell")
    out = capsys.readouterr().out
    assert "[[synapse]]\n" in out and "[physics.constants]\n" in out and "site = required" in out
    with pytest.raises(InputError, match="'pear' is not one of .* did you mean 'pair'"):
        hpcpinn("systems", "pear")


def test_a_sample_without_an_axis_of_probes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hpcpinn.parallel.communicator import SerialCommunicator

    kind = type(system_named("discharge").build(system_named("discharge").tables(), SerialCommunicator()))
    monkeypatch.setattr(kind, "sample", lambda self, attempt, times: {"voltage": self._after(attempt.inside, times)})
    with pytest.raises(InputError, match=r"sample gives 'voltage' of shape \(\d+,\); let it be \(times, probes\)"):
        solved(tmp_path, "discharge", "--set", "run.duration=2")


def test_a_probe_is_sampled_between_frames_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from hpcpinn.parallel.communicator import SerialCommunicator

    every = ["--set", "run.duration=20", "--set", "run.output_interval=2", "--set", "run.checkpoint_every=1"]
    whole = read(solved(tmp_path, "discharge", *every))
    assert whole.probes.name == ("middle",) and whole.probes.places["x"].tolist() == [50.0]
    assert whole.time.tolist() == np.arange(0.0, 21.0, 2.0).tolist()
    assert whole.probes.time.tolist() == np.arange(0.0, 20.1, 0.5).tolist()
    np.testing.assert_allclose(whole.probes.voltage[:, 0], -65.0 + 20.0 * np.exp(-whole.probes.time / 10.0), rtol=1e-13)
    assert repr(whole.probes) == "<probes middle: 41 samples of voltage>"
    assert np.array_equal(whole.probes.voltage[::4, 0], whole.voltage[:, 0])

    kind = type(system_named("discharge").build(system_named("discharge").tables(), SerialCommunicator()))
    cut = [*every, "--output", tmp_path / "cut.h5"]
    with monkeypatch.context() as changed:
        solve = kind.attempt
        changed.setattr(kind, "attempt", lambda self, state, *more: gives_up_after(10.0, solve, self, state, *more))
        with pytest.raises(SolveError, match="enough"):
            solved(tmp_path, "discharge", *cut)
    assert len(read(tmp_path / "cut.h5").probes.time) == 21
    solved(tmp_path, "discharge", *cut, "--resume")
    again = read(tmp_path / "cut.h5")
    assert np.array_equal(whole.probes.time, again.probes.time)
    assert np.array_equal(whole.probes.voltage, again.probes.voltage)


def gives_up_after(end: float, solve: Any, problem: Any, state: Any, length: float, reuse: Any) -> Any:
    """An attempt, before a time."""
    if state.time >= end:
        raise SolveError("enough")
    return solve(problem, state, length, reuse)


def test_a_command_that_a_system_brings(tmp_path: Path, capsys):
    recording = tmp_path / "recording.csv"
    recording.write_text("t_ms,value_mV\n0,-45\n1,-50\n2,-56\n3,-65\n")
    hpcpinn("half-time", recording)
    assert capsys.readouterr().out == "halfway after 2 ms\n"


def test_it_is_solved_from_python_by_its_name_and_by_what_it_brings():
    import hpcpinn as hp

    for given in ((hp.Membrane(tau=5.0),), ("discharge", {"constants": {"tau": 5.0}})):  # type: ignore[attr-defined]
        on, more = given[0], given[1] if len(given) > 1 else {}
        run = hp.solve(on, **more, duration=20.0)
        np.testing.assert_allclose(run.voltage[:, 0], -65.0 + 20.0 * np.exp(-run.time / 5.0), rtol=1e-12)
        assert set(run.plot()) and run.validate().figures()["differences"]
    with pytest.raises(hp.InputError, match="job: constnts: unknown; did you mean 'constants'?"):
        hp.Job("discharge", constnts={"tau": 5.0})  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="no attribute 'Membrain'"):
        hp.Membrain  # type: ignore[attr-defined]  # noqa: B018


def test_a_verb_that_a_system_brings(tmp_path: Path):
    import hpcpinn as hp

    halfway = hp.halfway  # type: ignore[attr-defined]
    assert str(inspect.signature(halfway)).startswith("(on: ") and "of: float = 1.0" in str(inspect.signature(halfway))
    membrane = hp.Membrane(tau=5.0)  # type: ignore[attr-defined]
    assert halfway(membrane, of=2.0, duration=3.0) == 10.0 * np.log(2.0)
    assert halfway("discharge") == 2.0 * np.log(2.0) == hp.load(job(tmp_path, "discharge")).halfway()  # what it takes
    assert hp.Job("discharge", constants={"tau": 4.0}).halfway(of=0.5) == 2.0 * np.log(2.0)  # type: ignore[call-arg]
    with pytest.raises(hp.InputError, match="^hpcpinn.halfway: the system 'pair' has none; there is one for 'dischar"):
        halfway("pair")
    with pytest.raises(hp.InputError, match="^hpcpinn.threshold: the system 'pair' has none; there is one for 'cell'$"):
        hp.threshold("pair")
    with pytest.raises(hp.InputError, match="^job.on: the system 'pair' has nothing for Python that it is solved on$"):
        hp.Job("pair").on  # noqa: B018
    with pytest.raises(hp.InputError, match='^pair: is a system, no job; a job of it begins with system = "pair", and'):
        hp.load("pair")


def test_its_job_and_its_constants_from_python(tmp_path: Path):
    import hpcpinn as hp

    measured(tmp_path, "discharge", "tau", 5.0)
    run = hp.load(job(tmp_path, "discharge"), {"run.duration": 20.0}).solve()
    assert run.time[-1] == 20.0 and (hp.read(tmp_path / "discharge.h5").voltage == run.voltage).all()
    found = hp.infer("discharge", learn=["tau"], data={"file": str(tmp_path / "data.csv")}, duration=20.0)
    assert found["tau"].low < found["tau"].value < found["tau"].high and abs(found["tau"].value - 5.0) < 0.2


def test_mistakes_in_its_job_have_file_line_and_key(tmp_path: Path):
    with pytest.raises(InputError, match=r"pair.toml, line 5: constants.tua: unknown key; did you mean 'tau'\?"):
        hpcpinn("run", job(tmp_path, "pair", "[constants]\ntua = 3"))
    with pytest.raises(InputError, match=r"line 5: constants.tau: -3 is not allowed: must be greater than 0"):
        hpcpinn("run", job(tmp_path, "pair", "[constants]\ntau = -3"))
    with pytest.raises(InputError, match=r"line 5: window.first: .*first = 9 ms is longer than window.longest = 5 ms"):
        hpcpinn("run", job(tmp_path, "pair", "[window]\nfirst = 9"))
    with pytest.raises(InputError, match=r"run.output: .*pair.toml is the job file"):
        hpcpinn("run", job(tmp_path, "pair"), "--output", tmp_path / "pair.toml")
    with pytest.raises(InputError, match=r"system: 'pair' has no cell, which this command needs"):
        hpcpinn("threshold", job(tmp_path, "pair"))
