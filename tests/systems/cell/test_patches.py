"""How much calcium a release brings: the flux density that was asked for, through as much cable as was asked for."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputWarning
from hpcpinn.io.read import read
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.build.coupled import describe_cell
from hpcpinn.systems.cell.build.reference import reference_task
from hpcpinn.systems.cell.config.reading import load_config
from tests.systems.cell.results import write_result
from tests.systems.cell.solving import solve
from tests.systems.cell.test_long_run import Silent

STUB = """\
1 1 0 0 0 4 -1
2 3 4 0 0 1 1
3 3 40 0 0 1 2
4 3 40 0.4 0 0.2 3
5 3 80 0 0 1 3
"""
"""A soma, a dendrite and its fork: a stub of 0.4 µm and a branch of 40."""
CLOSED = "physics.constants={pmca_max=0.0, ncx_max=0.0, leak=0.0, vdcc_density=0.0}"
"""A membrane through which nothing passes but releases."""


def described(tmp_path: Path, synapse: str, *more: str):
    (tmp_path / "cell.swc").write_text(STUB)
    return load_config(
        None,
        [
            f"morphology.file={tmp_path}/cell.swc", CLOSED, f"synapse=[{{start=0.5, {synapse}}}]", "run.duration=3",
            f"run.output={tmp_path}/run.h5", *more,
        ],
    )  # fmt: skip


def gained(c, b, volume) -> float:
    """Rise of the content of calcium, bound and free, µM µm³."""
    content = (c - b) @ volume  # c + (b_tot − b), but for a constant
    return float(content[-1] - content[0])


@pytest.mark.parametrize(
    ("synapse", "length"),
    [
        ("site='dend[2](0.5)', patch=50", 50.0),  # longer than its section
        ("site='dend[1](1)'", 1.0),  # the stub is 0.4 µm long: the default patch of 1 µm goes on beside it
        ("site='soma', patch=6", 6.0),
    ],
)
def test_as_much_cable_takes_part_as_was_asked_for(tmp_path, recwarn, synapse, length):
    config = described(tmp_path, synapse)
    cell = describe_cell(config)
    taken = cell.pieces.release[0]
    assert set(taken) == {0.0, 1.0}
    assert taken @ cell.pieces.cable.length == pytest.approx(length, rel=1e-9)
    brought = reference_gain(tmp_path, config, cell)
    assert brought == pytest.approx(2500.0 / 2 * 1e-3 * (taken @ cell.pieces.cable.membrane), rel=1e-6)
    assert not [w for w in recwarn if issubclass(w.category, InputWarning)]


def test_a_patch_longer_than_the_cell_is_cut_and_said_and_its_density_stays(tmp_path):
    config = described(tmp_path, "site='dend[2](0.5)', patch=500")
    with pytest.warns(InputWarning) as warned:
        cell = describe_cell(config)
    assert [str(w.message) for w in warned] == [
        "[[synapse]] number 1, patch: 500 µm, but the cell is 84.4 µm of cable: all of it takes part, at the flux "
        "density that was asked for, and 16.9 % of that length"
    ]
    assert np.all(cell.pieces.release == 1.0)
    whole = cell.pieces.cable.membrane.sum()
    assert reference_gain(tmp_path, config, cell) == pytest.approx(2500.0 / 2 * 1e-3 * whole, rel=1e-6)


def reference_gain(tmp_path, config, cell) -> float:
    """What the reference's own balance says that a release has brought."""
    task = reference_task(read(write_result(tmp_path / "empty.h5", config, cell)), config, cell)
    answer = task.solve(8, 1e-6)
    return gained(answer.fields["calcium"], answer.fields["calbindin"], read(tmp_path / "empty.h5").cells.volume)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hpcpinn.errors.InputWarning")
@pytest.mark.parametrize("patch", [50.0, 500.0])
def test_a_run_gains_what_its_patch_lets_in(tmp_path, patch):
    config = described(tmp_path, f"site='dend[2](0.5)', patch={patch}")
    solve(config, SerialCommunicator(), Silent())
    result = read(tmp_path / "run.h5")
    taken = describe_cell(config).pieces.release[0] @ result.cable.membrane
    brought = gained(result.calcium, result.calbindin, result.cells.volume)
    assert brought == pytest.approx(2500.0 / 2 * 1e-3 * taken, rel=1e-5)
