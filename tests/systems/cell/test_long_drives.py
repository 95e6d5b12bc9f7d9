"""Long runs under clamps, releases, fluxes and given voltages: against coupled windows, and resumed."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.read import read
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.build.long import slot_setup
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.build.stimulus import releases_of
from hpcpinn.systems.cell.build.voltage import solve_voltage
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.common.run_summary import RunSummary
from tests.systems.cell.solving import solve
from tests.systems.cell.test_long_run import Silent, arrays

CELL = ["morphology.file=builtin:y_branch", "cable.step=0.05"]
CLAMP = 'clamp=[{site="root", start=1.5, duration=2.0, current=2.0}]'
SPLIT = 'window.kind="split"'


def described(tmp_path: Path, name: str, *more: str) -> RunConfig:
    return load_config(None, [*CELL, f"run.output={tmp_path / name}.h5", *more])


def split(config: RunConfig, **options) -> RunSummary:
    return solve(config, SerialCommunicator(), Silent(), **options)


@pytest.mark.slow
def test_clamp_release_and_flux_agree_with_coupled_windows(tmp_path: Path) -> None:
    """No field: a clamp makes the cell fire, a synapse releases at a tip, calcium flows in at the root.

    On the whole cell and near the patch; 0.2 to 0.3 % were measured. Both see the voltage in steps of
    0.025 ms: in steps of 0.05 ms the influx of the action potential would differ by 1 %.
    """
    run = [
        "morphology.file=builtin:y_branch", "run.duration=3.0", "pieces.cells_per_piece=4",
        'clamp=[{site="root", start=1.0, duration=1.0, current=4.0}]',
        'synapse=[{site="tip", start=1.0, flux=500.0}]',
        'flux=[{site="root", value=5.0, start=1.0}]',
    ]  # fmt: skip
    summary = split(load_config(None, [*run, SPLIT, f"run.output={tmp_path}/split.h5"]))
    coupled = load_config(None, [*run, f"run.output={tmp_path}/coupled.h5"])
    solve(coupled, SerialCommunicator(), Silent())
    assert summary.slots == 3 and summary.pulses == 0
    ours, theirs = (read(tmp_path / f"{name}.h5") for name in ("split", "coupled"))
    assert theirs.voltage.max() > 0.0
    cells = ours.cells
    patch = cells.path > cells.path.max() - 4.0
    for where in (np.ones_like(patch), patch):
        weight = np.where(where, cells.volume, 0.0)
        for name in ("calcium", "calbindin"):
            mine, other = getattr(ours, name), getattr(theirs, name)
            away, apart = other[-1] - other[0], mine[-1] - other[-1]
            assert np.sqrt(weight @ apart**2) < 5e-3 * np.sqrt(weight @ away**2), (name, where.sum())


def voltage_file(path: Path, times: np.ndarray, values: np.ndarray, sites: list[str]) -> Path:
    with h5py.File(path, "w") as file:
        file["time"], file["voltage"] = times, values
        file["sites"] = np.array(sites, dtype=h5py.string_dtype())
    return path


def test_a_voltage_from_a_file_does_what_the_same_voltage_does_solved(tmp_path: Path) -> None:
    fine = ["cable.step=0.00625", "cable.sample=0.0125", "run.duration=6.0"]
    solved = described(tmp_path, "solved", SPLIT, CLAMP, *fine)
    source = solve_voltage(solved, load_cable(solved.morphology))
    assert np.asarray(source.values).max() > 0.0
    times = np.asarray(source.times) * 1e3
    path = voltage_file(tmp_path / "voltage.h5", times, np.asarray(source.values), list(source.sites))
    given = described(tmp_path, "given", SPLIT, f"voltage.file={path}", "run.duration=6.0")
    problems = slot_setup(solved), slot_setup(given)
    assert problems[1].constants.leak == pytest.approx(problems[0].constants.leak, rel=1e-6)
    drives = [problem.drive for problem in problems]
    for slot in problems[0].slots:
        driven = [problem.solver.solve(slot, drive) for problem, drive in zip(problems, drives, strict=True)]
        drives = [one.end for one in driven]
        voltage = [one.voltage for one in driven]
        assert np.abs(voltage[0] - voltage[1]).max() < 0.3  # mV, of 100
        moments = [np.asarray(one.plan.second.moments)[:, 0] for one in driven]
        assert np.abs(moments[0] - moments[1]).max() < 5e-3 * np.abs(moments[0]).max() + 1e-9
        assert np.abs(drives[0].gates - drives[1].gates).max() < 2e-3


def test_a_voltage_that_repeats_is_the_table_written_out(tmp_path: Path) -> None:
    """And is solved once it does the same, where it may be reused."""
    times = np.linspace(0.0, 20.0, 201)
    spike = -70.0 + 80.0 * np.exp(-(((times - 5.0) / 1.0) ** 2))
    once = voltage_file(tmp_path / "once.h5", times, np.stack([spike, spike - 5.0], axis=1), ["root", "tip"])
    long_times = np.linspace(0.0, 60.0, 601)
    long_spike = np.append(np.tile(spike[:-1], 3), spike[-1])
    rows = np.stack([long_spike, long_spike - 5.0], axis=1)
    whole = voltage_file(tmp_path / "whole.h5", long_times, rows, ["root", "tip"])
    run = [SPLIT, "run.duration=60.0", "split.slot=20.0", "run.output_interval=10.0", "split.windows=fixed"]
    periodic = [*run, f"voltage.file={once}", "voltage.period=20.0", "split.motif_tolerance=0.0"]
    again = described(tmp_path, "again", *periodic)
    split(again)
    out = described(tmp_path, "out", *run, f"voltage.file={whole}")
    split(out)
    for name, values in arrays(again.run.output).items():
        np.testing.assert_allclose(values, arrays(out.run.output)[name], rtol=1e-9, atol=1e-12, err_msg=name)
    reusing = slot_setup(again)
    cache, drive = replace(reusing.new_cache(), tolerance=1.0), reusing.drive
    for slot in reusing.slots:
        drive = cache.motif(slot, drive).end
    assert (cache.solved, cache.reused) == (1, 2)
    never = slot_setup(out).new_cache()
    for slot in reusing.slots:
        never.motif(slot, reusing.drive)
    assert never.starts == []  # memory stays flat


@pytest.mark.slow
def test_stopped_and_resumed_to_the_bit_with_all_drives_on(tmp_path: Path) -> None:
    everything = [
        SPLIT, "field.magnitude=9000.0", "field.direction=[1.0, 1.0, 0.3]", "stimulation.start=10.0",
        "stimulation.waveform=monophasic", "stimulation.bursts=5", "stimulation.burst_interval=10.0",
        'clamp=[{site="root", start=10.0, duration=10.0, current=0.1}]', "run.duration=60.0",
        'synapse=[{site="tip", start=10.0, flux=100.0, count=5, interval=10.0}]',
        'flux=[{site="root", value=1.0, start=10.0}]', "split.windows=adaptive", "split.tolerance=1e-3",
        "split.checkpoint_every=0.0", "split.motif_tolerance=1.0", "run.output_interval=5.0",
    ]  # fmt: skip
    whole = described(tmp_path, "whole", *everything)
    summary = split(whole)
    assert (summary.motifs_solved, summary.motifs_reused) == (5, 1)
    stopped = described(tmp_path, "stopped", *everything)
    with pytest.raises(KeyboardInterrupt):
        solve(stopped, SerialCommunicator(), Silent(stop_after=4))
    resumed = split(stopped, resume=tmp_path / "stopped.checkpoint.h5")
    for name, values in arrays(whole.run.output).items():
        assert np.array_equal(values, arrays(stopped.run.output)[name]), name
    assert resumed.motifs_solved == summary.motifs_solved
    assert resumed.windows == summary.windows
    other = described(tmp_path, "stopped", *everything, "synapse.0.flux=101.0")
    with pytest.raises(InputError, match=r"synapse was .* and is now"):
        split(other, resume=tmp_path / "stopped.checkpoint.h5")


def test_a_constant_voltage_needs_no_field(tmp_path: Path) -> None:
    """Held at −70 mV everywhere, calcium stays at rest, and one slot serves all."""
    quiet = described(tmp_path, "quiet", SPLIT, "run.duration=60.0", "split.slot=20.0", "voltage.constant=-70.0")
    problem = slot_setup(quiet)
    assert problem.constants.rest_voltage == -70.0
    summary = split(quiet)
    assert (summary.motifs_solved, summary.motifs_reused) == (1, 2)
    calcium = read(tmp_path / "quiet.h5").calcium
    assert np.abs(calcium / calcium[0] - 1.0).max() < 1e-9


def test_a_train_of_releases_is_its_releases_one_by_one() -> None:
    train = load_config(None, ['synapse=[{site="tip", start=1.0, count=3, interval=2.5}, {site="root", start=4.0}]'])
    assert [(r.site, r.start) for r in releases_of(train)] == [("tip", 1.0), ("tip", 3.5), ("tip", 6.0), ("root", 4.0)]
