"""DeepXDE as a process of its own: what goes wrong is told in a line; the real one, where it is installed."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError, SolveError
from hpcpinn.reference import deepxde_peer
from hpcpinn.reference.deepxde_peer import PeerRun, Training, require_deepxde, solve_by_deepxde

PROBLEM = {"D": 0.32, "k": 0.05, "C0": 1.0, "sigma": 0.6, "half_width": 2.5}
X, Y, T = np.linspace(-2.0, 2.0, 5), np.linspace(-2.0, 2.0, 4), np.linspace(0.0, 2.0, 3)
PUBLISHED = Training()


def interpreter(folder: Path, body: str) -> str:
    """A program that stands where a Python with DeepXDE is wanted."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def solved(python: str, training: Training = PUBLISHED) -> PeerRun:
    return solve_by_deepxde(PROBLEM, X, Y, T, training, python)


def test_an_interpreter_that_is_not_there_is_named_with_the_flag_and_the_fix():
    with pytest.raises(InputError) as refused:
        require_deepxde("/no/such/python")
    assert str(refused.value) == (
        "--deepxde /no/such/python: cannot be run with deepxde (No such file or directory); pip install "
        "'hpcpinn[deepxde]' here, or name a python that has deepxde and torch"
    )


def test_an_interpreter_without_deepxde_is_told_with_its_last_line(tmp_path: Path):
    python = interpreter(tmp_path, "echo Traceback >&2; echo \"No module named 'deepxde'\" >&2; exit 1")
    with pytest.raises(InputError, match=r"cannot import deepxde with .* \(No module named 'deepxde'\); pip install"):
        require_deepxde(python)


def test_an_interpreter_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deepxde_peer, "_IMPORTS", 0.2)
    with pytest.raises(InputError, match=r"cannot be run with deepxde \(no answer within 0.2 s\)"):
        require_deepxde(interpreter(tmp_path, "exec sleep 20"))


def test_training_that_fails_is_told_with_its_last_line(tmp_path: Path):
    python = interpreter(tmp_path, "echo warning >&2; echo 'CUDA out of memory' >&2; exit 3")
    with pytest.raises(SolveError, match=r"^DeepXDE ended with code 3: CUDA out of memory$"):
        solved(python)


def test_training_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deepxde_peer, "_OVER", 0.25)
    with pytest.raises(SolveError, match=r"^DeepXDE did not end within 0.5 s$"):
        solved(interpreter(tmp_path, "exec sleep 20"), Training(limit=0.25))


def test_an_interpreter_may_be_named_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    interpreter(tmp_path, "echo 'I was found' >&2; exit 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SolveError, match=r"I was found"):
        solved("./python")


@pytest.mark.skipif(
    importlib.util.find_spec("deepxde") is None or importlib.util.find_spec("torch") is None,
    reason="DeepXDE is not installed (pip install 'hpcpinn[deepxde]')",
)
def test_deepxde_learns():
    tiny = Training(inside=200, start=100, edges=40, width=16, depth=2, adam=1, lbfgs=0, scaled=True, threads=1)
    require_deepxde(sys.executable)
    begun, trained = solved(sys.executable, tiny), solved(sys.executable, replace(tiny, adam=100, lbfgs=100))
    assert begun.values.shape == (3, 4, 5)
    assert (begun.adam, begun.lbfgs, trained.adam) == (1, 0, 100) and 0 < trained.lbfgs <= 100
    assert 0.0 < trained.seconds_training < trained.seconds
    assert trained.loss < 0.3 * begun.loss
    release = np.exp(-0.5 * (X[None, :] ** 2 + Y[:, None] ** 2) / PROBLEM["sigma"] ** 2)
    errors = [np.abs(run.values[0] - release).max() for run in (begun, trained)]
    assert errors[1] < 0.5 * errors[0]
