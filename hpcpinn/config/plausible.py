"""Which quantity every number of a run description is, and what is odd about those that were given.

`hpcpinn.plausibility` says what each quantity can be. Numbers without one, and why, are in `WITHOUT`: together
they are all numeric keys there are, which a test checks.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from hpcpinn.config.learnable import BY_TYPE, current_member, gate_member
from hpcpinn.config.lines import Path
from hpcpinn.config.schema import RunConfig
from hpcpinn.config.square import SquareConfig
from hpcpinn.config.values import Table
from hpcpinn.plausibility import Finding, finding

_CONSTANTS = {
    "D_c": "diffusion of calcium", "D_b": "diffusion of a buffer", "b_tot": "buffer", "k_plus": "binding",
    "k_minus": "unbinding", "c_rest": "calcium at rest", "c_o": "calcium outside", "pmca_max": "rate of a pump",
    "pmca_K": "affinity of a fast pump", "ncx_max": "rate of a pump", "ncx_K": "affinity of an exchanger",
    "leak": "leak", "j_release": "flux of a release", "release_duration": "duration of releases",
    "release_patch": "patch", "vdcc_density": "density of channels", "vdcc_permeability": "permeability",
    "z_ca": "valence", "temperature": "temperature, K",
    "rest_voltage": "potential at rest", "gates.*.half": "half activation",
    "gates.*.tau": "time constant of a gate",
}  # fmt: skip
"""Of calcium, by their names in [physics.constants]."""
_VOLTAGE = {
    "cable.R_i": "axial resistivity", "cable.C_m": "capacitance", "cable.temperature": "temperature, °C",
    "field.magnitude": "field",
}  # fmt: skip
"""Of the cable equation."""
_CURRENTS = {
    "sodium.conductance": "conductance of sodium", "leak.conductance": "conductance of a leak",
    "conductance": "conductance", "reversal": "reversal potential",
}  # fmt: skip
"""Of currents of a channel set, those of one ion first."""
_SQUARE = {
    "D": "diffusion of dopamine", "k": "uptake", "C0": "peak of a release", "sigma": "width of a release",
    "half_width": "half width of a square",
}  # fmt: skip
"""Of dopamine."""

_TOLERANCES = {
    "window.tolerance": "tolerance", "schwarz.jump_tolerance": "tolerance", "training.newton_tolerance": "tolerance",
}  # fmt: skip
"""Of what is solved."""

OF_CELLS: Mapping[str, str] = MappingProxyType(
    {
        "morphology.merge_below": "merging",
        "morphology.er_radius": "radius of the reticulum",
        **{f"physics.constants.{name}": quantity for name, quantity in _CONSTANTS.items()},
        **{f"data.truth.{name}": quantity for name, quantity in (_CONSTANTS | _VOLTAGE).items()},
        "data.truth.vdcc_density.*": "density of channels",
        **_VOLTAGE,
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
        **_TOLERANCES,
        "split.tolerance": "tolerance",
        "data.indicator": "affinity of an indicator",
        "data.interval": "interval of probes",
        "inference.band_interval": "interval of probes",
    }
)
"""Quantity of every key of a cell's description that has one; * stands for any number or name."""

OF_SQUARES: Mapping[str, str] = MappingProxyType(
    {
        **{f"physics.constants.{name}": quantity for name, quantity in _SQUARE.items()},
        **{f"data.truth.{name}": quantity for name, quantity in _SQUARE.items()},
        "run.duration": "duration of a run",
        "run.output_interval": "interval of output",
        **_TOLERANCES,
    }
)
"""The same of a square's description."""

WITHOUT: Mapping[str, str] = MappingProxyType(
    {
        "morphology.er_fraction": "a ratio",
        "physics.constants.time_unit": "no measured quantity",
        "physics.constants.gates.*.z": "a number of charges",
        "physics.constants.gates.*.gamma": "a ratio",
        "physics.constants.gates.*.rate": "for the preset 'seed', which is dimensionless",
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
        "channels.constants.*": "by their currents",
        "parameter.*": "by the constant that is learned",
        "population.parameters.*": "as the keys that they stand for",
        "data.noise": "a share",
        "data.truth.gates.*": "as those of the run",
        "data.truth.channels.*": "by their currents",
        "inference.*": "without a unit",
        "uq.*": "without a unit",
        "study.*": "without a unit",
    }
)
"""Numeric keys that no unit can be wrong of, or that are looked up otherwise, and why."""


def findings(config: RunConfig | SquareConfig) -> Iterator[tuple[Path, Finding]]:
    """What is odd about the numbers that a person gave; defaults are not looked at.

    A description with the dimensionless preset `seed` has nothing that could be odd.
    """
    if isinstance(config, RunConfig) and config.physics.preset == "seed":
        return
    for path, value in _numbers(config, ()):
        quantity = quantity_of(config, path)
        odd = finding(quantity, value) if quantity else None
        if odd is not None:
            yield path, odd


def quantity_of(config: RunConfig | SquareConfig, path: Path) -> str | None:
    """The quantity of a key; None where it has none."""
    quantity = _quantity_of(config, path)
    is_factor = quantity == "field" and isinstance(config, RunConfig) and config.field.file is not None
    return None if is_factor else quantity


def value_at(config: RunConfig | SquareConfig, path: Path) -> float:
    """The number of a key."""
    value: Any = config
    for part in path:
        value = value[part] if isinstance(value, Mapping | tuple) else getattr(value, str(part))  # type: ignore[index]
    return float(value)


def _quantity_of(config: RunConfig | SquareConfig, path: Path) -> str | None:
    match path:
        case ("parameter", int(number), "start" | "prior"):
            return quantity_of_constant(config.parameter[number].name)
        case ("channels", "constants", str(), *member) | ("data", "truth", "channels", str(), *member):
            return _CURRENTS.get(".".join(map(str, member))) or _CURRENTS.get(str(member[-1]))
        case ("population", "parameters", int(), "set", str(key)):
            return OF_CELLS.get(key)
    known = OF_CELLS if isinstance(config, RunConfig) else OF_SQUARES
    named = ".".join("*" if isinstance(part, int) else part for part in path)
    return known.get(named) or known.get(f"{named.rpartition('.')[0]}.*")


def quantity_of_constant(name: str) -> str | None:
    """The quantity of a constant that can be learned, by the name of a parameter."""
    if gate := gate_member(name):
        return _CONSTANTS.get(f"gates.*.{gate[1]}")
    if current := current_member(name):
        return _CURRENTS.get(f"{current[1]}.{current[2]}") or _CURRENTS[current[2]]
    plain = "vdcc_density" if name.startswith(BY_TYPE) else name
    return _CONSTANTS.get(plain) or _VOLTAGE.get(plain) or _SQUARE.get(plain)


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
