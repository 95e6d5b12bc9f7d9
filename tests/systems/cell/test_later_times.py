"""A run that goes on to a later time: as one that went there at once, and told so."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcpinn.io.read import read
from tests.cli.in_process import hpcpinn

JOB = """
[morphology]
file = "builtin:y_branch"
[field]
magnitude = 6000.0
direction = [1.0, 1.0, 0.3]
[stimulation]
waveform = "monophasic"
start = 0.2
[pieces]
max_length = 20.0
[window]
kind = "KIND"
tolerance = 5e-3
[run]
output_interval = 0.5
"""
EARLY, LATE = 2.5, 3.5
"""ms: the first in the middle of the action potential that the pulse sets off."""


@pytest.mark.parametrize("kind", ["split", pytest.param("mixed", marks=pytest.mark.slow)])
def test_a_run_that_ended_in_an_action_potential_goes_on_as_one_that_did_not(tmp_path: Path, kind: str):
    job, cut, straight = tmp_path / "job.toml", tmp_path / "cut.h5", tmp_path / "straight.h5"
    job.write_text(JOB.replace("KIND", kind))
    hpcpinn("run", job, "--output", cut, "--set", f"run.duration={EARLY}")
    hpcpinn("run", job, "--output", cut, "--resume", "--set", f"run.duration={LATE}")
    hpcpinn("run", job, "--output", straight, "--set", f"run.duration={LATE}")
    one, whole = read(cut), read(straight)
    assert one.time[-1] == whole.time[-1] == LATE
    excursion = np.abs(whole.calcium - whole.calcium[0]).max()
    assert excursion > 0.05
    np.testing.assert_allclose(one.calcium[-1], whole.calcium[-1], rtol=0.0, atol=2e-3 * excursion)
    with h5py.File(cut) as file:  # what validates it looks there
        assert json.loads(file["config"].asstr()[()])["run"]["duration"] == LATE
