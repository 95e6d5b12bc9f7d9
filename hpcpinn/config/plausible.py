"""Which quantity every number of a run description is, and what is odd about those that were given.

`hpcpinn.core.plausibility` and the declarations of constants say what each quantity can be. Numbers without one, and
why, are in `WITHOUT`: together they are all numeric keys there are, which a test checks.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from hpcpinn.config.declared import declared_quantity_of
from hpcpinn.config.learnable import OF_CURRENTS, constant_named, current_member
from hpcpinn.config.lines import Path
from hpcpinn.config.schema import RunConfig
from hpcpinn.config.values import Table
from hpcpinn.core.plausibility import QUANTITIES, Finding, Quantity, finding
from hpcpinn.physics.membrane_constants import CONDUCTANCE_OF

TOLERANCES = dict.fromkeys(("window.tolerance", "schwarz.jump_tolerance", "training.newton_tolerance"), "tolerance")
"""Of what is solved."""

OF_CELLS: Mapping[str, Quantity] = MappingProxyType(
    {
        key: QUANTITIES[name]
        for key, name in {
            "morphology.merge_below": "merging",
            "morphology.er_radius": "radius of the reticulum",
            "voltage.constant": "potential at rest",
            "stimulation.pulse_interval": "interval of pulses",
            "stimulation.burst_interval": "interval of bursts",
            "stimulation.train_interval": "interval of trains",
            "clamp.*.duration": "duration of a clamp",
            "clamp.*.current": "current",
            "cable.step": "longest step",
            "cable.pulse_step": "step in pulses",
            "cable.quiet_step": "step at rest",
            "cable.sample": "sample of the voltage",
            "synapse.*.flux": "flux of a release",
            "synapse.*.duration": "duration of a release",
            "synapse.*.patch": "patch",
            "synapse.*.interval": "interval of releases",
            "flux.*.value": "flux through an end",
            "flux.*.duration": "duration of a flux",
            "run.duration": "duration of a run",
            "run.output_interval": "interval of output",
            "run.probe_interval": "interval of probes",
            "pieces.max_length": "piece",
            "pieces.source_length": "piece",
            "split.checkpoint_every": "wall time",
            "population.magnitudes.*": "field",
            **TOLERANCES,
            "split.tolerance": "tolerance",
            "data.indicator": "affinity of an indicator",
            "data.interval": "interval of probes",
            "inference.band_interval": "interval of probes",
        }.items()
    }
)
"""Quantity of keys of a cell's description that are not declared constants; * stands for any number or name."""

WITHOUT: Mapping[str, str] = MappingProxyType(
    {
        "morphology.er_fraction": "a ratio",
        "voltage.period": "held against its table",
        "*direction*": "of any length",
        "*.start": "any time is meant by somebody; what begins after the run's end is said",
        "*.first": "as starts, or a length of the numerics, held against the run",
        "*.last": "as starts",
        "cable.d_lambda": "a share",
        "network.*": "without a unit",
        "training.*": "without a unit",
        "schwarz.*": "without a unit",
        "pieces.growth": "a ratio",
        "window.*": "lengths of the numerics, held against each other and the run",
        "split.*": "lengths of the numerics, and tolerances",
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


def quantity_of(config: RunConfig, path: Path) -> Quantity | None:
    """The quantity of a key of a cell's description; None where it has none."""
    quantity = _quantity_of(config, path)
    is_factor = quantity is QUANTITIES["field"] and config.field.file is not None
    return None if is_factor else quantity


def measured_quantity_of(config: RunConfig, path: Path) -> Quantity | None:
    """As `quantity_of`, but None in the dimensionless preset `seed`, where nothing could be odd."""
    return None if config.physics.preset == "seed" else quantity_of(config, path)


def quantity_by_key(known: Mapping[str, Quantity], path: Path) -> Quantity | None:
    """The quantity of a key in a table of them, in which * stands for any number or name."""
    named = ".".join("*" if isinstance(part, int) else part for part in path)
    return known.get(named) or known.get(f"{named.rpartition('.')[0]}.*")


def value_at(config: RunConfig, path: Path) -> float:
    """The number of a key."""
    value: Any = config
    for part in path:
        value = value[part] if isinstance(value, Mapping | tuple) else getattr(value, str(part))  # type: ignore[index]
    return float(value)


def _quantity_of(config: RunConfig, path: Path) -> Quantity | None:
    match path:
        case ("parameter", int(number), "start" | "prior"):
            return quantity_of_constant(config.parameter[number].name)
        case ("channels", "constants", _, str(ion), str(member)):
            return _of_current(ion, member)
        case ("data", "truth", "channels", _, str(ion), str(member)):
            return _of_current(ion, member)
        case ("population", "parameters", int(), "set", str(key)):
            return _quantity_of(config, tuple(key.split(".")))
    return declared_quantity_of(config, path) or quantity_by_key(OF_CELLS, path)


def quantity_of_constant(name: str) -> Quantity | None:
    """The quantity of a constant that can be learned, by the name of a parameter."""
    if current := current_member(name):
        return _of_current(current[1], current[2])
    found = constant_named(name)
    return found.quantity if found else None


def _of_current(ion: str, member: str) -> Quantity | None:
    own = CONDUCTANCE_OF.get(ion) if member == "conductance" else None
    return own or OF_CURRENTS[member].quantity


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
