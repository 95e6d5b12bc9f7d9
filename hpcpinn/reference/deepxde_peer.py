"""DeepXDE (Lu et al. 2021, doi:10.1137/19M1274067) as a peer on the square: a process of its own in its own Python.

It is no reference, for it is further from the closed form than we are; it says what a well-known library needs
for the same problem on the same machine.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError, SolveError

_PROGRAM = Path(__file__).with_name("deepxde_program.py")
_OVER = 600.0
"""Beyond its limit: importing, predicting, and a round of L-BFGS that is under way, s."""
_IMPORTS = 120.0
"""In which DeepXDE must have been imported, s."""


@dataclass(frozen=True)
class Training:
    """How DeepXDE trains; the defaults are the published setting.

    Attributes:
        inside, start, edges: Collocation points inside, at the start and at the edges.
        width, depth: Width and number of layers of the dense tanh network.
        adam, lbfgs: Steps of either optimiser.
        scaled: Coordinates are brought to [−1, 1] and Adam's rate falls; the published network takes them as they are.
        seed: Seed of points and weights.
        limit: Time after which training ends, s.
        threads: Threads that PyTorch takes; 0: all.
    """

    inside: int = 10_000
    start: int = 400
    edges: int = 400
    width: int = 64
    depth: int = 4
    adam: int = 20_000
    lbfgs: int = 5000
    scaled: bool = False
    seed: int = 0
    limit: float = 1800.0
    threads: int = 0


@dataclass(frozen=True)
class PeerRun:
    """What DeepXDE found.

    Attributes:
        values: Dopamine, µM, (t, y, x).
        seconds: Wall time of the whole process, s.
        seconds_training: Wall time of its training alone, s.
        adam, lbfgs: Steps that it took of either optimiser.
        loss: Sum of its losses at the end.
        device: Device that it ran on.
        settings: Settings of its training under the names of `Training`; plain, since an older file may know others.
    """

    values: Float[ndarray, "T Y X"]
    seconds: float
    seconds_training: float
    adam: int
    lbfgs: int
    loss: float
    device: str
    settings: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        """All but the values, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "values"}


def require_deepxde(python: str) -> None:
    """Finds out whether an interpreter, as ``--deepxde`` names it, has DeepXDE with PyTorch.

    Raises:
        InputError: It has not, or it is not there.
    """
    fix = "pip install 'hpcpinn[deepxde]' here, or name a python that has deepxde and torch"
    try:
        done = subprocess.run(
            [python, "-c", "import deepxde"], env=_environment(), capture_output=True, text=True,
            timeout=_IMPORTS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"no answer within {_IMPORTS:g} s"
        raise InputError(f"--deepxde {python}: cannot be run with deepxde ({reason}); {fix}") from error
    if done.returncode:
        raise InputError(
            f"--deepxde {python}: cannot import deepxde with its PyTorch backend ({_last_line(done.stderr)}); {fix}"
        )


def solve_by_deepxde(
    constants: dict[str, float],
    x: Float[ndarray, " X"],
    y: Float[ndarray, " Y"],
    t: Float[ndarray, " T"],
    training: Training,
    python: str = sys.executable,
) -> PeerRun:
    """Trains DeepXDE's network on the square until the last of the times, and evaluates it.

    Args:
        constants: ``D``, ``k``, ``C0``, ``sigma``, ``half_width`` (µm, ms, µM).
        x, y, t: Places (µm) and times (ms) that are evaluated.
        training: Settings of the training.
        python: An interpreter that can import deepxde and torch.

    Raises:
        SolveError: It failed, did not end in time, or diverged.
    """
    if os.path.dirname(python):
        python = os.path.abspath(python)  # the process begins in a folder of its own; links stay, they make a venv
    job: dict[str, Any] = constants | asdict(training) | {"duration": float(t[-1])}
    job |= {"x": x.tolist(), "y": y.tolist(), "t": t.tolist()}
    with tempfile.TemporaryDirectory() as name:
        given, wanted = Path(name, "job.json"), Path(name, "result.npz")
        given.write_text(json.dumps(job))
        began = time.perf_counter()
        try:
            # Read from a pipe, so that modules beside the program do not hide others of the same name.
            done = subprocess.run(
                [python, "-", str(given), str(wanted)], input=_PROGRAM.read_text(encoding="utf-8"), cwd=name,
                env=_environment(), capture_output=True, encoding="utf-8", errors="replace",
                timeout=training.limit + _OVER, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SolveError(f"DeepXDE did not end within {training.limit + _OVER:g} s") from error
        if done.returncode:
            raise SolveError(f"DeepXDE ended with code {done.returncode}: {_last_line(done.stderr)}")
        seconds = time.perf_counter() - began
        with np.load(wanted) as stored:
            values, told = stored["values"], json.loads(str(stored["told"]))
    if not np.isfinite(values).all():
        steps = f"{told['adam']} steps of Adam and {told['lbfgs']} of L-BFGS"
        raise SolveError(f"DeepXDE diverged: values are not finite after {steps}, its loss is {told['loss']:g}")
    return PeerRun(
        values, seconds, told["seconds"], told["adam"], told["lbfgs"], told["loss"], told["device"], asdict(training)
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _environment() -> dict[str, str]:
    return os.environ | {"DDE_BACKEND": "pytorch"}
