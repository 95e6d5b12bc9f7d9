"""Runs neuron_y.py on ever finer compartments, in a process of its own, and says how far it has settled."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import InputError, SolveError

PROGRAM = Path(__file__).with_name("neuron_y.py")
DIVISION = 3
"""Every compartment is divided in so many from one grid to the next."""
ORDER = 2
"""Of NEURON's compartments in space, by which their last error is taken off."""


@dataclass(frozen=True)
class NeuronCourse:
    """Averages over the undivided compartments, µM."""

    c: Float[ndarray, "T N"]
    b: Float[ndarray, "T N"]
    seconds: float


@dataclass(frozen=True)
class Settled:
    """NEURON on three or more grids, each DIVISION times as fine as the one before.

    Attributes:
        courses: By the number of parts of a compartment, ascending.
        limit: The finest two extrapolated.
    """

    courses: dict[int, NeuronCourse]
    limit: NeuronCourse

    def order(self, compartment: int) -> float:
        """Observed order of c in space at a compartment, from the three finest grids."""
        coarse, middle, fine = (course.c[:, compartment] for course in list(self.courses.values())[-3:])
        return float(np.log(np.abs(coarse - middle).max() / np.abs(middle - fine).max()) / np.log(DIVISION))

    def movement(self, compartment: int) -> float:
        """How far the limit lies from the finest grid's c at a compartment, over the excursion there."""
        limit, finest = self.limit.c[:, compartment], list(self.courses.values())[-1].c[:, compartment]
        return float(np.abs(limit - finest).max() / np.ptp(limit))


def python_with_neuron(asked: str) -> str | None:
    """The interpreter to run NEURON with.

    Args:
        asked: A Python, "auto" for this one if it has NEURON, or "none".

    Returns:
        None for "none", and for "auto" where NEURON is absent.

    Raises:
        InputError: The Python is none or has no NEURON.
    """
    if asked in ("auto", "none"):
        return sys.executable if asked == "auto" and importlib.util.find_spec("neuron") else None
    found = shutil.which(asked)
    if found is None:
        raise InputError(f"--neuron {asked}: no such program; name a Python that has NEURON")
    if subprocess.run([found, "-c", "import neuron"], capture_output=True, check=False).returncode:
        raise InputError(f"--neuron {asked}: it cannot import neuron; there, pip install 'neuron>=9'")
    return found


def solve_in_neuron(
    python: str, times: Float[ndarray, " T"], factor: int, folder: Path, patience: float
) -> NeuronCourse:
    """The Y with every compartment divided in `factor`.

    Args:
        python: Interpreter that has NEURON.
        times: s.
        folder: Where the result is written, and what NEURON compiles.
        patience: Seconds after which it is given up.

    Raises:
        SolveError: It failed or took longer.
    """
    given, written = folder / "neuron_y_times.npy", folder / f"neuron_y_{factor}.npz"
    np.save(given, times)
    command = [python, str(PROGRAM), str(written), "--times", str(given), "--factor", str(factor)]
    try:
        done = subprocess.run(command, timeout=patience, cwd=folder, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired as why:
        raise SolveError(
            f"NEURON with every compartment in {factor} parts took longer than {patience:g} s; "
            "give --patience more, or --grids less"
        ) from why
    if done.returncode:
        raise SolveError(f"NEURON with every compartment in {factor} parts failed:\n{done.stderr.strip()}")
    with np.load(written) as data:
        return NeuronCourse(data["c"], data["b"], float(data["seconds"]))


def settle(python: str, times: Float[ndarray, " T"], grids: int, folder: Path, patience: float) -> Settled:
    """NEURON on so many grids and the limit of the finest two (see `solve_in_neuron`)."""
    factors = [DIVISION**n for n in range(grids)]
    courses = {factor: solve_in_neuron(python, times, factor, folder, patience) for factor in factors}
    coarse, fine = list(courses.values())[-2:]
    c, b = (
        getattr(fine, name) + (getattr(fine, name) - getattr(coarse, name)) / (DIVISION**ORDER - 1)
        for name in ("c", "b")
    )
    return Settled(courses, NeuronCourse(c, b, sum(course.seconds for course in courses.values())))
