"""A dye beside calbindin: a third species end to end, against the reference, and told in two halves."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io import read
from hpcpinn.io.read import Result
from hpcpinn.io.sidecar import FINITE_VOLUMES, read_reference
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.systems.cell.comparison import validate
from hpcpinn.systems.cell.config.reading import load_config
from tests.systems.cell.solving import solve
from tests.systems.cell.test_forward import CELL, RELEASE, Silent

DYE = '{name="fluo4", total=50.0, k_plus=236.0, k_minus=82.6, D=60.0}'
FINE = (*RELEASE[1:], "network.features=64", "window.tolerance=5e-3", "window.longest=0.5")


def solved(output: Path, *settings: str) -> Result:
    config = load_config(None, [*CELL, RELEASE[0], *settings, f'run.output="{output}"'])
    return read(solve(config, make_communicator("serial"), Silent()).result)


def test_a_dye_is_a_species_that_agrees_with_the_reference(tmp_path: Path) -> None:
    """To what calcium and calbindin alone are held to (test_forward)."""
    result = solved(tmp_path / "dye.h5", *FINE, f"buffer=[{DYE}]")
    assert [(field.name, field.unit) for field in result.declared] == [
        ("calcium", "uM"), ("calbindin", "uM"), ("fluo4", "uM"), ("voltage", "mV")
    ]  # fmt: skip
    # The dye has the greater affinity, and is near the release at once.
    bound = {name: 1.0 - result.probes.fields[name].min() / result.probes.fields[name].max() for name in _BUFFERS}
    assert 5e-3 < bound["calbindin"] < bound["fluo4"]
    figures = validate(result.path, refinement=4, patience=30.0, timed=False).figures()
    assert figures["reference"]["movement"]["calcium"] < 5e-6
    assert list(figures["rel_l2"]) == ["calcium", "calbindin", "fluo4"]
    assert figures["rel_l2"]["calcium"] < 1e-4
    assert figures["rel_l2"]["calbindin"] < 1e-6
    assert figures["rel_l2"]["fluo4"] < 1e-4
    assert figures["balance"] < 1e-5
    assert figures["reference"]["balance"] < 1e-9


_BUFFERS = ("calbindin", "fluo4")


def test_a_buffer_in_two_halves_is_the_whole_one(tmp_path: Path) -> None:
    """Coupled windows of given lengths, solved to the last digits, are the same to what is left of them."""
    tight = (
        "network.features=36", "run.duration=0.8", "window.tolerance=0.1", "window.first=0.1", "window.longest=0.1",
        "window.shortest=0.1", "training.newton_tolerance=1e-13", "schwarz.jump_tolerance=1e-13",
        "schwarz.max_sweeps=40", "training.newton_max=12", "run.output_interval=0.1",
    )  # fmt: skip
    whole = solved(tmp_path / "whole.h5", *tight)
    half = 'name="half", total=80.0, k_plus=27.0, k_minus=19.0, D=20.0'
    halves = solved(tmp_path / "halves.h5", *tight, "physics.constants.b_tot=80.0", f"buffer=[{{{half}}}]")
    moved = np.abs(whole.calcium - whole.calcium[0]).max()
    assert moved > 1.0
    np.testing.assert_allclose(halves.calcium, whole.calcium, rtol=0.0, atol=1e-9 * moved)
    np.testing.assert_allclose(2.0 * halves.calbindin, whole.calbindin, rtol=1e-10)
    np.testing.assert_allclose(halves.half, halves.calbindin, rtol=1e-12)


SPLIT = (
    'window.kind="split"', 'synapse=[{site="dend[1](0.5)", start=1.0, flux=2500.0, patch=80.0}]', "run.duration=2.0",
    "run.output_interval=0.5", "pieces.cells_per_piece=1",
)  # fmt: skip


def split(output: Path, *settings: str) -> Result:
    config = load_config(None, [CELL[0], *SPLIT, *settings, f'run.output="{output}"'])
    return read(solve(config, make_communicator("serial"), Silent()).result)


def test_in_split_windows_a_dye_agrees_with_the_reference(tmp_path: Path) -> None:
    """To what split windows are held to (test_long_drives); calcium less what is bound is kept by both."""
    result = split(tmp_path / "dye.h5", f"buffer=[{DYE}]", 'split.diffusion="networks"', "pieces.max_length=20.0")
    checked = validate(result.path, refinement=3, patience=30.0, timed=False)
    error = checked.settled.error
    assert np.ptp(result.fluo4) > 1.0
    assert list(error) == ["calcium", "calbindin", "fluo4"]
    assert error["calcium"] < 5e-3
    assert max(error["calbindin"], error["fluo4"]) < 1e-4
    found = read_reference(result)
    assert found is not None
    reference = found[FINITE_VOLUMES].fields
    ours, theirs = (
        (of["calcium"] - of["calbindin"] - of["fluo4"]) @ result.cells.volume for of in (result.fields, reference)
    )
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], rtol=0.0, atol=2e-3 * np.ptp(theirs))


def test_in_split_windows_parts_of_a_buffer_are_the_whole_one_however_it_is_cut(tmp_path: Path) -> None:
    """In halves and in quarters, both by the stiff integrator."""

    def cut(share: float) -> Result:
        part = f'name="part", total={160.0 * (1.0 - share)}, k_plus=27.0, k_minus=19.0, D=20.0'
        return split(
            tmp_path / f"{share}.h5", f"physics.constants.b_tot={160.0 * share}", f"buffer=[{{{part}}}]",
            "pieces.max_length=20.0",
        )  # fmt: skip

    halves, quarter = cut(0.5), cut(0.25)
    moved = np.abs(halves.calcium - halves.calcium[0]).max()
    assert moved > 0.1
    np.testing.assert_allclose(quarter.calcium, halves.calcium, rtol=0.0, atol=1e-11 * moved)
    np.testing.assert_allclose(4.0 * quarter.calbindin, 2.0 * halves.calbindin, rtol=1e-12)
    np.testing.assert_allclose(halves.part, halves.calbindin, rtol=1e-12)


@pytest.mark.parametrize("name", ["calcium", "calbindin", "voltage", "time"])
def test_a_name_that_something_else_has_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"buffer\[0\]|\[\[buffer\]\] number 1.*{name}|{name}"):
        solved(tmp_path / "run.h5", f"buffer=[{DYE.replace('fluo4', name)}]")


@pytest.mark.slow
def test_in_mixed_windows_a_dye_agrees_with_the_reference(tmp_path: Path) -> None:
    """Coupled after the release, to what coupled windows reach, and split by networks later, to what these do."""
    result = split(
        tmp_path / "dye.h5", 'window.kind="mixed"', "split.coupled_for=0.5", "pieces.max_length=20.0",
        "window.tolerance=1e-2", "run.output_interval=0.25", f"buffer=[{DYE}]",
    )  # fmt: skip
    checked = validate(result.path, refinement=3, patience=30.0, timed=False)
    error, coupled = checked.settled.error, checked.time <= 1.5 + 1e-9
    assert np.ptp(result.fluo4) > 1.0
    assert max(checked.error["calcium"][coupled]) < 2e-4
    assert error["calcium"] < 5e-3
    assert max(error["calbindin"], error["fluo4"]) < 1e-5
