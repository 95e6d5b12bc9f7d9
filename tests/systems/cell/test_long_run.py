"""Long runs in split windows: against coupled windows, resumed to the bit, refused where they cannot."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.read import read
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell import CellSystem
from hpcpinn.systems.cell.build.long_output import description_of, ends_of_trains, long_output
from hpcpinn.systems.cell.build.stimulus import stimulus_of
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.slot_output import due_of, passed
from hpcpinn.systems.cell.slot_state import SlotState
from hpcpinn.systems.common.run_summary import RunSummary
from hpcpinn.timestepping.slots import Slot
from tests.systems.cell.solving import solve

FIRING = [
    "morphology.file=builtin:y_branch",
    "field.magnitude=9000.0",
    "field.direction=[1.0, 1.0, 0.3]",
    "stimulation.waveform=monophasic",
    "stimulation.start=2.0",
    "cable.step=0.05",
]


class Silent:
    """No progress; may stop a run after some slots."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.left = stop_after

    def tell(self, label: str, text: str) -> None: ...

    def doing(self, what: str, total: float = 0.0, unit: str = "") -> None: ...

    def done(self, amount: float, detail: str = "") -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt


def described(tmp_path: Path, name: str, *more: str) -> RunConfig:
    return load_config(None, [*FIRING, f"run.output={tmp_path / name}.h5", *more])


def split(config: RunConfig, **options) -> RunSummary:
    return solve(config, SerialCommunicator(), Silent(), **options)


def arrays(path: str) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        for name in ("time", "calcium", "calbindin", "voltage", "probes/calcium", "windows/error_estimate"):
            found[name] = file[name][()]
    return found


@pytest.mark.slow
def test_split_windows_agree_with_coupled_ones(tmp_path: Path) -> None:
    """Two ways that share the voltage and the constants, and nothing else: 12 ms with an action potential."""
    same = ["run.duration=12.0", "run.output_interval=0.4", "pieces.cells_per_piece=2", "pieces.max_length=5.0"]
    summary = split(described(tmp_path, "split", 'window.kind="split"', *same))
    solve(described(tmp_path, "coupled", *same), SerialCommunicator(), Silent())
    ours, theirs = (read(tmp_path / f"{name}.h5") for name in ("split", "coupled"))
    assert ours.voltage.max() > 0.0
    assert ours.calcium.max() > 2.0 * ours.calcium[0].max()
    weight = ours.cells.volume / ours.cells.volume.sum()
    for name in ("calcium", "calbindin"):
        mine, coupled = getattr(ours, name), getattr(theirs, name)
        away, apart = coupled[-1] - coupled[0], mine[-1] - coupled[-1]
        assert np.sqrt(weight @ apart**2) < 5e-3 * np.sqrt(weight @ away**2), name
    assert summary.pulses == 1
    assert summary.error_estimate < 1e-2

    split(described(tmp_path, "networks", 'window.kind="split"', 'split.diffusion="networks"', *same))
    networks = read(tmp_path / "networks.h5")
    np.testing.assert_allclose(networks.voltage, ours.voltage, atol=1.0)
    for name in ("calcium", "calbindin"):
        mine, cells = getattr(networks, name), getattr(ours, name)
        away, apart = cells[-1] - cells[0], mine[-1] - cells[-1]
        assert np.sqrt(weight @ apart**2) < 5e-4 * np.sqrt(weight @ away**2), name


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Under pulses alone; `test_long_drives` does it under everything at once."""
    train = [
        'window.kind="split"', "stimulation.bursts=5", "stimulation.start=20.0", "stimulation.burst_interval=20.0",
        "run.duration=120.0", "split.checkpoint_every=0.0", "split.motif_tolerance=1e-2", "run.output_interval=10.0",
    ]  # fmt: skip
    whole = described(tmp_path, "whole", *train)
    summary = split(whole)
    assert summary.motifs_reused >= 1
    stopped = described(tmp_path, "stopped", *train)
    with pytest.raises(KeyboardInterrupt):
        solve(stopped, SerialCommunicator(), Silent(stop_after=3))
    resumed = split(stopped, resume=tmp_path / "stopped.checkpoint.h5")
    for name, values in arrays(whole.run.output).items():
        assert np.array_equal(values, arrays(stopped.run.output)[name]), name
    assert resumed.motifs_solved == summary.motifs_solved
    assert resumed.windows == summary.windows
    assert resumed.verdict == summary.verdict  # what fired before the stop is not forgotten
    (cell,) = summary.verdict.cells
    assert cell.firing.count == 5 and 20.0 < cell.firing.first < 30.0


def test_rest_stays_at_rest(tmp_path: Path) -> None:
    quiet = load_config(None, [
        "morphology.file=builtin:y_branch", 'window.kind="split"', "field.magnitude=0.0", "stimulation.start=1.0",
        "run.duration=201.0", f"run.output={tmp_path}/quiet.h5",
    ])  # fmt: skip
    (cell,) = split(quiet).verdict.cells
    assert cell.firing.known and not cell.firing.any and cell.firing.places > 3
    calcium = read(tmp_path / "quiet.h5").calcium
    assert np.abs(calcium / calcium[0] - 1.0).max() < 1e-9


@pytest.mark.parametrize("key, extra", [
    ("physics.constants", "physics.constants.k_plus=30.0"),
    ("physics.preset", "physics.preset=seed"),
])  # fmt: skip
def test_what_split_windows_lack_is_named(tmp_path: Path, key: str, extra: str) -> None:
    with pytest.raises(InputError, match=key):
        split(described(tmp_path, "refused", 'window.kind="split"', extra))


def test_a_long_run_takes_the_whole_protocol_unless_told_otherwise() -> None:
    split = 'window.kind="split"'
    config = load_config(
        None, [split, "field.magnitude=1.0", 'stimulation.protocol="iTBS600"', "stimulation.start=5.0"]
    )
    plan = long_output(config, stimulus_of(config))
    assert plan.duration == 5.0 + 192_000.0
    assert plan.output_interval == 1000.0  # in step with trains that begin every 10 s
    assert plan.probe_interval == 200.0 / 52.0  # and with bursts
    kept, given = json.loads(description_of(config, plan)), json.loads(config.to_json())
    chosen = {"duration": plan.duration, "output_interval": 1000.0, "probe_interval": plan.probe_interval}
    assert kept["run"] == given["run"] | chosen and kept["pieces"]["cells_per_piece"] == 1
    told = load_config(None, ["field.magnitude=1.0", "run.duration=80.0", "run.output_interval=2.0"])
    plan = long_output(told, None)
    assert (plan.output_interval, plan.duration, plan.chosen) == (2.0, 80.0, (False, True))


def test_frames_fall_due_once() -> None:
    rows, following = passed(np.array([0.5, 1.0, 1.5, 3.2, 3.3]), 1.0, 1)
    assert rows.tolist() == [1, 3]
    assert following == 4
    rows, following = passed(np.array([3.4, 3.9]), 1.0, following)
    assert (rows.tolist(), following) == ([], 4)


def test_the_end_of_every_train_has_a_frame() -> None:
    """At the first end of windows after it, once; also between the multiples of the interval."""
    config = load_config(None, [
        "field.magnitude=1.0", "stimulation.start=5.0", "stimulation.bursts=2", "stimulation.burst_interval=20.0",
        "stimulation.trains=3", "stimulation.train_interval=100.0", "run.output_interval=50.0",
        "run.probe_interval=50.0", "run.duration=300.0",
    ])  # fmt: skip
    wanted = ends_of_trains(config, stimulus_of(config))
    assert wanted.tolist() == [35.0, 135.0, 235.0]
    setup: Any = SimpleNamespace(spec=config.run, frame_times=wanted)  # its intervals
    state = SlotState(0.0, *[None] * 5)  # type: ignore[arg-type]
    ends, frames, samples = np.array([7.0, 13.0, 30.0]), [], []
    for start in np.arange(0.0, 300.0, 30.0):
        due = due_of(setup, Slot(float(start), 30.0), ends, state)
        state = state._replace(next_frame=due.next_frame, next_sample=due.next_sample)
        frames += (start + ends[due.frames]).tolist()
        samples += (start + ends[due.samples]).tolist()
    assert samples == [60.0, 103.0, 150.0, 210.0, 253.0, 300.0]
    assert frames == sorted([*samples, 37.0, 240.0])  # the second train's end is seen at 150 ms


def test_bursts_of_a_single_train_have_frames_in_phase_with_its_last() -> None:
    config = load_config(None, ["field.magnitude=1.0", "stimulation.protocol=1Hz", "stimulation.start=5.0"])
    wanted = ends_of_trains(config, stimulus_of(config))
    assert len(wanted) == 150 and np.all(np.diff(wanted) == 4000.0) and wanted[-1] == 599_015.0
    assert long_output(config, stimulus_of(config)).output_interval == 3000.0
    few = load_config(None, ["field.magnitude=1.0", "stimulation.bursts=3", "stimulation.burst_interval=200.0",
                             "stimulation.pulses=2", "stimulation.pulse_interval=20.0"])  # fmt: skip
    assert (ends_of_trains(few, stimulus_of(few)) - few.stimulation.start).tolist() == [30.0, 230.0, 430.0]


@pytest.mark.parametrize(("more", "duration"), [([], 3.0 + 3 * 10.0), (["run.duration=7.0"], 7.0)])
def test_how_long_a_run_is_is_known_before_it_is_built(more: list[str], duration: float) -> None:
    """So that a finished one is known at once, of its whole protocol or a part of it."""
    pulses = ["stimulation.start=3.0", "stimulation.pulses=3", "stimulation.pulse_interval=10.0"]
    config = load_config(None, ['window.kind="split"', "field.magnitude=1.0", *pulses, *more])
    assert CellSystem().settings(config)[1] == duration
    assert long_output(config, stimulus_of(config)).duration == duration
