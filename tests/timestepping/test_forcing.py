"""The forcing of a window: exact amounts, gates that go on where they stopped, fluxes at the right ends."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.physics import sources
from hpcpinn.systems.cell.build.coupled import coupled_setup
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.timestepping.forcing import CalciumDrive

COMMON = ("morphology.file=builtin:y_branch", "pieces.max_length=40", "run.duration=10")


def problem(*overrides: str) -> CoupledSetup:
    return coupled_setup(load_config(None, [*COMMON, *overrides]), SerialCommunicator())


def spike(folder: Path) -> str:
    """A smooth depolarisation of 2 ms, sampled every 10 µs."""
    t = np.arange(0.0, 10.0001, 0.01)
    rows = [f"{a:.2f},{-65.0 + 80.0 * np.exp(-(((a - 3.0) / 1.0) ** 2)):.9f}" for a in t]
    file = folder / "v.csv"
    file.write_text("time_ms,root\n" + "\n".join(rows) + "\n")
    return f"voltage.file={file}"


def test_at_constant_voltage_channels_stand_still() -> None:
    here = problem("voltage.constant=-30.0", "physics.constants.rest_voltage=-65.0")
    drive: CalciumDrive = here.drive
    before = drive.steady_gates(0.0)
    window = drive.window(before, 0.0, 1e-3)
    np.testing.assert_allclose(window.gates, before, rtol=1e-13)
    shape = (len(here.local), len(drive.grid.time), len(drive.grid.space))
    influx = np.asarray(window.inside.channel_source).reshape(shape)
    np.testing.assert_allclose(influx, np.broadcast_to(influx[:1, :1, :1], shape), rtol=1e-12)
    assert influx.min() > 0.0


def test_two_windows_leave_the_gates_where_one_does(tmp_path: Path) -> None:
    drive = problem(spike(tmp_path)).drive
    start, length = 2e-3, 2e-3
    before = drive.steady_gates(start)
    whole = drive.window(before, start, length).gates
    half = drive.window(before, start, length / 2).gates
    parts = drive.window(half, start + length / 2, length / 2).gates
    assert np.abs(np.asarray(whole - before)).max() > 0.1
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-7)


def test_check_points_lie_on_the_course_of_the_collocation_points(tmp_path: Path) -> None:
    """A polynomial through the Gauss times, but for the kinks of a voltage linear between its samples.

    These are 160 mV/ms² · (10 µs)²/8 = 2 µV deep at most, 1e-4 of the force on the channels.
    """
    drive = problem(spike(tmp_path)).drive
    window = drive.window(drive.steady_gates(2.8e-3), 2.8e-3, 2e-4)
    inside, checks = (
        np.asarray(part.channel_source).reshape(part.channel_source.shape[0], len(tau), -1)[:, :, 0]
        for part, tau in ((window.inside, drive.grid.time), (window.checks, drive.check_time))
    )
    for piece, wanted in zip(inside, checks, strict=True):
        found = np.polynomial.Polynomial.fit(drive.grid.time, piece, len(piece) - 1)(drive.check_time)
        np.testing.assert_allclose(found, wanted, rtol=2e-4)


def test_a_release_brings_its_amount_at_its_place() -> None:
    here = problem('synapse=[{site="tip", start=1.0}]')
    drive, pieces = here.drive, here.cell.pieces.cable.take(here.local)
    start, length = 1e-3, 1e-3  # the release lasts 1 ms
    window = drive.window(drive.steady_gates(start), start, length)
    shape = (len(here.local), len(drive.grid.time), len(drive.grid.space))
    density = np.asarray(window.inside.release).reshape(shape)[:, :, 0]
    amount = length * density @ drive.grid.time_weight
    patch = np.asarray(drive.release_share)[:, 0, 0] > 0.0
    assert not amount[~patch].any()
    exact = float(sources.released(drive.releases, jnp.asarray(start), jnp.asarray(start + length))[0])
    np.testing.assert_allclose(amount[patch], exact, rtol=1e-12)
    assert pieces.length[patch].sum() == pytest.approx(here.cell.constants.release_patch)


def test_a_given_flux_enters_through_the_cross_section_of_its_end() -> None:
    here = problem('flux=[{site="root", value=7.0, start=1.0, duration=2.0}]')
    drive, pieces = here.drive, here.cell.pieces.cable.take(here.local)
    (node,) = here.cell.flux_nodes
    for start, value in ((0.0, 0.0), (1e-3, 7.0), (3e-3, 0.0)):
        flux = np.asarray(drive.window(drive.steady_gates(start), start, 1e-3).end_flux)
        at_end = pieces.node == node
        assert at_end.sum() == 1
        np.testing.assert_allclose(flux[at_end], value * np.pi * pieces.radius[at_end][0] ** 2, rtol=1e-12)
        assert not flux[~at_end].any()
