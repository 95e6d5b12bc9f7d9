"""A system that is not what `hpcpinn.core.system` says is refused by name, before or while it runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError, SolveError
from hpcpinn.io.geometry import Box, Line, Points, ProbePoint, ProbeSite, Tree
from hpcpinn.io.read import read
from hpcpinn.parallel.abort import outcome_of
from hpcpinn.systems.contract import _wrong_probes, no_number
from tests.cli.in_process import hpcpinn
from tests.io.runs import y_cable

PAIR = (Path(__file__).resolve().parent / "pair.py").read_text()


def run_changed(folder: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, *arguments: str) -> Path:
    """Runs the pair with a mistake in its file; the result."""
    assert right in PAIR
    file = folder / "mistaken.py"
    file.write_text(PAIR.replace(right, wrong))
    monkeypatch.setenv("HPCPINN_SYSTEMS", str(file))
    result = folder / "pair.h5"
    job = folder / "pair.toml"
    job.write_text(f'system = "pair"\n[run]\noutput = "{result}"\nduration = 4.0\n')
    hpcpinn("run", job, *arguments)
    return result


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("def attempt", "def atempt", r"has no attempt;"),
        ("self.stops = ", "self.ends = ", r"has no stops;"),
        ("def unpack", "def unpak", r"has no unpack;"),
        ('Variable("v", "", "activator"), ', '"v", ', r"has fields = \('v', .*are not hpcpinn.io.schema.Variable"),
        ('Variable("w"', 'Variable("v"', r"has two fields of one name: v, v"),
        ("self.geometry = Points()", "self.geometry = 1", r"has geometry = 1, which is none of hpcpinn.io.geometry"),
        ("self.rule = WindowRule(", "self.rule = 1 or WindowRule(", r"has rule = 1, which is no hpcpinn"),
        ("self.stops = np", "self.probes = (1,)\n        self.stops = np", r"has probes and no sample_times, sample;"),
        ("np.array([run.duration])", "np.array([run.duration, 1.0])", r"has stops = \[4. 1.\], which are no times"),
        ("np.arange(0.0, run", "np.arange(1.0, run", r"has times that begin at 1; let the first be 0"),
        ("np.arange(0.0, run.duration * (1.0 + 1e-9), run.output_interval)", "np.array([0.0, 9.0])",
         r"has times up to 9, beyond the end of the run at 4 \(stops\)"),
        ("np.arange(0.0, run.duration * (1.0 + 1e-9), run.output_interval)", "np.array([0.0, 2.0, 1.0])",
         r"has times = \[0. 2. 1.\], which are no times that increase"),
    ],
)  # fmt: skip
def test_a_problem_that_is_none_is_refused_when_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, why: str
):
    said = rf"mistaken.py: the problem of the system 'pair' \(PairProblem\) {why}.*hpcpinn.core.system"
    with pytest.raises(InputError, match=said) as caught:
        run_changed(tmp_path, monkeypatch, right, wrong)
    assert "\n" not in str(caught.value) and not (tmp_path / "pair.h5").exists()


@pytest.mark.parametrize(
    ("geometry", "probe", "why"),
    [
        (Points(("one", "two")), ProbePoint("tip", (1.0,)), "has probes on Points, which are written as they are;"),
        (Line(np.arange(0.0, 401.0, 50.0)), ProbePoint("tip", (900.0,)),
         "has the probe 'tip' at x = 900, outside of its line from -25 to 425"),
        (Line(np.arange(3.0)), ProbePoint("tip", (1.0, 1.0)), r"'tip' at \(1.0, 1.0\); let it be \(x,\) in µm"),
        (Line(np.arange(3.0)), ProbeSite("tip", 0, 0.5), "on a line, where a hpcpinn.io.geometry.ProbePoint belongs"),
        (Box(np.arange(3.0), np.arange(9.0)), ProbePoint("tip", (5.0, 1.0)), "x = 5, outside of its box from -0.5 to"),
        (Box(np.arange(3.0), np.arange(9.0)), ProbePoint("tip", (1.0, np.nan)), "at y = nan, outside of its box"),
        (Box(np.arange(3.0), np.arange(9.0)), ProbePoint("tip", (1.0, 5.0)), None),
        (Tree(y_cable(), np.zeros(11, int), 3), ProbeSite("tip", 11, 0.5),
         "the probe 'tip' on piece 11 of a tree of 11; let it be a whole number from 0 to 10"),
        (Tree(y_cable(), np.zeros(11, int), 3), ProbeSite("tip", -1, 0.5), "on piece -1 of a tree of 11"),
        (Tree(y_cable(), np.zeros(11, int), 3), ProbeSite("tip", 1.5, 0.5), "on piece 1.5 of a tree of 11"),
        (Tree(y_cable(), np.zeros(11, int), 3), ProbeSite("tip", 10, 1.5), "at fraction 1.5 of its piece"),
        (Tree(y_cable(), np.zeros(11, int), 3), ProbeSite("tip", 10, 1.0), None),
    ],
)  # fmt: skip
def test_a_probe_that_its_geometry_does_not_have_is_refused(geometry, probe, why: str | None):
    wrong = next(iter(_wrong_probes(geometry, (probe,))), None)
    assert wrong is None if why is None else re.search(why, wrong or "")


def test_what_is_no_number_is_refused_unless_a_mask_has_nothing_there():
    frames = np.array([[1.0, 2.0], [3.0, np.nan]])
    said = "'v' with a value that is not finite at time 0.5"
    assert no_number([0.0, 0.5], {"v": frames}) == said
    assert no_number([0.0, 0.5], {"v": frames.reshape(2, 1, 2)}, np.array([False, True])) == said
    assert no_number([0.0, 0.5], {"v": frames}, np.array([True, False])) is None
    assert no_number([0.0, 0.5], {"v": frames[:, :0]}) is None


@pytest.mark.parametrize("name", ["x", "time", "path", "V"])
def test_a_field_that_cannot_have_its_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    with pytest.raises(InputError, match=f"field '{name}' of a system: is no name for it; .*mask, .*time, windows, x"):
        run_changed(tmp_path, monkeypatch, 'Variable("v"', f'Variable("{name}"')


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("    time: float\n", "    when: float\n", "gives with start a PairState without a number time;"),
        ("return PairState(0.0)", "return PairState(1.0)", "has a start at time = 1; let it be 0"),
        ("return PairState(state.time + h,", "return PairState(state.time + 0.5 * h,",
         r"has an attempt from 0 of length 0.\d+ with after.time = 0.\d+; let it be 0.\d+"),
        ('{"v": found[:, :1], "w": found[:, 1:]}', '{"v": found[:, :1]}', "observe gives no w"),
        ('{"v": found[:, :1], "w": found[:, 1:]}', '{"v": found[:, :1], "u": found[:, 1:]}',
         "observe gives 'u', which is none of the fields v, w"),
        ('"w": found[:, 1:]}', '"w": found}', r"observe gives 'w' of shape \(1, 2\); let it have a row for each of 1 "
         "times, with 1 values"),
        ('"w": found[:, 1:]}', '"w": np.zeros((3, 1))}', r"observe gives 'w' of shape \(3, 1\)"),
        ('"w": found[:, 1:]}', '"w": found[:, 1:] * np.nan}', "observe gives 'w' with a value that is not finite"),
        ('return {"v": found[:, :1], "w": found[:, 1:]}', "return found", "observe gives ndarray, not values by name"),
        ("    def pack(", "    def record(self, step, stats):\n        return {}\n\n    def pack(",
         "record gives a dict, not a Record"),
        ("        self.observed",
         "        self.columns = (__import__('hpcpinn').io.schema.column('lag', 'lag'),)\n        self.observed",
         "columns has lag, of which no attempt has a note"),
    ],
)  # fmt: skip
def test_a_window_or_frame_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, why: str
):
    said = rf"mistaken.py: the problem of the system 'pair' \(PairProblem\):? {why}"
    with pytest.raises(InputError, match=said) as caught:
        run_changed(tmp_path, monkeypatch, right, wrong)
    assert "\n" not in str(caught.value)
    if (tmp_path / "pair.h5").exists():
        assert not len(read(tmp_path / "pair.h5").time)


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ('"w": found.y[1][:, None]}', '"u": found.y[1][:, None]}', "reference gives 'u', which is none of the fields"),
        ('"w": found.y[1][:, None]}', '"w": found.y[1][:2]}', r"reference gives 'w' of shape \(2,\)"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, why: str
):
    result = run_changed(tmp_path, monkeypatch, right, wrong)
    with pytest.raises(InputError, match=f"the problem of the system 'pair' .PairProblem.: {why}"):
        hpcpinn("validate", result, "--json")
    assert not (tmp_path / "pair.reference.h5").exists()


def test_a_reference_without_axes_of_places_is_what_it_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Not every time against every other."""
    result = run_changed(tmp_path, monkeypatch, '"w": found.y[1][:, None]}', '"w": found.y[1]}')
    capsys.readouterr()
    hpcpinn("validate", result, "--json")
    assert all(one["relative"] < 1e-5 for one in json.loads(capsys.readouterr().out)["differences"])


def test_what_an_attempt_raises_has_the_time_of_its_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    raised = '        if state.time > 1.0:\n            raise ValueError("the pair parted")\n        once = self._step'
    with pytest.raises(ValueError, match="^the pair parted") as caught:
        run_changed(tmp_path, monkeypatch, "        once = self._step", raised)

    told = outcome_of(caught.value).message
    assert re.match(r"internal error: ValueError: the pair parted \(in the window at t = 1\.\d+\) at \S+:\d+; ", told)


def test_who_has_no_networks_is_not_advised_to_make_them_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SolveError, match=r"; lower window.shortest or raise window.tolerance$"):
        run_changed(tmp_path, monkeypatch, "/ 15.0\n", "/ 15.0 + 1.0\n")


EVERY = ("--set", "run.checkpoint_every=1")


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        (', "w": state.w})', "})", "pack loses w of a state, on which the next window depends"),
        ('"w": state.w})', '"w": np.float32(state.w)})', "pack loses w of a state, on which the next window depends"),
        ("name: float(value) for", "name: round(float(value), 3) for", "pack gives another '(time|v|w)' after unpack"),
        ("for name, value in packed.scalars.items()", "for name, value in [*packed.scalars.items(), ('u', 0)]",
         r"unpack cannot take what pack gives \(TypeError: .*unexpected keyword argument 'u'\)"),
    ],
)  # fmt: skip
def test_a_pack_that_loses_something_ends_the_run_at_its_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, why: str
):
    with pytest.raises(InputError, match=rf"mistaken.py: the problem of the system 'pair' \(PairProblem\): {why}"):
        run_changed(tmp_path, monkeypatch, right, wrong, *EVERY)
    assert len(read(tmp_path / "pair.h5").windows["start"]) == 1


@pytest.mark.parametrize("wrong", ["})", '"w": np.float32(state.w)})'])
def test_a_run_shorter_than_its_checkpoints_is_read_back_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
):
    right = '"w": state.w})'
    with pytest.raises(InputError, match="pack loses w of a state, on which the next window depends"):
        run_changed(tmp_path, monkeypatch, right, wrong, "--set", "run.checkpoint_every=50")
    assert 2 <= len(read(tmp_path / "pair.h5").windows["start"]) < 50


@pytest.mark.parametrize("wrong", ["})", '"w": np.float32(state.w)})'])
def test_the_only_window_of_a_run_tells_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str):
    """What a start has by itself, a state in the middle of it has not."""
    only = ("run.duration=0.01", "run.output_interval=0.01", "window.first=0.01", "window.shortest=1e-4")
    with pytest.raises(InputError, match="pack loses w of a state, on which the next window depends"):
        run_changed(tmp_path, monkeypatch, '"w": state.w})', wrong, *(word for key in only for word in ("--set", key)))
    assert len(read(tmp_path / "pair.h5").windows["start"]) == 1


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_an_attempt_that_always_takes_less_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float):
    """At a tenth windows shrink at once, at a half before the end, which is never reached."""
    given = f"    def attempt(self, state, length, reuse):\n        length *= {share}\n"
    with pytest.raises(SolveError) as caught:
        run_changed(tmp_path, monkeypatch, "    def attempt(self, state, length, reuse):\n", given)
    said = str(caught.value)
    assert re.search(
        r"window at t = \S+: attempt was asked for a length of \S+ and took \S+, below window.shortest", said
    )
    assert re.search(r"estimate of \S+ within window.tolerance = 1e-0\d; let it take the length it is asked for", said)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("return None", "attempt gives a NoneType, not a hpcpinn.core.system.Attempt"),
        ("return error", "attempt gives a float, not a hpcpinn.core.system.Attempt"),
        ("return Attempt(length, None, twice)", "attempt has error = None, which is no number"),
        ("return Attempt(length, [error], twice)", "attempt has error = .*, which is no number"),
    ],
)
def test_what_is_no_attempt_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, why: str):
    said = rf"mistaken.py: the problem of the system 'pair' \(PairProblem\): {why}"
    with pytest.raises(InputError, match=said):
        run_changed(tmp_path, monkeypatch, "return Attempt(length, error, twice,", f"{wrong}\n        dict(")


def test_where_nothing_is_finite_no_tolerance_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SolveError, match=r"\(window.shortest = 1e-06\); lower window.shortest$"):
        run_changed(tmp_path, monkeypatch, "/ 15.0\n", "/ 15.0 + np.nan\n")


def test_a_part_of_a_state_that_no_window_depends_on_need_not_be_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cached = "    w: float = 1.0\n    tries: int = 0\n"
    right, wrong = "return PairState(state.time + h, float(v), float(w))", "float(w), state.tries + 1)"
    assert right in PAIR
    monkeypatch.setattr(f"{__name__}.PAIR", PAIR.replace(right, right.replace("float(w))", wrong)))
    assert read(run_changed(tmp_path, monkeypatch, "    w: float = 1.0\n", cached, *EVERY)).complete


@pytest.mark.parametrize("error", ["0.0", "1e-09"])
def test_an_accepted_window_without_a_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str):
    right = "        return Attempt(length, error, twice,"
    lost = "        twice = PairState(twice.time, float('nan'), twice.w)\n"
    said = rf"PairProblem\): an attempt from 0 has error {float(error):g} and 'v' in its state that is not finite"
    with pytest.raises(InputError, match=said):
        run_changed(tmp_path, monkeypatch, right, f"{lost}        return Attempt(length, {error}, twice,")


OWN = "    def pack("
VERDICT = "        from hpcpinn.systems.common.verdict import Accuracy, Verdict\n"


@pytest.mark.parametrize(
    ("member", "gives", "why"),
    [
        ("figures(self, stats)", "3", "figures gives a int, not figures by name"),
        ("figures(self, stats)", "{'seconds': 3}", "figures gives 'seconds', which a run says itself"),
        ("figures(self, stats)", "{'counted': 3}", "figures gives counted = 3; let it be figures by name"),
        ("accuracy(self, stats)", "1e-7", r"accuracy gives a float, not a \S+Accuracy\(error, tolerance, of, key\)"),
        ("accuracy(self, stats)", "Accuracy('small', 1.0, 'v', 'k')", "accuracy gives error = 'small', which is no"),
        ("verdict(self, state, stats, result)", "None", r"verdict gives a NoneType, not a \S+Verdict"),
        ("verdict(self, state, stats, result)", "Verdict((), 'the tip')", "verdict gives left = 'the tip', which"),
    ],
)  # fmt: skip
def test_what_a_run_cannot_say_at_its_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, gives: str, why: str
):
    with pytest.raises(InputError, match=rf"the problem of the system 'pair' \(PairProblem\): {why}"):
        run_changed(tmp_path, monkeypatch, OWN, f"    def {member}:\n{VERDICT}        return {gives}\n\n{OWN}")


def test_own_figures_are_said_beside_those_of_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    own = "    def figures(self, stats):\n        return {'spikes': 3}\n\n"
    result = run_changed(tmp_path, monkeypatch, OWN, own + OWN)
    said = capsys.readouterr().out
    assert "figures   spikes 3\n" in said and "next      hpcpinn validate" in said
    kept = json.loads(result.with_suffix(".metrics.json").read_text())
    assert kept["spikes"] == 3 and kept["windows"] > 0 and kept["counted"]["steps"] > 0


def test_a_run_that_cannot_be_is_no_run_to_go_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    own = f"    def verdict(self, state, stats, result):\n{VERDICT}        return Verdict((), (), ('it burst',))\n\n"
    with pytest.raises(SolveError, match="it burst"):
        run_changed(tmp_path, monkeypatch, OWN, own + OWN)
    assert "next " not in capsys.readouterr().out
