"""What a first run compiles stays little: programs are counted by JAX's own events, in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mpi.runner import REPOSITORY

JOBS = REPOSITORY / "jobs"
COUPLED = (JOBS / "y_branch.toml", "--set", "run.duration=1.5")
SPLIT = (
    JOBS / "rtms_10hz.toml", "--morphology", "builtin:y_branch", "--set", "run.duration=150",
    "--set", 'probe=[{site="root"}]', "--set", "axon={}", "--set", "channels={}",
)  # fmt: skip

PROGRAMS = {"coupled": (COUPLED, 21), "split": (SPLIT, 11)}
"""What is compiled today. At commit 43d8013 it was six and twelve times as much, nearly all of it single operations
on the way to the first window: arrays laid by `jnp`, formulae evaluated once outside `jax.jit`."""


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_first_run_compiles_few_programs(tmp_path: Path, kind: str) -> None:
    job, today = PROGRAMS[kind]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "bench_startup.py"), "--count", str(report), "run"]
        + [*map(str, job), "--output", str(tmp_path / "run.h5")],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    assert figures["code"] == 0
    assert figures["programs"] <= 1.1 * today, figures["longest"]
