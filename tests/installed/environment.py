"""An environment as a new user has it: Python, the wheel, and what pip brings along."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mpi.runner import ONE_THREAD, REPOSITORY, Finished, run

CONSTRAINTS = REPOSITORY / "constraints.txt"

_SMALL = "mdurl"
"""A small package among those needed, which tells whether pip reaches an index at all."""


@dataclass(frozen=True)
class Environment:
    """Where hpcpinn is installed.

    Attributes:
        folder: The virtual environment.
        empty: A folder for the commands, at first without any file.
    """

    folder: Path
    empty: Path

    def hpcpinn(self, *arguments: str, optimised: bool = False, limit: float = 600.0) -> Finished:
        """Runs the installed command from the folder that was empty, compiled as for users or as for tests."""
        return self._run([str(self.folder / "bin" / "hpcpinn"), *arguments], limit, optimised)

    def python(self, code: str, limit: float = 120.0) -> Finished:
        """Runs a program with the environment's Python."""
        return self._run([str(self.folder / "bin" / "python"), "-c", code], limit)

    def _run(self, command: list[str], limit: float, optimised: bool = False) -> Finished:
        alone = {"PYTHONPATH": ""}  # nothing of the checkout
        if optimised:
            alone["XLA_FLAGS"] = ONE_THREAD
        return run(command, limit=limit, environment=alone, directory=self.empty)


def install(wheel: Path, folder: Path) -> Environment:
    """A fresh environment with the wheel in it; skips the test where pip cannot get anything.

    Everything comes as a wheel (no compiler), in the versions of constraints.txt.
    """
    if find_spec("ensurepip") is None or find_spec("venv") is None:
        pytest.skip("this Python has no venv module (Debian: python3-venv)")
    there = Environment(folder / "venv", folder / "empty")
    there.empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(there.folder)], check=True, timeout=120)
    done = _pip(there, "install", "--no-compile", "--only-binary=:all:", "-c", str(CONSTRAINTS), str(wheel))
    if done.returncode:
        if _pip(there, "download", "--no-deps", "-d", str(folder / "one"), _pinned(_SMALL)).returncode:
            pytest.skip(f"pip reaches no package index from here: {done.stderr.strip().splitlines()[-1][:200]}")
        pytest.fail(f"pip could not install {wheel.name}:\n{done.stderr[-2000:]}", pytrace=False)
    return there


def _pip(there: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(there.folder / "bin" / "python"), "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, env=around, capture_output=True, text=True, timeout=600, check=False)


def _pinned(name: str) -> str:
    (pin,) = re.findall(rf"^{name}==.*$", CONSTRAINTS.read_text(), re.MULTILINE)
    return pin
