"""Every bundled membrane against NEURON, which runs mechanisms made from the same files: a patch of every region."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hpcpinn import bundled
from hpcpinn.morphology.compartments import compartments
from hpcpinn.physics.membrane_constants import CableConstants
from hpcpinn.physics.membranes import Region, bundled_membrane, bundled_membranes
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule, steps_between
from tests.morphology.test_neuron_sections import needs_neuron, neuron_python
from tests.reference.cables import cylinder

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "neuron_membranes.py"
DISTANCE = 150.0
"""Way from the soma for conductances that vary, µm."""
CLAMP = CurrentClamp(0.5, 3.0)
END, SAMPLE = 8.0, 0.01
START = -75.0
CURRENTS = {"myelin": 0.02, "passive": 0.05}
"""Into 1257 µm², nA; where nothing is said, 0.5."""


def patch_of(region: Region) -> dict:
    """What NEURON is told of a patch."""
    at = np.array([DISTANCE])
    channels = region.channels
    return {
        "conductances": {
            one.name: float(one.conductance) * float(region.profile(one.name, at, {})[0]) for one in channels.currents
        },
        "C_m": region.C_m or 1.0, "celsius": float(channels.celsius), "V": START,
        "current": CURRENTS.get(region.name or channels.name, 0.5), "delay": CLAMP.start, "duration": CLAMP.duration,
    }  # fmt: skip


def ours(region: Region, patch: dict, times: np.ndarray) -> np.ndarray:
    """The voltage of the same patch, with steps of 0.5 µs."""
    cells = compartments(cylinder(20.0, 10.0), np.array([1]))
    at = np.full(1, DISTANCE)
    profiles = {f"{region.channels.name}.{name}": region.profile(name, at, {}) for name in region.profiles}
    equation = CableEquation(cells, [region.channels], CableConstants(100.0, patch["C_m"]), profiles=profiles)
    steps = steps_between(0.0, END, VoltageStepRule(0.0005, 0.0005), clamps=[CLAMP], marks=times)
    source = equation.clamp_source(0, patch["current"])[None]
    _, V = equation.march(equation.uniform_state(START), steps, source)
    found: np.ndarray = np.interp(times, steps.ends, V[:, 0])
    return found


def spikes(times: np.ndarray, V: np.ndarray) -> np.ndarray:
    """When the voltage rises through −20 mV, ms."""
    rises = np.flatnonzero((V[:-1] < -20.0) & (V[1:] >= -20.0))
    return times[rises] + (-20.0 - V[rises]) / (V[rises + 1] - V[rises]) * (times[rises + 1] - times[rises])


@pytest.mark.slow
@needs_neuron
@pytest.mark.parametrize("name", bundled_membranes())
def test_patches_of_every_region_are_those_of_neuron(tmp_path: Path, name: str) -> None:
    regions = list(bundled_membrane(name).regions.values())
    times = np.arange(1, round(END / SAMPLE)) * SAMPLE
    patches = [patch_of(region) for region in regions]
    request = {"file": str(bundled.files("membranes", ".toml")[name]), "patches": patches, "times": times.tolist()}
    (tmp_path / "request.json").write_text(json.dumps(request))
    command = [str(neuron_python()), str(SCRIPT), str(tmp_path / "request.json"), str(tmp_path / "answer.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    fired = 0
    for region, patch, answer in zip(regions, patches, json.loads((tmp_path / "answer.json").read_text()), strict=True):
        found, wanted = ours(region, patch, times), np.array(answer)
        excursion = np.ptp(wanted)
        assert excursion > 1.0, region.name
        mine, theirs = spikes(times, found), spikes(times, wanted)
        assert len(mine) == len(theirs), region.name

        np.testing.assert_allclose(mine, theirs, atol=1e-3, err_msg=region.name)
        np.testing.assert_allclose(found, wanted, atol=1e-3 * excursion, err_msg=region.name)
        fired += len(theirs)
    assert fired or name == "passive"
