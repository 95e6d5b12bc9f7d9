"""From a run description to the voltage of the whole cell under a field or clamps."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.plausible import findings
from hpcpinn.core.plausibility import finding
from hpcpinn.errors import CutShortWarning, InputError, Key, concerning, spelled, warn
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.morphology.compartments import Compartments, compartments, d_lambda_counts
from hpcpinn.physics.channel_sets import CHANNEL_SETS, ChannelSet, channel_set_named
from hpcpinn.physics.stimulation.field import ElectricField, quasipotential, read_field, uniform_field
from hpcpinn.physics.stimulation.protocols import PulseProtocol, protocol_named
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import waveform_named
from hpcpinn.physics.voltage import VoltageSource
from hpcpinn.systems.cell.config.quantities import measured_quantity_of, quantity_of, value_at
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule, steps_between
from hpcpinn.timestepping.voltage_limits import beyond_all_membranes
from hpcpinn.wording import biology, spoken

_CHANNEL_KEYS = {1: "soma", 2: "axon", 3: "basal", 4: "apical"}
"""Keys of [channels] by SWC type."""

_MOST_BYTES = 2**30
"""A voltage larger than this is refused: it has to fit beside everything else on every rank."""

_STEPS_AT_ONCE = 20_000


@dataclass(frozen=True)
class DrivenCable:
    """A cell whose voltage a field and clamps drive.

    Attributes:
        compartments: Its geometry.
        equation: The cable equation.
        sources: Currents of the field (where there is one) and of every clamp, nA, one row each.
        stimulus: Pulses; None without a field.
        onset: Of the first pulse, ms.
        clamps: In the order of their rows.
        rule: Lengths of steps.
    """

    compartments: Compartments
    equation: CableEquation
    sources: Float[ndarray, "k points"]
    stimulus: Stimulus | None
    onset: float
    clamps: tuple[CurrentClamp, ...]
    rule: VoltageStepRule

    def march(
        self, state: VoltageState, since: float, until: float, marks: Float[ndarray, " m"], scale: float = 1.0
    ) -> tuple[VoltageState, Float[ndarray, " n"], Float[ndarray, "n compartments"]]:
        """Steps over [since, until], ms, that end at all marks; the field `scale` times as strong.

        Returns:
            The state at the end, the ends of the steps, and the voltage there, mV.
        """
        steps = steps_between(since, until, self.rule, self.stimulus, self.onset, self.clamps, marks)
        sources = self.sources.copy()
        if self.stimulus is not None:
            sources[0] *= scale
        state, V = self.equation.march(state, steps, sources)
        return state, since + steps.ends, V


def driven_cable(config: RunConfig, cable: Cable) -> DrivenCable:
    """The cable equation of a run description, its field, pulses and clamps.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    chosen = config.cable
    cells = compartments_of(config, cable)
    sets = channel_sets_of(config)
    channels = [sets[name] for name in channel_names(config, cells)]
    equation = CableEquation(cells, channels, chosen.R_i, chosen.C_m, chosen.temperature)
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


def compartments_of(config: RunConfig, cable: Cable) -> Compartments:
    """The compartments of the voltage, by the d_lambda rule."""
    chosen = config.cable
    return compartments(cable, d_lambda_counts(cable, chosen.R_i, chosen.C_m, fraction=chosen.d_lambda))


def peak_quasipotential(config: RunConfig, cells: Compartments) -> Float[ndarray, " points"]:
    """ψ of the field's peak at all points, mV (EQUATIONS §2).

    Raises:
        InputError: A direction or a file that cannot be used.
    """
    field = field_of(config)
    with concerning("field", "file" if config.field.file is not None else "direction"):
        psi: Float[ndarray, " n"] = _strength(config) * quasipotential(cells.cable, field)[cells.node]
    field.warn_of_guesses(cells.cable, _strength(config))
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


def clamps_of(config: RunConfig) -> tuple[CurrentClamp, ...]:
    """When clamps are on."""
    return tuple(CurrentClamp(clamp.start, clamp.duration) for clamp in config.clamp)


def step_rule(config: RunConfig) -> VoltageStepRule:
    """Lengths of the voltage's steps."""
    own = config.cable
    return VoltageStepRule(own.step, min(own.pulse_step, own.step), own.quiet_step)


def switching_times(config: RunConfig) -> Float[ndarray, " k"]:
    """When pulses and clamps begin and end within the run, ms: windows of the calcium end there."""
    times = [edge for clamp in config.clamp for edge in (clamp.start, clamp.start + clamp.duration)]
    if config.field.is_given:
        stimulus = stimulus_of(config)
        onsets = config.stimulation.start + stimulus.pulse_times
        times += [*onsets, *(onsets + stimulus.waveform.duration)]
    within = np.unique(np.round(times, 9))
    return within[(within > 0.0) & (within < config.run.duration)]


def pulses_of(config: RunConfig) -> tuple[Float[ndarray, " n"], float]:
    """Onsets of the pulses and how long each is, ms; none without a field."""
    if not config.field.is_given:
        return np.zeros(0), 0.0
    stimulus = stimulus_of(config)
    return config.stimulation.start + stimulus.pulse_times, float(stimulus.waveform.duration)


def uniform_magnitude(config: RunConfig) -> float | None:
    """Peak of the field, V/m; None without one, where it comes from a file, or where members differ in it."""
    several = config.population.magnitudes or any("field.magnitude" in one.set for one in config.population.parameters)
    return None if several or config.field.file is not None else config.field.magnitude


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


def stimulus_of(config: RunConfig) -> Stimulus:
    """The pulses of a run description.

    Raises:
        InputError: An unknown protocol or waveform, numbers that make no train, or pulses closer
            than the waveform is long.
    """
    given = config.stimulation
    if given.protocol is not None:
        with concerning("stimulation", "protocol"):
            protocol = protocol_named(given.protocol)
    else:
        protocol = PulseProtocol(
            "stimulation",
            pulses=given.pulses,
            bursts=given.bursts,
            trains=given.trains,
            burst_interval=_burst_interval(config),
            pulse_interval=given.pulse_interval,
            train_interval=given.train_interval,
        )
    with concerning("stimulation", "waveform"):
        waveform = waveform_named(given.waveform or protocol.waveform)
    return Stimulus(protocol, waveform)


def _burst_interval(config: RunConfig) -> float:
    """The interval between bursts; where there is one burst, anything longer than it."""
    given = config.stimulation
    if given.burst_interval is not None:
        return given.burst_interval
    if given.bursts > 1:
        raise InputError(f"stimulation.burst_interval is missing; {given.bursts} bursts per train need one")
    if given.trains > 1 and given.train_interval is None:
        raise InputError(f"stimulation.train_interval is missing; {given.trains} trains need one")
    if given.train_interval is not None:
        return given.train_interval
    return given.pulses * (given.pulse_interval or 1000.0)


def solve_voltage(config: RunConfig, cable: Cable, time_unit: float) -> VoltageSource:
    """The voltage of all compartments over the run, every `cable.sample`, from rest.

    Args:
        config: With a field or clamps.
        cable: The whole cell.
        time_unit: Internal time per ms.

    Raises:
        InputError: Anything the user gave that cannot be used, a voltage that does not fit, or one that no
            membrane survives.
        SolveError: The cell has no rest.
    """
    driven = driven_cable(config, cable)
    warn_of_pulses_after_the_end(config, driven.stimulus)
    cells, duration = driven.compartments, config.run.duration
    count = max(1, round(duration / config.cable.sample))
    _check_fit(config, (count + 1) * cells.count * 8)
    times = np.linspace(0.0, duration, count + 1)
    state = driven.equation.resting_state()
    kept = [driven.equation.voltage(state)[None]]
    stretch = max(1, int(_STEPS_AT_ONCE * config.cable.step / config.cable.sample))
    names = [site.name for site in cells.sites]
    for first in range(0, count, stretch):
        wanted = times[first + 1 : first + 1 + stretch]
        state, ends, V = driven.march(state, float(times[first]), float(wanted[-1]), wanted)
        if where := beyond_all_membranes(ends, V, names.__getitem__):
            raise impossible_voltage(config, where)
        kept.append(V[np.searchsorted(ends, wanted - 1e-7)])
    return VoltageSource(
        times=jax.device_put(times * time_unit),
        values=jax.device_put(np.concatenate(kept)),
        sites=tuple(names),
        path="",
        time_unit=time_unit,
    )


def warn_of_pulses_after_the_end(config: RunConfig, stimulus: Stimulus | None) -> None:
    """Says how many pulses of a protocol a run is too short for."""
    if stimulus is None:
        return
    onsets = config.stimulation.start + stimulus.pulse_times
    within = int(np.sum(onsets < config.run.duration))
    if 0 < within < len(onsets):
        warn(
            f"{within} of {len(onsets)} pulses begin before the end of the run (run.duration = "
            f"{spoken(config.run.duration)}); all take {spoken(onsets[-1] + stimulus.waveform.duration)}",
            ("stimulation", "protocol" if config.stimulation.protocol else "pulses"),
            CutShortWarning,
        )


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


def _check_fit(config: RunConfig, size: int) -> None:
    if size > _MOST_BYTES:
        raise InputError(
            f"run.duration = {biology(config.run.duration, 6)}: the voltage every cable.sample = "
            f"{biology(config.cable.sample, 6)} takes {size / 2**30:.1f} GiB, {_MOST_BYTES / 2**30:.0f} at most; "
            "shorten the run or raise cable.sample"
        )
