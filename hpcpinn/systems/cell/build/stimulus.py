"""From a run description to its pulses and clamps."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import CutShortWarning, InputError, concerning, warn
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.physics.stimulation.waveforms import Rectangular, Reversed, Waveform, waveform_named
from hpcpinn.systems.cell.build.protocol import protocol_of
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.config.stimulation import StimulationConfig
from hpcpinn.timestepping.pulse_steps import CurrentClamp
from hpcpinn.wording import spoken


@dataclass(frozen=True)
class SingleRelease:
    """One synaptic release; times in user units, None for what the constants say.

    Attributes:
        site: Place, in words.
        start: Onset.
        flux: Peak of j_SYN, µM·µm/s.
        duration: Time in which it falls to zero.
        patch: Length of cable that takes part, µm.
    """

    site: str
    start: float
    flux: float | None
    duration: float | None
    patch: float | None


def releases_of(config: RunConfig) -> tuple[SingleRelease, ...]:
    """Every release by itself: the trains of synapses written out."""
    return tuple(
        SingleRelease(one.site, start, one.flux, one.duration, one.patch)
        for one in config.synapse
        for start in one.onsets
    )


def clamps_of(config: RunConfig) -> tuple[CurrentClamp, ...]:
    """When clamps are on."""
    return tuple(CurrentClamp(clamp.start, clamp.duration) for clamp in config.clamp)


def switching_times(config: RunConfig) -> Float[ndarray, " k"]:
    """When pulses and clamps begin and end within the run, ms: windows of the calcium end there."""
    onsets, length = pulses_of(config)
    times = [edge for clamp in config.clamp for edge in (clamp.start, clamp.start + clamp.duration)]
    times += [*onsets, *(onsets + length)]
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


def stimulus_of(config: RunConfig) -> Stimulus:
    """The pulses of a run description.

    Raises:
        InputError: An unknown protocol or waveform, numbers that make no train, or pulses closer
            than the waveform is long.
    """
    given, protocol = config.stimulation, protocol_of(config)
    with concerning("stimulation", "waveform"):
        waveform = waveform_named(given.waveform or protocol.waveform)
    if given.width is not None or given.reversal is not None:
        waveform = _rectangle(waveform, given)
    return Stimulus(protocol, Reversed(waveform) if given.is_reversed else waveform)


def _rectangle(waveform: Waveform, given: StimulationConfig) -> Rectangular:
    """A rectangle of the width and the second phase that somebody gave.

    Raises:
        InputError: The waveform is no rectangle, or a number is outside its range.
    """
    key = "width" if given.width is not None else "reversal"
    with concerning("stimulation", key):
        if not isinstance(waveform, Rectangular):
            raise InputError(f"is of rectangles, and the waveform is {waveform.name}; set waveform = 'rectangular'")
        own = {"width": given.width, "reversal": given.reversal}
        return replace(waveform, **{name: value for name, value in own.items() if value is not None})


def warn_of_pulses_after_the_end(config: RunConfig, duration: float) -> None:
    """Says how many pulses of a protocol a run of some duration, ms, is too short for."""
    onsets, length = pulses_of(config)
    within, count = int(np.sum(onsets < duration)), len(onsets)
    if 0 < within < count:
        warn(
            f"{within} of {count} pulses begin before the end of the run (run.duration = {spoken(duration)}); all take "
            f"{spoken(onsets[-1] + length)}",
            ("stimulation", "protocol" if config.stimulation.protocol else "pulses"),
            CutShortWarning,
        )
