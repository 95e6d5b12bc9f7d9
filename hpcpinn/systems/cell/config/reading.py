"""Reads job files of cells into a `RunConfig`."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from hpcpinn.config.lines import Path
from hpcpinn.config.load import Origin, Override, load, read_document, validated
from hpcpinn.config.reading import Problem, Reading
from hpcpinn.errors import InputError
from hpcpinn.systems.cell.config import inverse_checks
from hpcpinn.systems.cell.config.checks import conflicts, fit_defaults
from hpcpinn.systems.cell.config.idle import beyond_the_end, idle
from hpcpinn.systems.cell.config.quantities import measured_quantity_of
from hpcpinn.systems.cell.config.schema import RunConfig


def contradictions(config: RunConfig) -> Iterator[Problem]:
    """All keys that contradict each other."""
    yield from conflicts(config)
    yield from inverse_checks.conflicts(config)


CELL = Reading(
    "cell", RunConfig, conflicts=contradictions, idle=idle, beyond_the_end=beyond_the_end, fitted=fit_defaults,
    quantity_of=measured_quantity_of,
)  # fmt: skip
"""How descriptions of cells are read."""


class _OnlyCells:
    def named(self, key: Path, name: Any) -> Reading:
        if key and name != CELL.name:
            raise InputError(f"{'.'.join(map(str, key))}: {name!r} has no cell, which this command needs", key)
        return CELL

    def lists(self) -> Collection[str]:
        return CELL.lists


def load_config(path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = ()) -> RunConfig:
    """The run description of a cell; as `hpcpinn.config.load.load`.

    Raises:
        InputError: As there, or it is of another system.
    """
    return load_with_origin(path, overrides)[0]


def load_with_origin(
    path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = ()
) -> tuple[RunConfig, Origin]:
    """As `load_config`, with the place of every key: mistakes that only the cell shows need it, too.

    Raises:
        InputError: As `load_config`.
    """
    return load(path, overrides, _OnlyCells())


def gives(path: str | os.PathLike[str] | None, overrides: Sequence[Override], key: Path) -> bool:
    """Whether a job file, or an override on top of it, gives a key a value; nothing is checked.

    Raises:
        InputError: Unreadable file, or an override that cannot be understood.
    """
    return key in read_document(path, overrides, _OnlyCells())[1].given


def with_changes(config: RunConfig, changes: Mapping[str, Any], where: str) -> RunConfig:
    """A run description with some keys changed.

    Args:
        config: The description.
        changes: Values by dotted key, such as ``cable.R_i``.
        where: What errors say of the place where they were given.

    Raises:
        InputError: A value that a key cannot take, or keys that then contradict each other.
    """
    document = config.model_dump(exclude_unset=True)
    for key, value in changes.items():
        *tables, name = key.split(".")
        place = document
        for table in tables:
            place = place.setdefault(table, {})
        place[name] = value
    changed: RunConfig = validated(document, Origin(where, reading=CELL))
    return changed
