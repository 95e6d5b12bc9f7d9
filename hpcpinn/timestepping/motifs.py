"""Voltage and influx of a protocol, slot by slot, solved once per motif and reused where that is allowed.

A *motif* is a slot together with the state of membrane and gates at its start: the voltage, all
channels' gates, and so the influx of calcium follow from them and from nothing else. The voltage is
solved on the cable, or given. Before a slot is
solved, the motifs of slots of the same kind are looked through: one whose start differs by no more
than a stated tolerance is taken as it is, and its end is the start of the next slot. So a train
is solved until it is periodic, and solved anew as soon as it is not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.firing import Rises, rises
from hpcpinn.timestepping.given_voltage import GivenVoltage
from hpcpinn.timestepping.halo_voltage import HaloVoltage
from hpcpinn.timestepping.influx import (
    ChannelCourse,
    ChannelScale,
    InfluxTable,
    InfluxWindow,
    course_of_samples,
    influx_of_samples,
    sample_ticks,
    table_edges,
)
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule
from hpcpinn.timestepping.releases import CellInflux, CellSources
from hpcpinn.timestepping.slot_windows import WindowCache
from hpcpinn.timestepping.slots import Slot
from hpcpinn.timestepping.splitting import Diffusion, WindowPlan, padded, plan_windows
from hpcpinn.timestepping.voltage_course import voltage_course
from hpcpinn.timestepping.voltage_limits import beyond_all_membranes
from hpcpinn.timestepping.window_lengths import Stretch, WindowLengths, firing_times, stretches
from hpcpinn.training.flow_map import ReactionState

VOLTAGE_RANGE = 100.0
"""mV: a voltage that is off by this much is as wrong as a gate that is off by one."""

_ROWS_APART = 1.0
"""ms between two rows of the influx's table where windows are long and the voltage hardly moves."""


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
        slot: First slot that it was solved for.
        begin, end: State of the drive at the start and at the end.
        plan: Windows of the slot, on the compartments of the voltage; then some of no length.
        coarse: Windows of the same slot, twice as long.
        shared: Windows that end where those twice as long do.
        ends: Ends of the windows after the start, ms.
        voltage: Voltage at the ends of the windows, mV, (K, P).
        ticks: Ends of the windows as ticks.
        channels: Course of the channels in a slot for coupled windows, which find their lengths by themselves: then
            `plan` and `coarse` are empty, and the ends are those at which its states are looked at.
        rises: Action potentials at own compartments, ms after the start.
    """

    slot: Slot
    begin: DriveState
    end: DriveState
    plan: WindowPlan
    coarse: WindowPlan
    shared: Int[ndarray, " k"]
    ends: Float[ndarray, " K"]
    voltage: Float[ndarray, "K P"]
    ticks: Int[ndarray, " K"]
    channels: ChannelCourse | None = None
    rises: Rises = Rises.none(0)

    @property
    def bytes(self) -> int:
        """Memory that it takes on this rank."""
        parts = self.plan, self.coarse, self.voltage, () if self.channels is None else self.channels[1:]
        return sum(x.nbytes for x in jax.tree.leaves(parts))


class SlotVoltage(NamedTuple):
    """The voltage of a slot.

    Attributes:
        slot: The slot.
        begin: The drive at its start.
        end: The membrane at its end.
        times: Times from the slot's start on, ms, (S,).
        voltage: Voltage at these times, linear between them, of own compartments (of all that are needed, where it is
            given), mV, (S, P).
        moved: Largest movement of any compartment by every tick, mV, (T,).
        firing: Stretches in which action potentials last, anywhere.
    """

    slot: Slot
    begin: DriveState
    end: VoltageState
    times: Float[ndarray, " S"]
    voltage: Float[ndarray, "S P"]
    moved: Float[ndarray, " T"]
    firing: list[Stretch]

    @property
    def ticks(self) -> int:
        """Ticks of the slot."""
        return len(self.moved) - 1

    @property
    def tick(self) -> float:
        """Their spacing, ms."""
        return self.slot.duration / self.ticks


@dataclass(frozen=True)
class SlotSolver:
    """Solves a slot from a state of the drive.

    Attributes:
        cable: The membrane.
        sources: Currents that the field's peak (where there is one) and every clamp drive into every
            point, nA, one row each.
        stimulus: The pulses; None for none.
        onset: Onset of the first pulse, ms.
        steps: Lengths of the voltage's steps.
        constants: Constants of calcium and its channels.
        to_cells: Weights of the voltage's compartments in every cell, (N, P), rows add up to one.
        diffusion: Diffusion of the species on the cells.
        lengths: Lengths of the split windows.
        clamps: Current clamps in the order of their rows of `sources`.
        given: The voltage where it is not solved, on all compartments that it knows.
        releases: Calcium that comes into single cells; None for none.
        halo: Compartments that `to_cells` has columns for, where they are spread over ranks.
        channels: Differences between compartments in their calcium channels; None where there are none.
        impossible: The error of a voltage that no membrane survives, from where and when it is.
    """

    cable: CableEquation
    sources: Float[ndarray, "k points"] | Float[ndarray, " 0"]
    stimulus: Stimulus | None
    onset: float
    steps: VoltageStepRule
    constants: CalciumConstants
    to_cells: sparse.csr_matrix
    diffusion: Diffusion
    lengths: WindowLengths = field(default_factory=WindowLengths)
    clamps: tuple[CurrentClamp, ...] = ()
    given: GivenVoltage | None = None
    releases: CellSources | None = None
    halo: HaloVoltage | None = None
    channels: ChannelScale | None = None
    impossible: Callable[[str], InputError] = field(default=lambda where: InputError(f"the membrane goes to {where}"))

    def hear(self, values: Float[ndarray, "n ..."]) -> Float[ndarray, "P ..."]:
        """Values at own compartments and at others that it knows. Collective over all ranks."""
        return values if self.halo is None else self.halo.with_halo(values)

    def solve(self, slot: Slot, begin: DriveState, ends: Int[ndarray, " K"] | None = None) -> Motif:
        """The motif of a slot that starts from `begin`, with given windows or those of fixed lengths.

        Collective over all ranks.
        """
        return self.planned(self.course(slot, begin), ends)

    def planned(self, course: SlotVoltage, ends: Int[ndarray, " K"] | None = None) -> Motif:
        """A slot with its windows; every second one ends where those twice as long do. Collective."""
        slot = course.slot
        ends = self.lengths.ends(slot, course.firing) if ends is None else np.asarray(ends, int)
        shared = np.unique(np.append(np.arange(1, len(ends), 2), len(ends) - 1))
        most = max(1, round(_ROWS_APART / course.tick))
        influx = self.influx(course, table_edges([ends, ends[shared]], course.moved, most))
        return Motif(
            slot,
            course.begin,
            DriveState(course.end, self._agreed(influx.gates)),
            self._plan(ends, slot, influx),
            self._plan(ends[shared], slot, influx),
            shared,
            course.tick * ends,
            self._sampled(course, ends),
            ends,
            self._channels(course) if slot.coupled else None,
            self._rises(course),
        )

    def course(self, slot: Slot, begin: DriveState) -> SlotVoltage:
        """The voltage of a slot. Collective over all ranks."""
        ticks = self.lengths.ticks(slot)
        if self.given is not None:
            times = np.linspace(0.0, slot.duration, ticks * self.lengths.samples + 1)
            V = self.given.at(slot.start + times)
            end = given_state(self.cable, V[-1, : len(self.cable.own)])
        else:
            end, times, V = voltage_course(
                self.cable, begin.voltage, slot.start, slot.end, self.steps, self.sources, self.stimulus,
                self.onset, self.clamps, lambda moved: float(self._all(np.array([moved]))[0]),
            )  # fmt: skip
            self._check_possible(slot.start + times, V)
        at_ticks = _at(times, V, np.linspace(0.0, slot.duration, ticks + 1))
        changed = self._all(np.abs(np.diff(at_ticks, axis=0)).max(axis=1, initial=0.0))
        moved, tick = np.append(0.0, np.cumsum(changed)), slot.duration / ticks
        firing = stretches(self._all(firing_times(at_ticks, tick)), tick, self.lengths.settle)
        return SlotVoltage(slot, begin, end, times, V, moved, firing)

    def _check_possible(self, times: Float[ndarray, " S"], V: Float[ndarray, "S n"]) -> None:
        """Ends the run on all ranks where any of them has a voltage that no membrane survives."""
        where = beyond_all_membranes(times, V, self._site)
        error = None if where is None else self.impossible(where)
        if self.halo is not None:
            self.halo.communicator.agree(error)
        elif error is not None:
            raise error

    def _site(self, own: int) -> str:
        """What a compartment of this rank is called; this searches long, and is asked once."""
        return self.cable.compartments.sites[int(self.cable.own[own])].name

    def influx(self, course: SlotVoltage, edges: Int[ndarray, " T"] | None = None) -> InfluxTable:
        """The influx of a slot, its table with rows at some ticks or at all. Collective over all ranks."""
        edges = np.arange(course.ticks + 1) if edges is None else edges
        filled = np.pad(edges, (0, -len(edges) % _ROWS_AT_ONCE), mode="edge")
        influx = influx_of_samples(
            self._sampled(course, sample_ticks(filled)), self.constants, edges=filled,
            tick=self.constants.time_unit * course.tick, state=course.begin.gates, channels=self.channels,
        )  # fmt: skip
        if self.releases is None:
            return influx
        near = influx.sink @ self.to_cells[self.releases.cells].T
        released = self.releases.table(course.slot, influx, near)
        return CellInflux(**vars(influx), cells=len(self.releases.cells), released=released)

    def _rises(self, course: SlotVoltage) -> Rises:
        """Action potentials at own compartments."""
        pulses, length = ((), 0.0) if self.stimulus is None else (course.slot.pulses, self.stimulus.waveform.duration)
        return rises(course.times, course.voltage[:, : len(self.cable.own)], pulses, length)

    def _channels(self, course: SlotVoltage) -> ChannelCourse:
        """What channels do in a slot for coupled windows. Collective over all ranks."""
        return course_of_samples(
            self._sampled(course, sample_ticks(np.arange(course.ticks + 1))), self.constants,
            ticks=course.ticks, tick=self.constants.time_unit * course.tick, state=course.begin.gates,
            channels=self.channels,
        )  # fmt: skip

    def _sampled(self, course: SlotVoltage, ticks: Shaped[ndarray, " n"]) -> Float[ndarray, "n P"]:
        """The voltage at moments in ticks after the start, at own compartments and others that it knows."""
        V = _at(course.times, course.voltage, course.tick * ticks)
        return V if self.given is not None else self.hear(V.T).T

    def _all(self, values: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """The largest of all ranks."""
        if self.halo is None:
            return values
        largest: Float[ndarray, " n"] = np.max(self.halo.communicator.share(values), axis=0)
        return largest

    def _agreed(self, gates: Float[ndarray, "P gates"]) -> Float[ndarray, "P gates"]:
        """Gates as their owners have them, to the last bit."""
        return gates if self.halo is None else self.halo.with_halo(gates[: len(self.halo.own)])

    @cached_property
    def _terms(self) -> int:
        """Terms of the diffusion's series in all plans, so that they share compilations."""
        longest = 2.0 * max(self.lengths.longest, self.lengths.quiet) * self.constants.time_unit
        return max(_TERMS, self.diffusion.width(longest))

    def _plan(self, ends: Int[ndarray, " K"], slot: Slot, influx: InfluxTable) -> WindowPlan:
        if slot.coupled:
            return _NO_WINDOWS
        plan = plan_windows(ends, influx, self.diffusion, terms=self._terms)
        row = sum(x.nbytes for x in jax.tree.leaves(plan)) / len(ends)
        placed: WindowPlan = jax.device_put(padded(plan, _few_sizes(len(ends), row) - len(ends)))
        return placed


def given_state(cable: CableEquation, V: Float[ndarray, " n"]) -> VoltageState:
    """The membrane where its voltage is given (mV, of every own compartment): its gates stand still."""
    most = max((len(group.channels.gates) for group in cable.groups), default=0)
    return cable.state_of(np.column_stack([V, np.zeros((len(V), most))]), 0.0)


_NO_WINDOWS = WindowPlan(*(np.zeros(0),) * 2, *(InfluxWindow(*(np.zeros((0, 0)),) * 2),) * 2)  # type: ignore[arg-type]
"""The plan of a slot whose windows are not planned."""

_LEAST = 6
"""Motifs that are kept whatever they take: those of a train and of the pause after it."""

_TERMS = 24
"""Least number of terms of the diffusion's series."""


_LEAST_WINDOWS = 128
"""Windows of the plan of a small cell: those of a slot of 0.1 s."""

_SMALL = 4 * 2**20
"""Bytes of such a plan; a cache holds up to 48 motifs with two plans each."""

_ROWS_AT_ONCE = 96
"""Numbers of rows of a table are multiples of it: few compilations, little done in vain."""


def _few_sizes(count: int, row: float = math.inf) -> int:
    """The next of 128, 256 and so on: what is compiled once serves most slots, and their coarse ones.

    Windows that plans are padded with cost no time. Where they would cost memory, the next of 16, 64, 128 and so on.

    Args:
        count: Windows.
        row: Bytes of a window.
    """
    size = 16 if count <= 16 else max(64, 1 << (count - 1).bit_length())
    return max(size, _LEAST_WINDOWS) if row * _LEAST_WINDOWS <= _SMALL else size


def _at(times: Float[ndarray, " T"], values: Float[ndarray, "T P"], wanted: Float[ndarray, " n"]) -> ndarray:
    """Linear interpolation in time."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    share = (wanted - times[after - 1]) / (times[after] - times[after - 1])
    share = np.clip(share, 0.0, 1.0)[:, None]
    between: ndarray = (1.0 - share) * values[after - 1] + share * values[after]
    return between


@dataclass
class MotifCache:
    """The motifs that have been solved.

    Attributes:
        solver: Solves new ones.
        tolerance: Largest difference at the start with which a motif is reused: of gates, and of
            voltages in units of `VOLTAGE_RANGE`. 0: nothing is reused but what is the same to the bit.
        most: Motifs that are kept of every kind of slot, those used last.
        most_in_all: Motifs that are kept.
        most_bytes: Memory that they may take on a rank, if there are more than a few.
        windows: Seeks the windows of slots; None where their lengths are fixed.
        solved, reused: Slots so far.
        mismatch: Largest difference with which one was reused.
        communicator: All ranks, which reuse and solve together.
    """

    solver: SlotSolver
    tolerance: float = 1e-4
    most: int = 12
    most_in_all: int = 48
    most_bytes: float = 1.5e9
    windows: WindowCache | None = None
    solved: int = 0
    reused: int = 0
    mismatch: float = 0.0
    communicator: Communicator = field(default_factory=SerialCommunicator)
    _motifs: list[Motif] = field(default_factory=list)

    @property
    def starts(self) -> list[tuple[Slot, DriveState, Int[ndarray, " K"]]]:
        """From what all motifs in the cache can be solved again, with their windows; last the one used last."""
        return [(motif.slot, motif.begin, motif.ticks) for motif in self._motifs]

    def learn(self, starts: list[tuple[Slot, DriveState, Int[ndarray, " K"]]]) -> None:
        """Solves motifs again, from what another cache's `starts` have said."""
        self._motifs += [self.solver.solve(*start) for start in starts]

    def motif(self, slot: Slot, begin: DriveState, calcium: ReactionState | None = None) -> Motif:
        """What happens in a slot, solved or reused. Collective over all ranks.

        Args:
            slot: The slot.
            begin: The drive at its start.
            calcium: Calcium then, where windows are sought.
        """
        ends = None
        if self.windows is not None and calcium is not None:
            if self.windows.must_seek(slot):
                return self._sought(slot, begin, calcium)
            ends = self.windows.known[slot.kind].ends
        places = [place for place, motif in enumerate(self._motifs) if motif.slot.kind == slot.kind]
        if places:
            own = [distance(self._motifs[place].begin, begin) for place in places]
            distances = np.max(self.communicator.share(own), axis=0)
            nearest = int(np.argmin(distances))
            if distances[nearest] <= self.tolerance:
                self.reused += 1
                self.mismatch = max(self.mismatch, float(distances[nearest]))
                self._motifs.append(self._motifs.pop(places[nearest]))
                return self._motifs[-1]
        return self._kept(self.solver.solve(slot, begin, ends))

    def judge(self, slot: Slot, estimate: float) -> None:
        """Takes note of a slot's own error estimate, relative to its distance from rest."""
        if self.windows is not None:
            self.windows.judge(slot, estimate)

    def _sought(self, slot: Slot, begin: DriveState, calcium: ReactionState) -> Motif:
        """A motif whose windows are sought; those of its kind that have others are forgotten."""
        assert self.windows is not None
        course = self.solver.course(slot, begin)
        ends = self.windows.seek(slot, self.solver.influx(course), calcium, course.firing)
        self._motifs = [motif for motif in self._motifs if motif.slot.kind != slot.kind]
        if self._never_again:
            self.windows.known.pop(slot.kind)
        return self._kept(self.solver.planned(course, ends))

    @property
    def _never_again(self) -> bool:
        """Whether no slot does what another did."""
        return self.solver.given is not None and self.solver.given.never_repeats

    def _kept(self, motif: Motif) -> Motif:
        self.solved += 1
        if not self._never_again:
            same = [place for place, other in enumerate(self._motifs) if other.slot.kind == motif.slot.kind]
            if len(same) == self.most:
                del self._motifs[same[0]]
            self._motifs = [*self._motifs, motif][-self.most_in_all :]
            self._forget_what_is_too_much()
        return motif

    def _forget_what_is_too_much(self) -> None:
        """Lets go of the motifs not used for longest, the same ones on every rank."""
        own = [motif.bytes for motif in self._motifs]
        sizes = np.max(self.communicator.share(own), axis=0)
        while len(self._motifs) > _LEAST and sizes.sum() > self.most_bytes:
            del self._motifs[0]
            sizes = sizes[1:]


def distance(one: DriveState, other: DriveState) -> float:
    """Largest difference of gates, and of voltages in units of `VOLTAGE_RANGE`; ∞ where gates lag differently."""
    if one is other:
        return 0.0
    if abs(float(one.voltage.lag) - float(other.voltage.lag)) > 1e-6:
        return np.inf
    parts = [(one.voltage.V, other.voltage.V, VOLTAGE_RANGE), (one.gates, other.gates, 1.0)]
    parts += [(a, b, 1.0) for a, b in zip(one.voltage.gates, other.voltage.gates, strict=True)]
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max(initial=0.0)) / unit for a, b, unit in parts)
