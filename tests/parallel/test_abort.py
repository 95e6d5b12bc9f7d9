"""Outcomes of one rank: code and message of everything that can end it."""

import os
import shlex
import subprocess
import sys

import pytest

from hpcpinn.errors import HpcpinnError, InputError, NothingToDoError, OutputError, SolveError
from hpcpinn.parallel import abort
from hpcpinn.parallel.abort import Outcome, guarded, outcome_of


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("job.toml:4: run.duration = -1"), 2, "job.toml:4: run.duration = -1"),
        (SolveError("window 3"), 1, "window 3"),
        (OutputError("disk\n  full"), 1, "disk full"),
        (NothingToDoError("it is there"), 0, "it is there"),
        (HpcpinnError("x"), 1, "x"),
        (SystemExit(), 0, ""),
        (SystemExit(5), 5, ""),
        (SystemExit("gone"), 1, "gone"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_outcome_of_an_error(error: BaseException, code: int, message: str) -> None:
    assert outcome_of(error) == Outcome(code, message)


def test_the_process_ends_with_the_code_of_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []  # else it would leave the tests, too
    monkeypatch.setattr(abort, "_leave_within", lambda seconds, code: left.append(code))
    with pytest.raises(SystemExit) as ended, guarded():
        pass
    assert (ended.value.code, left) == (0, [])
    with pytest.raises(SystemExit) as ended, guarded():
        sys.exit(4)
    assert (ended.value.code, left) == (4, [4])


def test_unexpected_error_is_one_line_with_its_place() -> None:
    with pytest.raises(ValueError, match="first") as caught:
        raise ValueError("first\nsecond\nthe cause")
    outcome = outcome_of(caught.value)
    assert outcome.code == 1
    assert "\n" not in outcome.message
    assert outcome.message.startswith("internal error: ValueError: first … the cause at ")
    assert "test_abort.py:" in outcome.message


def test_traceback_on_request() -> None:
    with pytest.raises(InputError) as caught:
        raise InputError("cell.swc:3")
    message = outcome_of(caught.value, debug=True).message
    assert message.startswith("Traceback")
    assert message.endswith("cell.swc:3")


@pytest.mark.parametrize("text", ["", "µm² at ξ = 0", "x" * 50_000, "ü" * 50_000])
def test_outcomes_survive_packing_at_a_fixed_size(text: str) -> None:
    packed = Outcome(2, text).pack()
    assert len(packed) == len(Outcome(0, "").pack())
    restored = Outcome.unpack(packed)
    assert restored.code == 2
    assert text.startswith(restored.message)
    assert len(restored.message) >= min(len(text), 8000)


def test_a_reader_that_goes_away_is_no_complaint() -> None:
    program = (
        "from hpcpinn.parallel.abort import guarded\nwith guarded(): [print(i, flush=True) for i in range(100000)]"
    )
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} | head -n 1",
        shell=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
