"""From a run description to the membrane, its field and its clamps: the cable equation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpcpinn.config.plausible import findings
from hpcpinn.core.plausibility import finding
from hpcpinn.errors import InputError, Key, concerning, spelled
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.morphology.compartments import Compartments, compartments, counts_of_length, d_lambda_counts
from hpcpinn.physics.membrane_constants import CableConstants, FieldConstants
from hpcpinn.systems.cell.build.field import peak_quasipotential
from hpcpinn.systems.cell.build.regions import (
    Coating,
    Library,
    Places,
    coat,
    places_of_compartments,
    places_of_frusta,
    sets_of,
)
from hpcpinn.systems.cell.build.stimulus import clamps_of, stimulus_of
from hpcpinn.systems.cell.config.learnable import current_member
from hpcpinn.systems.cell.config.quantities import measured_quantity_of, quantity_of, value_at
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.driven_cable import DrivenCable
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.pulse_steps import VoltageStepRule


@dataclass(frozen=True)
class Membrane:
    """Constants of a cell's membrane and of its field.

    Attributes:
        cable: Constants of the cable; R_i and C_m go before those of regions where they were given.
        field: Constants of the field, of a sampled one with its factor; without a field it has no magnitude.
        library: Membranes by name, with the constants that differ.
        given: Names of constants of the cable that somebody gave.
    """

    cable: CableConstants
    field: FieldConstants
    library: Library
    given: frozenset[str]

    def own(self, name: str) -> float | None:
        """R_i or C_m where somebody gave it; None where regions may have their own."""
        return float(getattr(self.cable, name)) if name in self.given else None

    def value(self, name: str) -> float:
        """What a constant is, by its name as a parameter.

        Raises:
            InputError: There is no such current, or no temperature; it differs by region.
        """
        member = current_member(name)
        if member:
            of_set, of_current, constant = member
            try:
                channels = self.library.region(of_set).channels
            except InputError as error:
                raise InputError(f"{name!r}: {error}") from None
            currents = {current.name: current for current in channels.currents}
            if of_current not in currents:
                raise InputError(f"{name!r}: no current {of_current!r} in it; there are {', '.join(currents)}")
            return float(getattr(currents[of_current], constant))
        table, _, key = name.partition(".")
        value: float | None = getattr(getattr(self, table), key)
        if key in ("R_i", "C_m") and key not in self.given and self._differs(key):
            raise InputError(f"{name!r} differs by region in this run; give parameter.start, one number for all")
        if value is None:
            raise InputError(
                f"{name!r} is nothing in this run (every channel set is at its own temperature); give parameter.start, "
                "and for synthetic data data.truth"
            )
        return float(value)

    def _differs(self, key: str) -> bool:
        own = {getattr(region, key) for region in self.library.base.regions.values()}
        return own != {None}

    def coat(self, cable: Cable, places: Places, where: str = "") -> Coating:
        """The membrane of every part of a cell, as `hpcpinn.systems.cell.build.regions.coat`."""
        return coat(self.library, cable, places, where)

    def cable_on(self, coating: Coating) -> CableConstants:
        """Constants of the cable on all parts of a cell, R_i and C_m one number or one for each."""
        return self.cable.replace(
            R_i=coating.resistivity(self.own("R_i"), self.cable.R_i),
            C_m=coating.capacitance(self.own("C_m"), self.cable.C_m),
        )


def membrane_of(config: RunConfig, values: Mapping[str, float] | None = None) -> Membrane:
    """The membrane of a run description.

    Args:
        config: The run description.
        values: Values of constants by name; those of the voltage take the place of the description's.

    Raises:
        InputError: A channel set or a current that does not exist.
    """
    own = {"cable.R_i": config.cable.R_i, "cable.C_m": config.cable.C_m, "cable.temperature": config.cable.temperature}
    own |= {"field.magnitude": 1.0 if _is_sampled(config) else config.field.magnitude, **(values or {})}
    changes = config.channels.changes
    for name, value in (values or {}).items():
        if member := current_member(name):
            changes.setdefault(member[0], {}).setdefault(member[1], {})[member[2]] = value
    library = Library(config.channels, changes)
    library.check()
    cable = CableConstants(own["cable.R_i"], own["cable.C_m"], own["cable.temperature"])
    given = config.cable.model_fields_set | {name.removeprefix("cable.") for name in values or {}}
    return Membrane(cable, FieldConstants(own["field.magnitude"]), library, frozenset(given))


def _is_sampled(config: RunConfig) -> bool:
    """Whether the field comes from a file, as it is."""
    return config.field.file is not None and config.field.magnitude is None


def driven_cable(config: RunConfig, cable: Cable, values: Mapping[str, float] | None = None) -> DrivenCable:
    """The cable equation of a run description, its field, pulses and clamps.

    Args:
        config: The run description.
        cable: The whole cell.
        values: Values of constants by name, as in `membrane_of`.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    membrane = membrane_of(config, values)
    cells = compartments_of(config, cable, membrane)
    coating = membrane.coat(cable, places_of_compartments(cells), config.morphology.file)
    sets = sets_of(coating)
    channels = [sets[name] for name in coating.names]
    equation = CableEquation(cells, channels, membrane.cable_on(coating), profiles=coating.profiles)
    rows = []
    stimulus = None
    if membrane.field.magnitude is not None:
        stimulus = stimulus_of(config)
        rows.append(equation.field_source(peak_quasipotential(config, cells, membrane.field.magnitude)))
    where = clamped_compartments(config, cells, cable)
    rows += [equation.clamp_source(at, clamp.current) for at, clamp in zip(where, config.clamp, strict=True)]
    return DrivenCable(
        compartments=cells,
        equation=equation,
        sources=np.reshape(rows, (len(rows), cells.n_points)),
        stimulus=stimulus,
        onset=config.stimulation.start,
        clamps=clamps_of(config),
        rule=step_rule(config),
    )


def compartments_of(config: RunConfig, cable: Cable, membrane: Membrane) -> Compartments:
    """The compartments of the voltage, by the d_lambda rule, and none longer than is wanted."""
    k = membrane.cable_on(membrane.coat(cable, places_of_frusta(cable)))
    counts = d_lambda_counts(cable, k.R_i, k.C_m, fraction=config.cable.d_lambda)
    return compartments(cable, np.maximum(counts, counts_of_length(cable, config.cable.longest)))


def clamped_compartments(config: RunConfig, cells: Compartments, cable: Cable) -> tuple[int, ...]:
    """The compartment of every clamp.

    Raises:
        InputError: A place that the cell does not have.
    """
    found = []
    for number, clamp in enumerate(config.clamp):
        with concerning("clamp", number, "site"):
            found.append(cells.nearest(parse_site(clamp.site, cable), cable))
    return tuple(found)


def step_rule(config: RunConfig) -> VoltageStepRule:
    """Lengths of the voltage's steps."""
    own = config.cable
    return VoltageStepRule(own.step, min(own.pulse_step, own.step), own.quiet_step, own.scheme == "euler")


_DRIVING = ("current", "field", "capacitance", "axial resistivity", "conductance")
"""Quantities, or how their names begin, that may take a voltage anywhere."""


def impossible_voltage(config: RunConfig, where: str) -> InputError:
    """The error of a voltage that no membrane survives: it names what drives it, and the unit that this looks to be in.

    It is the input's fault, not the solver's: the linear cable follows whatever is put into it.

    Args:
        config: The run description.
        where: Place, size and time of the voltage, as `beyond_all_membranes` says it.
    """
    key, value = _blamed(config)
    quantity = quantity_of(config, key)
    if quantity is None or value is None:
        return InputError(f"the membrane goes to {where}; no membrane survives that: check what drives it", key)
    # A usual current may still be far too large for this cell; a usual field or membrane is not in another unit.
    explained = quantity.name == "current" or finding(quantity, value) is not None
    advice = (quantity.advice(value) if explained else "") or "check it and its unit"
    return InputError(
        f"{spelled(key)}: {value:g} {quantity.unit} take the membrane to {where}; no membrane survives that: {advice}",
        key,
    )


def _blamed(config: RunConfig) -> tuple[Key, float | None]:
    """What has most likely the wrong unit: what is unusual, else the strongest clamp, else the field."""
    for key, _ in findings(config, measured_quantity_of):
        quantity = quantity_of(config, key)
        if quantity is not None and quantity.name.startswith(_DRIVING):
            return key, value_at(config, key)
    if config.clamp:
        number = max(range(len(config.clamp)), key=lambda n: abs(config.clamp[n].current))
        return ("clamp", number, "current"), config.clamp[number].current
    return ("field", "magnitude" if config.field.file is None else "file"), config.field.magnitude
