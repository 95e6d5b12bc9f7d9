"""Coupled windows of a long run are driven as those of a run in coupled windows alone: by channels and releases."""

from pathlib import Path

import jax
import numpy as np
import pytest

from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.build.coupled import coupled_setup
from hpcpinn.systems.cell.build.long import slot_setup
from hpcpinn.systems.cell.config.reading import load_config


def test_channels_and_releases_are_those_of_coupled_windows(tmp_path: Path) -> None:
    """The same voltage everywhere; there it is carried to the nodes, here what the channels make of it.

    Between its samples it is linear, with kinks that the two ways see at other times: 245 mV/ms² · (25 µs)²/8 =
    0.02 mV deep at most, 1e-3 of what opens the channels.
    """
    t = 0.025 * np.arange(481)
    V = -65.0 + 60.0 * np.exp(-(((t - 4.2) / 0.7) ** 2))
    rows = [f"{a:.3f},{b!r}" for a, b in zip(t.tolist(), V.tolist(), strict=True)]
    (tmp_path / "v.csv").write_text("\n".join(["time_ms,root", *rows]))
    given = [
        "morphology.file=builtin:y_branch", "pieces.max_length=40", "run.duration=12.0",
        f"voltage.file={tmp_path / 'v.csv'}", 'synapse=[{site="tip", start=3.0, count=2, interval=0.6}]',
    ]  # fmt: skip
    ours = slot_setup(load_config(None, [*given, 'window.kind="mixed"']))
    theirs = coupled_setup(load_config(None, given), SerialCommunicator())
    assert ours.coupled is not None
    drive = ours.drive
    for slot in ours.slots:
        motif = ours.solver.solve(slot, drive)
        drive = motif.end
        if slot.start > 3.3:
            break
    assert (slot.start, slot.duration, slot.coupled) == (pytest.approx(3.6), pytest.approx(5.0), True)
    assert motif.channels is not None and len(motif.plan.lengths) == 0
    start, length = 0.4e-3, 0.5e-3
    found = ours.coupled.drive.window(slot, motif.channels, start, length)
    gates = theirs.drive.window(theirs.drive.steady_gates(0.0), 0.0, 3.6e-3 + start).gates
    wanted = theirs.drive.window(gates, 3.6e-3 + start, length)
    assert np.ptp(np.asarray(wanted.inside.channel_source)) > 0.1 * np.max(wanted.inside.channel_source)
    assert np.max(wanted.inside.release) > 0.0
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        if mine.size:  # no gates are handed on
            np.testing.assert_allclose(mine, other, rtol=5e-4, atol=1e-9 * np.max(np.abs(other)))
