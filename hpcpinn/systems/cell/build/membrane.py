"""From a run description to the membrane, its field and its clamps: the cable equation."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.plausible import findings
from hpcpinn.core.plausibility import finding
from hpcpinn.errors import InputError, Key, concerning, spelled
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.morphology.compartments import Compartments, compartments, d_lambda_counts
from hpcpinn.physics.channel_sets import CHANNEL_SETS, ChannelSet, channel_set_named
from hpcpinn.physics.membrane_constants import CableConstants
from hpcpinn.physics.stimulation.field import ElectricField, quasipotential, read_field, uniform_field
from hpcpinn.systems.cell.build.stimulus import clamps_of, stimulus_of
from hpcpinn.systems.cell.config.quantities import measured_quantity_of, quantity_of, value_at
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.driven_cable import DrivenCable
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.pulse_steps import VoltageStepRule

_CHANNEL_KEYS = {1: "soma", 2: "axon", 3: "basal", 4: "apical"}
"""Keys of [channels] by SWC type."""


def driven_cable(config: RunConfig, cable: Cable) -> DrivenCable:
    """The cable equation of a run description, its field, pulses and clamps.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    cells = compartments_of(config, cable)
    sets = channel_sets_of(config)
    channels = [sets[name] for name in channel_names(config, cells)]
    equation = CableEquation(cells, channels, cable_constants(config))
    rows = []
    stimulus = None
    if config.field.is_given:
        stimulus = stimulus_of(config)
        rows.append(equation.field_source(peak_quasipotential(config, cells)))
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


def cable_constants(config: RunConfig) -> CableConstants:
    """The constants of the cable of a run description."""
    return CableConstants(config.cable.R_i, config.cable.C_m, config.cable.temperature)


def compartments_of(config: RunConfig, cable: Cable) -> Compartments:
    """The compartments of the voltage, by the d_lambda rule."""
    chosen = config.cable
    return compartments(cable, d_lambda_counts(cable, chosen.R_i, chosen.C_m, fraction=chosen.d_lambda))


def peak_quasipotential(config: RunConfig, cells: Compartments) -> Float[ndarray, " points"]:
    """ψ of the field's peak at all points, mV (EQUATIONS §2).

    Raises:
        InputError: A direction or a file that cannot be used.
    """
    psi = _strength(config) * unit_quasipotential(config, cells)
    field_of(config).warn_of_guesses(cells.cable, _strength(config))
    return psi


def unit_quasipotential(config: RunConfig, cells: Compartments) -> Float[ndarray, " points"]:
    """ψ of a field of magnitude 1, or of the sampled one as it is, at all points, mV.

    Raises:
        InputError: A direction or a file that cannot be used.
    """
    field = field_of(config)
    with concerning("field", "file" if config.field.file is not None else "direction"):
        psi: Float[ndarray, " points"] = quasipotential(cells.cable, field)[cells.node]
    return psi


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
    return VoltageStepRule(own.step, min(own.pulse_step, own.step), own.quiet_step)


def channel_sets_of(config: RunConfig) -> dict[str, ChannelSet]:
    """The channel sets of a run description by their names, with the constants that it changes.

    Raises:
        InputError: A set or a current that does not exist.
    """
    changes = config.channels.changes
    with concerning("channels", "constants"):
        for name in changes:
            channel_set_named(name)
        return {name: channel_set_named(name, changes) for name in CHANNEL_SETS}


def channel_names(config: RunConfig, cells: Compartments) -> tuple[str, ...]:
    """The channel set of every compartment by its type, as the sets call themselves.

    Raises:
        InputError: A name that no channel set has.
    """
    sets = {}
    for key in (*_CHANNEL_KEYS.values(), "other"):
        with concerning("channels", key):
            sets[key] = channel_set_named(getattr(config.channels, key)).name
    return tuple(sets[_CHANNEL_KEYS.get(int(kind), "other")] for kind in cells.kind)


def field_of(config: RunConfig) -> ElectricField:
    """The field at its peak; of a sampled one before `field.magnitude` scales it.

    Raises:
        InputError: An unusable direction or file.
    """
    if config.field.file is not None:
        with concerning("field", "file"):
            return read_field(config.field.file)
    with concerning("field", "direction"):
        return uniform_field(1.0, config.field.direction)


def _strength(config: RunConfig) -> float:
    return 1.0 if config.field.magnitude is None else config.field.magnitude


_DRIVING = ("current", "field", "capacitance", "axial resistivity", "conductance")
"""Quantities, or how their names begin, that may take a voltage anywhere."""


def impossible_voltage(config: RunConfig, where: str) -> InputError:
    """The error of a voltage that no membrane survives: it names what drives it, and the unit that this looks to be in.

    It is the input's fault, not the solver's: the linear cable follows whatever is put into it.

    Args:
        config: The run description.
        where: Of `beyond_all_membranes`.
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
