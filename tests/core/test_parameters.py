"""A model of three constants, declared in a few lines, and everything that comes of the declaration."""

import runpy
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hpcpinn.config.declared import changes_table, names_of, physics_table, truth_table, whole_table
from hpcpinn.config.keys import lines_of
from hpcpinn.config.plausible import findings
from hpcpinn.config.reading import Reading
from hpcpinn.config.values import Table
from hpcpinn.coordinates import Coordinates
from hpcpinn.core.parameters import (
    NON_NEGATIVE,
    POSITIVE,
    Bounds,
    Constants,
    Scalar,
    constant,
    declared,
    learnable,
    learnable_in,
    nested,
    nested_in,
    presets,
    quantities,
    setting,
    value_at,
    with_values,
)
from hpcpinn.core.plausibility import Quantity, Unit, finding
from hpcpinn.errors import InputError
from hpcpinn.physics.constants import PRESETS, CalciumConstants, Gate
from hpcpinn.physics.dopamine_constants import DopamineConstants
from hpcpinn.physics.membrane_constants import CableConstants, Current, FieldConstants
from hpcpinn.systems.cell.config.learnable import constant_named

SLOWNESS = Quantity("ms", (1.0, 1e3), (0.0, 1e6), (Unit("s", 1e3), Unit("µs", 1e-3)), name="slowness")


@dataclass(frozen=True)
class Pair(Constants):
    """Constants of a FitzHugh-Nagumo pair."""

    name: str
    tau: Scalar = constant("Time constant of recovery", "ms", POSITIVE, symbol="τ", default=12.5, quantity=SLOWNESS)
    shift: Scalar = constant("Shift of the nullcline", measure=0.1, default=0.7, source="FitzHugh 1961")
    current: Scalar = constant("Applied current", "µA/cm²", NON_NEGATIVE, default=0.5, note="of all cells")
    form: str = setting("Shape of the nullcline", default="cubic", choices=("cubic", "quintic"))


SETS = presets(Pair("pair"), Pair("slow", tau=25.0))


class PairTable(changes_table(Pair, SETS)):  # type: ignore[misc]
    """Constants that differ."""


class PairPhysics(physics_table(PairTable, SETS)):  # type: ignore[misc]
    """Which constants.

    Attributes:
        preset: Set of constants.
    """


@dataclass(frozen=True)
class Net(Constants):
    """Pairs that are coupled."""

    pairs: tuple[Pair, ...] = nested(Pair, "The pairs")
    coupling: Scalar = constant("Strength of coupling", default=1.0)


def test_keys_of_changes_are_listed_with_the_values_of_the_default_preset() -> None:
    lines = list(lines_of(PairPhysics))
    assert "  values are those of the preset 'pair'; presets: pair, slow" in lines
    assert any(line.startswith("  tau = 12.5 ") for line in lines) and not any("–" in line for line in lines)


def test_a_table_of_a_description_takes_what_the_declaration_allows_and_nothing_else():
    physics = PairPhysics.model_validate({"preset": "slow", "constants": {"shift": -0.2, "tau": "0.02 s"}})
    assert physics.constants.changes == {"tau": 20.0, "shift": -0.2}
    assert SETS[physics.preset].replace(**physics.constants.changes) == Pair("slow", tau=20.0, shift=-0.2)
    assert PairPhysics().preset == "pair" and PairPhysics().constants.changes == {}
    for wrong in (
        {"tau": 0.0}, {"current": -1.0}, {"shift": float("nan")}, {"form": "linear"}, {"name": "x"}, {"gain": 1.0},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            PairTable.model_validate(wrong)
    with pytest.raises(ValidationError):
        PairPhysics.model_validate({"preset": "fast"})
    whole = whole_table(Pair)()
    assert whole.model_dump() == {"tau": 12.5, "shift": 0.7, "current": 0.5, "form": "cubic"}


@pytest.mark.parametrize(
    ("bounds", "default", "wrong"),
    [
        ((0.01, 5.0), 1.0, r"the bounds \(0.01, 5.0\) are no Bounds; write POSITIVE, or Bounds\(0.01, 5.0\)"),
        (POSITIVE, 0.0, r"the default 0 lies outside its bounds \(above 0\)"),
        (Bounds(0.01, 5.0), 5.5, r"the default 5.5 lies outside its bounds \(at least 0.01 and at most 5\)"),
        (POSITIVE, float("inf"), "the default inf lies outside"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused_with_its_name(bounds: Any, default: float, wrong: str):
    with pytest.raises(InputError, match=rf"^Hares.growth: {wrong}"):

        @dataclass(frozen=True)
        class Hares(Constants):
            growth: Scalar = constant("Growth", bounds=bounds, default=default)

    assert 5.0 in Bounds(0.01, 5.0) and float("inf") in Bounds(1.0, may_be_infinite=True)


def test_what_can_be_learned_has_names_units_and_measures():
    assert {name: entry.plain_unit for name, entry in learnable_in(Pair).items()} == {
        "tau": "ms", "shift": "1", "current": "uA/cm2",
    }  # fmt: skip
    measures = Coordinates(tuple(entry.measure for entry in learnable_in(Pair).values()))
    assert list(measures.is_logarithm) == [True, False, True]
    naming = TypeAdapter(names_of(Pair))
    assert naming.validate_python("shift") == "shift"
    with pytest.raises(ValidationError, match="'tau', 'shift' or 'current'"):
        naming.validate_python("form")
    truth = truth_table(Pair)
    assert set(truth.model_fields) == set(learnable_in(Pair))
    with pytest.raises(ValidationError):
        truth.model_validate({"current": 0.0})  # has no logarithm


def test_documents_and_warnings_say_what_is_declared():
    describe = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "describe_keys.py"))
    rows = describe["table"]("[physics.constants]", PairTable)
    assert "| `tau` | – | Time constant of recovery (τ), ms. |" in rows
    assert "| `current` | – | Applied current, µA/cm²; of all cells. |" in rows
    assert "| `form` | – | Shape of the nullcline. One of `cubic`, `quintic`. |" in rows
    odd = finding(quantities(Pair)["tau"], 0.0125)
    assert odd is not None and "looks like s: write 12.5" in odd.text and not odd.is_refused
    described = PairPhysics.model_validate({"constants": {"tau": 2e6, "shift": 3.0}})
    (refused,) = findings(described, Reading("pair", PairPhysics).quantity_of)
    assert refused[0] == ("constants", "tau") and refused[1].is_refused


def test_constants_of_parts_are_read_and_written_by_their_names():
    net = Net(pairs=(SETS["pair"], SETS["slow"]))
    assert set(learnable(net)) == {"coupling", *(f"pairs[{n}].{name}" for n in (0, 1) for name in learnable_in(Pair))}
    assert value_at(net, "pairs[1].tau") == 25.0
    changed = with_values(net, {"pairs[1].tau": 3.0, "pairs[1].shift": 0.1, "coupling": 2.0})
    assert changed == Net((SETS["pair"], Pair("slow", tau=3.0, shift=0.1)), 2.0)
    for wrong, said in (
        ("pairs[2].tau", "there are 2 pairs, numbered from 0"), ("gain", "there are coupling, pairs[N]"),
        ("pairs[0].gain", "'gain' is no constant"), ("coupling[0]", "is no constant"), ("pairs", "is no constant"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            value_at(net, wrong)
        assert said in str(caught.value)


DECLARATIONS = (CalciumConstants, Gate, DopamineConstants, CableConstants, FieldConstants, Current, Pair)


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda declaration: declaration.__name__)
def test_every_number_of_a_model_is_declared_with_what_its_users_need(declaration: type[Constants]):
    words = set()
    for name, entry in declared(declaration).items():
        words.add(entry.words)
        assert entry.description[0].isupper() and not entry.description.endswith(".")
        assert entry.plain_unit.isascii()
        assert entry.quantity is None or entry.quantity.unit == ("" if entry.unit == "1" else entry.unit), name
        if entry.is_learnable and entry.measure == 0.0:
            assert entry.bounds.most > 0.0
    assert len(words) == len(declared(declaration))
    others = {field.name for field in fields(declaration)} - set(declared(declaration)) - set(nested_in(declaration))
    assert others <= {"name", "duration", "powers"}


def _numbers(parameters: Constants) -> Iterator[tuple[str, float]]:
    for name in learnable(parameters):
        yield name, value_at(parameters, name)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "seed"])
def test_presets_lie_within_their_bounds_and_are_plausible(name: str):
    for constant_name, value in _numbers(PRESETS[name]):
        entry: Any = constant_named(constant_name)
        assert entry.bounds.least <= value <= entry.bounds.most and not (entry.bounds.is_open and value <= 0.0)
        assert entry.quantity is None or finding(entry.quantity, value) is None


def test_a_table_adds_keys_of_its_own_after_those_that_are_declared():
    class Tables(whole_table(CableConstants)):  # type: ignore[misc]
        step: float = 0.1

    assert issubclass(Tables, Table)
    assert list(Tables.model_fields) == ["R_i", "C_m", "temperature", "step"]
    assert Tables(temperature=None).model_dump() == {"R_i": 100.0, "C_m": 1.0, "temperature": None, "step": 0.1}
