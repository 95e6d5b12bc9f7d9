"""A system that is not what `hpcpinn.core.system` says is refused by name, before or while it runs."""

from pathlib import Path

import pytest

from hpcpinn.errors import InputError
from tests.cli.in_process import hpcpinn

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
        ('Field("v", "", "activator"), ', '"v", ', r"has fields = \('v', Field\(.*are not hpcpinn.io.schema.Field"),
        ('Field("w"', 'Field("v"', r"has two fields of one name: v, v"),
        ("self.geometry = Points()", "self.geometry = 1", r"has geometry = 1, which is none of hpcpinn.io.geometry"),
        ("self.rule = WindowRule(", "self.rule = 1 or WindowRule(", r"has rule = 1, which is no hpcpinn"),
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


@pytest.mark.parametrize("name", ["x", "time", "path", "V"])
def test_a_field_that_cannot_have_its_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    with pytest.raises(InputError, match=f"field '{name}' of a system: is no name for it; .*mask, .*time, windows, x"):
        run_changed(tmp_path, monkeypatch, 'Field("v"', f'Field("{name}"')
