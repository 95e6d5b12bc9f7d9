"""The members of a population: the run description of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hpcpinn.errors import InputError
from hpcpinn.systems.cell.config.population import SHARED_BUT, ParameterSet
from hpcpinn.systems.cell.config.reading import with_changes
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.wording import meant


@dataclass(frozen=True)
class Member:
    """One cell of a run.

    Attributes:
        name: Name of what differs between members; empty where a run has one.
        config: Run description of the cell.
    """

    name: str
    config: RunConfig


def members_of(config: RunConfig) -> tuple[Member, ...]:
    """Every cell with every magnitude, direction and set of parameters, in this order.

    Raises:
        InputError: A key in which members must not differ, or a value that it cannot take.
    """
    given = config.population
    if not given.is_given:
        return (Member("", config),)
    axes: list[list[tuple[str, dict[str, Any]]]] = [
        [(Path(file).stem.removeprefix("builtin:"), {"morphology.file": file}) for file in given.cells],
        [(f"{x:g} V/m", {"field.magnitude": x}) for x in given.magnitudes],
        [(_along(x), {"field.direction": x}) for x in given.directions],
        [_parameters(number, one) for number, one in enumerate(given.parameters)],
    ]
    return tuple(_members(config, [axis for axis in axes if axis]))


def _members(config: RunConfig, axes: list[list[tuple[str, dict[str, Any]]]]) -> Iterator[Member]:
    used: set[str] = set()
    for chosen in product(*axes):
        changes = {key: value for _, one in chosen for key, value in one.items()}
        name = ", ".join(label for label, _ in chosen)
        if name in used:
            raise InputError(
                f"population: two members are called {name!r}; name the sets of parameters apart, and give no "
                "cell, magnitude or direction twice"
            )
        used.add(name)
        yield Member(name, with_changes(config, changes, f"population, member {name!r}"))


def _along(direction: tuple[float, float, float]) -> str:
    return "along " + " ".join(f"{x:g}" for x in direction)


def _parameters(number: int, given: ParameterSet) -> tuple[str, dict[str, Any]]:
    for key in given.set:
        if key in SHARED_BUT:
            continue
        advice = meant(key, SHARED_BUT) or f"they may differ in {', '.join(SHARED_BUT)}"
        raise InputError(f"population.parameters[{number}].set: {key!r} is one for all members; {advice}")
    name = given.name or ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in given.set.items())
    return name, dict(given.set)
