"""Calcium in the endoplasmic reticulum, a species in a volume of its own: against the reference."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.read import Result
from hpcpinn.systems.cell.comparison import validate
from tests.systems.cell.test_buffers import DYE, FINE, solved, split

RETICULUM = ("morphology.er_fraction=0.3", "morphology.er_radius=0.05")
"""Of another shape than the cell's."""
CALRETICULIN = '{name="calreticulin", volume="er", total=3000.0, k_plus=1.0, k_minus=1000.0, D=20.0}'
HELD = (*RETICULUM, "organelle=[{}]")
STRONG = (*RETICULUM, "organelle=[{serca_max=500.0}]", f"buffer=[{CALRETICULIN}]")


def check(result: Result, calcium: float, others: float, luminal: float) -> dict[str, float]:
    """Errors against the reference, and its own balance; luminal calcium has moved."""
    checked = validate(result.path, refinement=3, patience=30.0)
    error = dict(checked.settled.error)
    assert np.ptp(result.er_calcium) > 0.1
    assert error["calcium"] < calcium
    assert error.pop("er_calcium") < luminal
    assert max(value for name, value in error.items() if name != "calcium") < others
    assert checked.balance_reference < 1e-9
    return error


def test_luminal_calcium_and_its_buffer_agree_with_the_reference(tmp_path: Path) -> None:
    """Total calcium, every species in its own volume, balances what passes the plasma membrane."""
    result = solved(tmp_path / "er.h5", *FINE, *STRONG)
    assert [(field.name, field.unit) for field in result.declared] == [
        ("calcium", "uM"), ("calbindin", "uM"), ("er_calcium", "uM"), ("calreticulin", "uM"), ("voltage", "mV")
    ]  # fmt: skip
    check(result, 1e-4, 1e-6, 4e-4)
    assert np.abs(result.windows["balance"][-1]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("diffusion", ["networks", "exact"])
def test_in_split_windows_luminal_calcium_agrees_with_the_reference(tmp_path: Path, diffusion: str) -> None:
    result = split(
        tmp_path / "er.h5", *STRONG, f'split.diffusion="{diffusion}"',
        f"pieces.max_length={20.0 if diffusion == 'networks' else 4.0}",
    )  # fmt: skip
    check(result, 3e-3 if diffusion == "networks" else 2e-2, 1e-4, 2e-2)


def test_rest_with_an_organelle_stays(tmp_path: Path) -> None:
    """By the stiff integrator, at channels that are shut: nothing moves in any volume."""
    shut = ("synapse=[]", "physics.constants.vdcc_density=0.0")
    result = split(tmp_path / "rest.h5", *shut, *HELD, f"buffer=[{DYE}]")
    for name in ("calcium", "calbindin", "fluo4", "er_calcium"):
        values = result.fields[name]
        np.testing.assert_allclose(values, values[0, 0], rtol=1e-11, err_msg=name)


REFUSED = {
    "no reticulum": (("organelle=[{}]",), "this cell has none, or not everywhere; set morphology.er_fraction"),
    "told twice": ((*RETICULUM, "organelle=[{}, {}]"), "'er' is there already; leave one away"),
    "nothing to bind": (
        (*RETICULUM, f"buffer=[{CALRETICULIN}]"),
        r"'er' holds no calcium that 'calreticulin' could bind",
    ),
    "empty": ((*RETICULUM, "organelle=[{rest=0.04}]"), "0.04 µM is not above c_rest = 0.05 µM"),
    "a name": ((*HELD, f"buffer=[{DYE.replace('fluo4', 'er_calcium')}]"), "'er_calcium' is there already"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_organelle_cannot_be_is_refused(tmp_path: Path, case: str) -> None:
    keys, line = REFUSED[case]
    with pytest.raises(InputError, match=line):
        solved(tmp_path / "run.h5", *keys)
