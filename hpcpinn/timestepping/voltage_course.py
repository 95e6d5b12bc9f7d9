"""The voltage of a slot in steps that are long while it hardly moves.

Long steps are tried in short blocks some time after all pulses and clamps, and taken where no compartment
moved by more than a little within any of them; otherwise the block is done again in short ones. So what
fires by itself is followed as closely as what a pulse makes fire.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule, steps_between
from hpcpinn.timestepping.window_lengths import Stretch, joined

_LIVELY = 6.0
"""ms after a pulse or a switch in which long steps are not tried."""
_BLOCK = 6.0
"""ms that are tried at a time."""
_HARDLY = 0.3
"""mV by which the voltage may move within a long step."""


def voltage_course(
    cable: CableEquation,
    begin: VoltageState,
    since: float,
    until: float,
    rule: VoltageStepRule,
    sources: Float[ndarray, "k points"] | Float[ndarray, " 0"],
    stimulus: Stimulus | None = None,
    onset: float = 0.0,
    clamps: Sequence[CurrentClamp] = (),
    largest: Callable[[float], float] = float,
) -> tuple[VoltageState, Float[ndarray, " n"], Float[ndarray, "n P"]]:
    """The voltage of a rank's compartments over [since, until]. Collective over all ranks.

    Args:
        cable: The membrane.
        begin: State of the membrane at `since`.
        since, until: Start and end, ms.
        rule: Steps; where `rule.quiet` is longer than `rule.longest`, it is tried.
        sources: Current of every source into every point at drive 1, as in `CableEquation.march`: the field (if there
            is a stimulus), then the clamps.
        stimulus: Pulses, the first of them at `onset`.
        onset: Onset of the first pulse, ms.
        clamps: Currents.
        largest: Function that gives the largest of the numbers of all ranks.

    Returns:
        The state at `until`, times after `since` (the first is 0, ms) and the voltage then, mV.
    """
    state, times, values = begin, [np.zeros(1)], [cable.voltage(begin)[None]]

    def marched(
        start: float, end: float, step: float
    ) -> tuple[VoltageState, Float[ndarray, " n"], Float[ndarray, "n P"]]:
        own = replace(rule, longest=step, in_pulse=min(rule.in_pulse, step))
        steps = steps_between(start, end, own, stimulus, onset, clamps)
        after, V = cable.march(state, steps, sources)
        return after, start - since + steps.ends, V

    for start, end, quiet in _stretches(since, until, rule, stimulus, onset, clamps):
        after, t, V = marched(start, end, rule.quiet if quiet else rule.longest)
        if quiet:
            moved = np.abs(np.diff(V, axis=0, prepend=values[-1][-1:])).max(initial=0.0)
            if not largest(float(moved)) <= _HARDLY:
                after, t, V = marched(start, end, rule.longest)
        state = after
        times.append(t)
        values.append(V)
    return state, np.concatenate(times), np.concatenate(values)


def _stretches(
    since: float,
    until: float,
    rule: VoltageStepRule,
    stimulus: Stimulus | None,
    onset: float,
    clamps: Sequence[CurrentClamp],
) -> list[tuple[float, float, bool]]:
    """What is marched at a time, and whether long steps are tried."""
    if rule.quiet <= rule.longest:
        return [(since, until, False)]
    events, lasting = [edge for clamp in clamps for edge in (clamp.start, clamp.end)], 0.0
    if stimulus is not None:
        events += (onset + stimulus.pulse_times).tolist()
        lasting = stimulus.waveform.duration
    lively = joined([(event, event + lasting + _LIVELY) for event in events], since, until)
    found, now = [], since
    for start, end in [*lively, (until, until)]:
        found += [(*block, True) for block in _blocks(now, start)]
        found += [(start, end, False)] if end > start else []
        now = end
    return found


def _blocks(start: float, end: float) -> list[Stretch]:
    """A stretch in blocks, the last one up to half as long again."""
    found = []
    while start < end:
        after = start + _BLOCK if end - start >= 1.5 * _BLOCK else end
        found.append((start, after))
        start = after
    return found
