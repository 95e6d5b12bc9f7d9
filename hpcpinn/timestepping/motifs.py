"""Voltage and influx of a protocol, slot by slot, solved once per motif and reused where that is allowed.

A *motif* is a slot together with the state of membrane and gates at its start: the voltage, all
channels' gates, and so the influx of calcium follow from them and from nothing else. Before a slot is
solved, the motifs of slots of the same kind are looked through: one whose start differs by no more
than a stated tolerance is taken as it is, and its end is the start of the next slot. So a train
is solved until it is periodic, and solved anew as soon as it is not.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.diffusion import CableDiffusion
from hpcpinn.timestepping.influx import InfluxTable, InfluxWindow, influx_of_trace
from hpcpinn.timestepping.pulse_steps import StepRule, steps_between
from hpcpinn.timestepping.slots import Slot
from hpcpinn.timestepping.splitting import WindowPlan, padded, plan_windows

VOLTAGE_RANGE = 100.0
"""mV: a voltage that is off by this much is as wrong as a gate that is off by one."""


class DriveState(NamedTuple):
    """Membrane and calcium channels at one moment.

    Attributes:
        voltage: Voltage and the gates that carry it.
        gates: Gates of the calcium channels of all compartments of the voltage, (P, gates).
    """

    voltage: VoltageState
    gates: Float[ndarray, "P gates"]


class Motif(NamedTuple):
    """A solved slot.

    Attributes:
        slot: The first that it was solved for.
        begin, end: The drive at its start and its end.
        plan: Its windows, for all cells; then some of no length.
        coarse: The same slot in windows twice as long.
        shared: Windows that end where those twice as long do.
        ends: Ends of the windows after the start, ms.
        voltage: At the ends of the windows, (K, P), mV.
    """

    slot: Slot
    begin: DriveState
    end: DriveState
    plan: WindowPlan
    coarse: WindowPlan
    shared: Int[ndarray, " k"]
    ends: Float[ndarray, " K"]
    voltage: Float[ndarray, "K P"]


@dataclass(frozen=True)
class WindowLengths:
    """Lengths of split windows, ms: short after a pulse, then growing.

    Attributes:
        first: While action potentials last.
        samples: Voltages per tick, linear between them; a tick is half of `first`.
        first_for: For how long after a pulse.
        growth: Ratio of successive lengths after that.
        longest: In a slot with pulses.
        quiet: In a slot without.
    """

    first: float = 0.1
    samples: int = 2
    first_for: float = 6.0
    growth: float = 1.2
    longest: float = 5.0
    quiet: float = 10.0

    @property
    def tick(self) -> float:
        """Spacing of the times at which windows may end; the influx is integrated between them."""
        return 0.5 * self.first

    def ticks(self, slot: Slot) -> int:
        """Number of ticks of a slot, even."""
        return 2 * max(1, int(np.ceil(slot.duration / (2.0 * self.tick) * (1.0 - 1e-9))))

    def ends(self, slot: Slot) -> Int[ndarray, " K"]:
        """Ticks at which the windows of a slot end, each after an even number of ticks."""
        ticks = self.ticks(slot)
        pair = 2.0 * slot.duration / ticks
        marks = [*slot.pulses, slot.duration] if slot.pulses else [slot.duration]
        edges: list[float] = [0.0]
        for start, end in zip([0.0, *marks[:-1]] if slot.pulses else [0.0], marks, strict=True):
            edges += self._stretch(start, end, bool(slot.pulses) and start in slot.pulses)
        pairs = np.unique(np.round(np.array(edges) / pair).astype(int))
        return 2 * pairs[pairs > 0]

    def _stretch(self, start: float, end: float, pulsed: bool) -> list[float]:
        if end <= start:
            return []
        edges, t, length = [], start, self.first if pulsed else self.quiet
        while t < end:
            t += length
            edges.append(min(t, end))
            if pulsed and t >= start + self.first_for:
                length = min(length * self.growth, self.longest)
        return edges


@dataclass(frozen=True)
class SlotSolver:
    """Solves a slot from a state of the drive.

    Attributes:
        cable: The membrane.
        sources: Current that the field's peak drives into every point, nA; no row without a field.
        stimulus: The pulses; None for none.
        onset: Time of the first, ms.
        steps: Lengths of the voltage's steps.
        constants: Of calcium and its channels.
        to_cells: Weights of the voltage's compartments in every cell, (N, P), rows add up to one.
        diffusion: Of the cells.
        lengths: Of the split windows.
    """

    cable: CableEquation
    sources: Float[ndarray, "k points"]
    stimulus: Stimulus | None
    onset: float
    steps: StepRule
    constants: CalciumConstants
    to_cells: sparse.csr_matrix
    diffusion: CableDiffusion
    lengths: WindowLengths = field(default_factory=WindowLengths)

    def solve(self, slot: Slot, begin: DriveState) -> Motif:
        """The motif of a slot that starts from `begin`."""
        ticks = self.lengths.ticks(slot)
        steps = steps_between(slot.start, slot.end, self.steps, self.stimulus, self.onset)
        state, V = self.cable.march(begin.voltage, steps, self.sources)
        times = np.append(0.0, steps.ends)
        trace = np.concatenate([self.cable.voltage(begin.voltage)[None], V])
        per_tick = self.lengths.samples
        grid = np.linspace(0.0, slot.duration, ticks * per_tick + 1)
        V = _at(times, trace, grid)
        unit = self.constants.time_unit
        influx = influx_of_trace(
            V, self.constants, tick=unit * slot.duration / ticks, per_tick=per_tick, state=begin.gates
        )
        ends = self.lengths.ends(slot)
        shared = np.unique(np.append(np.arange(1, len(ends), 2), len(ends) - 1))
        return Motif(
            slot,
            begin,
            DriveState(state, influx.gates),
            self._plan(ends, influx),
            self._plan(ends[shared], influx),
            shared,
            grid[per_tick * ends],
            V[per_tick * ends],
        )

    def _plan(self, ends: Int[ndarray, " K"], influx: InfluxTable) -> WindowPlan:
        plan = plan_windows(ends, influx, self.diffusion, terms=_TERMS)
        plan = plan._replace(first=self._on_cells(plan.first), second=self._on_cells(plan.second))
        return padded(plan, _few_sizes(len(ends)) - len(ends))

    def _on_cells(self, window: InfluxWindow) -> InfluxWindow:
        def mapped(values: Array) -> Array:
            flat = np.asarray(values).reshape(-1, self.to_cells.shape[1])
            return jnp.asarray((self.to_cells @ flat.T).T.reshape(*values.shape[:-1], -1))

        return InfluxWindow(mapped(window.sink), mapped(window.moments))


_TERMS = 24
"""Terms of the diffusion's series that all plans have, so that they share a compilation."""


def _few_sizes(count: int) -> int:
    """The next of 6, 8, 12, 16, 24, 32, 48 and so on."""
    size = 6
    while size < count:
        size = size * 4 // 3 if size % 3 == 0 else size * 3 // 2
    return size


def _at(times: Float[ndarray, " T"], values: Float[ndarray, "T P"], wanted: Float[ndarray, " n"]) -> ndarray:
    """Linear interpolation in time."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    share = (wanted - times[after - 1]) / (times[after] - times[after - 1])
    share = np.clip(share, 0.0, 1.0)[:, None]
    return (1.0 - share) * values[after - 1] + share * values[after]


@dataclass
class MotifBook:
    """The motifs that have been solved.

    Attributes:
        solver: Solves new ones.
        tolerance: Largest difference at the start with which a motif is reused: of gates, and of
            voltages in units of `VOLTAGE_RANGE`. 0: nothing is reused but what is the same to the bit.
        most: Motifs that are kept of every kind of slot, the newest.
        solved, reused: Slots so far.
        mismatch: Largest difference with which one was reused.
    """

    solver: SlotSolver
    tolerance: float = 1e-4
    most: int = 12
    solved: int = 0
    reused: int = 0
    mismatch: float = 0.0
    _pages: dict[tuple[float, ...], list[Motif]] = field(default_factory=lambda: defaultdict(list))

    @property
    def starts(self) -> list[tuple[Slot, DriveState]]:
        """From what all motifs in the book can be solved again, the oldest first."""
        return [(motif.slot, motif.begin) for page in self._pages.values() for motif in page]

    def learn(self, starts: list[tuple[Slot, DriveState]]) -> None:
        """Solves motifs again, from what another book's `starts` have said."""
        for slot, begin in starts:
            self._pages[slot.kind].append(self.solver.solve(slot, begin))

    def motif(self, slot: Slot, begin: DriveState) -> Motif:
        """What happens in a slot, solved or reused."""
        page = self._pages[slot.kind]
        if page:
            distances = [distance(motif.begin, begin) for motif in page]
            nearest = int(np.argmin(distances))
            if distances[nearest] <= self.tolerance:
                self.reused += 1
                self.mismatch = max(self.mismatch, distances[nearest])
                return page[nearest]
        motif = self.solver.solve(slot, begin)
        page.append(motif)
        del page[: -self.most]
        self.solved += 1
        return motif


def distance(one: DriveState, other: DriveState) -> float:
    """Largest difference of gates, and of voltages in units of `VOLTAGE_RANGE`; ∞ where gates lag differently."""
    if one is other:
        return 0.0
    if abs(float(one.voltage.lag) - float(other.voltage.lag)) > 1e-6:
        return np.inf
    parts = [(one.voltage.V, other.voltage.V, VOLTAGE_RANGE), (one.gates, other.gates, 1.0)]
    parts += [(a, b, 1.0) for a, b in zip(one.voltage.gates, other.voltage.gates, strict=True)]
    return max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max(initial=0.0)) / unit for a, b, unit in parts
    )
