"""What is odd about the numbers of a run description that were given; which quantity each is, its system says.

`hpcpinn.core.plausibility` and the declarations of constants say what each quantity can be; a key has its quantity in
its annotation. Numbers without one, and why, are in `WITHOUT`: together they are all numeric keys there are, which a
test checks.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from hpcpinn.config.lines import Path
from hpcpinn.config.values import Table
from hpcpinn.core.plausibility import Finding, Quantity, finding

WITHOUT: Mapping[str, str] = MappingProxyType(
    {
        "morphology.er_fraction": "a ratio",
        "voltage.period": "held against its table",
        "*direction*": "of any length",
        "field.polar": "an angle",
        "field.azimuth": "an angle",
        "field.tissue": "labels",
        "placement.*": "places in a head, held against the field that is known there, and angles",
        "*.start": "any time is meant by somebody; what begins after the run's end is said",
        "*.first": "as starts, or a length of the numerics, held against the run",
        "*.last": "as starts",
        "cable.d_lambda": "a share",
        "stimulation.reversal": "a share",
        "network.*": "without a unit",
        "training.*": "without a unit",
        "schwarz.*": "without a unit",
        "pieces.growth": "a ratio",
        "window.*": "lengths of the numerics, held against each other and the run",
        "split.*": "lengths of the numerics, and tolerances",
        "channels.region.*": "any part of a cell is meant by somebody; one without a place is refused",
        "channels.declared.*": "of formulas of one's own",
        "parameter.*": "by the constant that is learned",
        "population.parameters.*": "as the keys that they stand for",
        "data.noise": "a share",
        "inference.*": "without a unit",
        "uq.*": "without a unit",
        "study.*": "without a unit",
    }
)
"""Numeric keys that no unit can be wrong of, or that are looked up otherwise, and why."""


def findings(config: Table, quantity_of: Callable[[Any, Path], Quantity | None]) -> Iterator[tuple[Path, Finding]]:
    """What is odd about the numbers that a person gave; defaults are not looked at.

    Args:
        config: A description.
        quantity_of: The quantity of a key; None where it has none.
    """
    for path, value in _numbers(config, ()):
        quantity = quantity_of(config, path)
        odd = finding(quantity, value) if quantity else None
        if odd is not None:
            yield path, odd


def _numbers(value: Any, path: Path) -> Iterator[tuple[Path, float]]:
    """Numbers within tables and lists that were given, with their keys."""
    if isinstance(value, Table):
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from _numbers(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, (*path, name))
    elif isinstance(value, tuple | list):
        for number, inner in enumerate(value):
            yield from _numbers(inner, (*path, number))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)
