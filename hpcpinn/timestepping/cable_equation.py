"""The membrane voltage on a tree of compartments (EQUATIONS §2), implicit and of second order.

    c_m V_t = (1/(2πa)) ∂s[(πa²/R_i) ∂s(V + ψ)] − I_ion(V, gates) + I_app

Strang splitting: gates live half a step away from the voltage and move with the exact exponential
of a constant voltage, the voltage moves with constant gates by the trapezoidal rule (backward
Euler where a step asks for it): both are linear. A step costs one elimination on the tree.
Inside: nF, µS, nA, mV, ms; and arrays of points in the order of the elimination.

Several cells are one forest of compartments, and compartments may be spread over ranks: a rank holds
its own and takes part in the elimination of all (`tree_shares`).
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.core.pytrees import traced
from hpcpinn.errors import InputError, SolveError
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.parallel.threads import loop_options
from hpcpinn.physics import channel_sets
from hpcpinn.physics.channel_sets import ChannelSet
from hpcpinn.physics.membrane_constants import CableConstants, FieldConstants
from hpcpinn.timestepping.point_owners import compartment_near, owner_of_points
from hpcpinn.timestepping.pulse_steps import Steps
from hpcpinn.timestepping.tree_shares import TreeShare, share_tree

traced(CableConstants)
traced(FieldConstants)

Values = Any
"""Numbers of points, of NumPy or of JAX: then constants are traced."""

_PER_AREA = 1e-5
"""nF per µF/cm² µm², µS per mS/cm² µm², nA per µA/cm² µm²."""
_US_OHM_CM_PER_UM = 100.0
"""µS per 1/(Ω·cm · 1/µm)."""
_STEPS_AT_ONCE = 1024
"""Steps of one compiled call: all numbers of steps share one compilation."""


class VoltageState(NamedTuple):
    """Voltage and gates of a rank's points.

    Attributes:
        V: Voltage at all points in the order of the elimination, mV; 0 at junctions, which have no memory.
        gates: Gates of every channel set, (gates, its compartments).
        lag: Time by which the gates are behind the voltage, ms.
    """

    V: Float[Array, " points"]
    gates: tuple[Float[Array, "g n"], ...]
    lag: Float[Array, ""]


@dataclass(frozen=True)
class ChannelGroup:
    """Compartments of a rank with the same channels.

    Attributes:
        channels: The channels.
        rows: Positions of the compartments in the order of the elimination.
        area: Membrane of the compartments in units that make mS/cm² µS, (n,).
        compartments: Numbers of the compartments among all of the forest, (n,).
        factors: Factors of the currents' conductances, (n,), None where one is alike everywhere; empty: all are.
    """

    channels: ChannelSet
    rows: Int[ndarray, " n"]
    area: Float[ndarray, " n"]
    compartments: Int[ndarray, " n"]
    factors: channel_sets.Factors = ()


class CableEquation:
    """The cable equation of a rank's compartments. What steps or solves is collective over all ranks.

    Attributes:
        compartments: Geometry of all cells.
        own: Compartments of this rank, increasing.
        constants: Constants of the cable; R_i and C_m are one number or one per compartment.
    """

    def __init__(
        self,
        compartments: Compartments,
        channels: Sequence[ChannelSet],
        constants: CableConstants,
        *,
        profiles: Mapping[str, Float[ndarray, " n"]] = MappingProxyType({}),
        owner: Int[ndarray, " n"] | None = None,
        communicator: Communicator | None = None,
    ):
        """Sets up the equation; not collective.

        Args:
            compartments: Geometry of all cells.
            channels: Channels of every compartment.
            constants: Constants of the cable; R_i and C_m are one number or one per compartment.
            profiles: Factors of conductances that vary along the cells, by ``set.current``, (n,).
            owner: Rank of every compartment, (n,); None: all are this rank's.
            communicator: All ranks.

        Raises:
            InputError: R_i or C_m is not positive.
        """
        for name in ("R_i", "C_m"):
            value = getattr(constants, name)
            if not np.all(np.isfinite(value) & (np.asarray(value) > 0.0)):
                raise InputError(f"cable: {name} = {value}; give a positive number")
        communicator = communicator or SerialCommunicator()
        n = compartments.count
        owner = np.full(n, communicator.rank) if owner is None else np.asarray(owner, int)
        self.compartments = compartments
        self.own = np.flatnonzero(owner == communicator.rank)
        self._communicator = communicator
        self._share: TreeShare = share_tree(compartments.parent, owner_of_points(compartments, owner), communicator)
        area = _PER_AREA * compartments.area
        self._groups = self._grouped(channels, area, profiles)
        self._rest_guess = float((area / area.sum()) @ np.array([chosen.rest for chosen in channels]))
        self._measure(constants)

    def _measure(self, constants: CableConstants) -> None:
        """Capacitances and couplings of all points, of constants that may be traced."""
        cells, near, has_parent = self.compartments, compartment_near(self.compartments), self.compartments.parent >= 0
        area = np.zeros(cells.n_points)
        area[: cells.count] = _PER_AREA * cells.area
        axial = np.where(has_parent, cells.axial, 1.0)

        def of_points(value: Values) -> Values:
            xp = _numpy_of(value)
            return xp.broadcast_to(xp.asarray(value, float), cells.count)[near]

        coupling = _US_OHM_CM_PER_UM / (of_points(constants.R_i) * axial) * has_parent
        up = cells.parent[has_parent]
        sums = _added(np.zeros(cells.n_points), up, coupling[has_parent])
        self.constants = constants
        self._point_coupling = coupling
        parts = (area * of_points(constants.C_m), coupling, coupling + sums)
        self._capacitance, self._coupling, self._axial_sum = (jax.device_put(self._of_own(part)) for part in parts)

    def with_constants(
        self, constants: CableConstants, sets: Mapping[str, ChannelSet] = MappingProxyType({})
    ) -> "CableEquation":
        """The same with other constants, which may be traced: for `rest_near`, `voltages` and `field_source`.

        Args:
            constants: Constants of the cable.
            sets: Channel sets that take the place of those of their names.
        """
        other = copy(self)
        for kept in ("_march", "_rises", "_newton_step", "_steady_state"):
            other.__dict__.pop(kept, None)
        other._groups = tuple(replace(g, channels=sets.get(g.channels.name, g.channels)) for g in self._groups)
        other._measure(constants)
        return other

    def rest_near(self, state: VoltageState, steps: int = 12) -> VoltageState:
        """Rest, by so many of Newton's steps from a voltage that is nearly at it. Traceable."""

        def step(_: Any, V: Array) -> Array:
            return self._rest_step(V)[0]

        # Junctions have no memory, but rest they have: they are where the axial current through them is none.
        V = jax.lax.fori_loop(0, steps, step, jnp.where(self._capacitance > 0.0, state.V, self._rest_guess))
        return VoltageState(self._remembered(V), self._steady_gates(V), jnp.zeros(()))

    def voltages(
        self,
        state: VoltageState,
        steps: tuple[Float[Array, "steps ..."], ...],
        last: Int[Array, " T"],
        sources: Float[Array, "k points"],
    ) -> Float[Array, "T n"]:
        """Voltage of the own compartments after some of the steps. Traceable.

        Args:
            state: Voltage and gates at the start.
            steps: Lengths, implicitness and drives, as in `Steps`.
            last: Numbers of the steps after which it is wanted, increasing.
            sources: Current of every source into every point at drive 1, nA, (k, points), as in `march`.
        """

        def one(state: VoltageState, span: tuple[Array, Array]) -> tuple[VoltageState, Array]:
            def step(index: Array, state: VoltageState) -> VoltageState:
                length, implicit, drive = (column[index] for column in steps)
                return self._step(state, (length, implicit, drive), sources)

            state = jax.lax.fori_loop(span[0], span[1], step, state)
            return state, state.V[self.rows]

        ends = last + 1
        return jax.lax.scan(one, state, (jnp.concatenate([jnp.zeros(1, int), ends[:-1]]), ends))[1]

    def _of_own(self, values: Values) -> Values:
        """Values of all points at this rank's, zero at ghosts: their owners have them."""
        own: Values = _numpy_of(values).where(self._share.is_own, values[self._share.order], 0.0)
        return own

    def _grouped(
        self, channels: Sequence[ChannelSet], area: Float[ndarray, " n"], profiles: Mapping[str, Float[ndarray, " n"]]
    ) -> tuple[ChannelGroup, ...]:
        """All sets of the forest, in the order in which they first come; some may have no row here."""
        names = np.array([chosen.name for chosen in channels])
        by_name = {chosen.name: chosen for chosen in channels}
        groups = []
        for name, chosen in by_name.items():
            here = self.own[names[self.own] == name]
            rows = self._share.positions(here)
            by_row = np.argsort(rows)
            own = here[by_row]
            varying = [profiles.get(f"{name}.{current.name}") for current in chosen.currents]
            factors = tuple(None if factor is None else factor[own] for factor in varying)
            is_uniform = all(factor is None for factor in factors)
            groups.append(ChannelGroup(chosen, rows[by_row], area[own], own, () if is_uniform else factors))
        return tuple(groups)

    @cached_property
    def rows(self) -> Int[ndarray, " n"]:
        """Position of every own compartment in the order of the elimination."""
        return self._share.positions(self.own)

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Own compartments by channels, in the order of `VoltageState.gates`."""
        return self._groups

    def field_source(self, psi: Values) -> Values:
        """The axial current that a quasipotential (mV) of all points drives into this rank's, nA."""
        parent = self.compartments.parent
        child = np.flatnonzero(parent >= 0)
        current = self._point_coupling[child] * (psi[parent[child]] - psi[child])
        return self._of_own(_added(_added(np.zeros(len(parent)), child, current), parent[child], -current))

    def clamp_source(self, compartment: int, current: float) -> Float[ndarray, " m"]:
        """A current (nA) into one compartment, whoever owns it."""
        into = np.zeros(self.compartments.n_points)
        into[compartment] = current
        own: Float[ndarray, " m"] = self._of_own(into)
        return own

    def uniform_state(self, V: float) -> VoltageState:
        """One voltage everywhere, gates steady there."""
        voltage = self._everywhere(V)
        return VoltageState(self._remembered(voltage), self._steady_gates(voltage), jnp.zeros(()))

    def _everywhere(self, V: float) -> Float[Array, " points"]:
        """One voltage at all points; strongly typed, so that what follows is compiled once."""
        voltages: Float[Array, " points"] = jax.device_put(np.full(len(self._share.order), float(V)))
        return voltages

    def resting_state(self, tolerance: float = 1e-10, most: int = 50) -> VoltageState:
        """Rest: the voltage at which nothing changes, by Newton's method from the sets' own rests.

        Raises:
            SolveError: There is no rest near them.
        """
        voltage = self._everywhere(self._rest_guess)
        for _ in range(most):
            voltage, largest = self._newton_step(voltage)
            if not np.isfinite(float(largest)):
                break
            if float(largest) < tolerance:
                return self._steady_state(voltage)
        raise SolveError(
            "voltage: these channels have no resting state near their own; give a start voltage (voltage.constant)"
        )

    def rows_of(self, state: VoltageState) -> Float[ndarray, "n quantities"]:
        """Voltage and gates of every own compartment, one row each, zeros where a set has fewer gates."""
        most = max((len(own) for own in state.gates), default=0)
        rows = np.zeros((len(self.own), 1 + most))
        rows[:, 0] = self.voltage(state)
        for group, own in zip(self._groups, state.gates, strict=True):
            rows[np.searchsorted(self.own, group.compartments), 1 : 1 + len(own)] = np.asarray(own).T
        return rows

    def state_of(self, rows: Float[ndarray, "n quantities"], lag: float) -> VoltageState:
        """The state that `rows_of` made rows of."""
        V = np.zeros(len(self._share.order))
        V[self.rows] = rows[:, 0]
        gates = []
        for group in self._groups:
            own = rows[np.searchsorted(self.own, group.compartments)]
            gates.append(np.ascontiguousarray(own[:, 1 : 1 + len(group.channels.gates)].T))
        return VoltageState(*jax.device_put((V, tuple(gates), np.asarray(lag, float))))

    @cached_property
    def _newton_step(self) -> Callable[[Float[Array, " points"]], tuple[Float[Array, " points"], Float[Array, ""]]]:
        return jax.jit(self._rest_step)

    def _rest_step(self, V: Float[Array, " points"]) -> tuple[Float[Array, " points"], Float[Array, ""]]:
        """The voltage after Newton's step towards rest, and the largest change of all ranks."""

        def ionic(V: Float[Array, " points"]) -> Float[Array, " points"]:
            total = jnp.zeros_like(V)
            for group in self._groups:
                own = V[group.rows]
                gates = channel_sets.steady(group.channels, own, self.constants.temperature)
                density = channel_sets.current_density(group.channels, own, gates, group.factors)
                total = total.at[group.rows].set(group.area * density)
            return total

        current, slope = jax.jvp(ionic, (V,), (jnp.ones_like(V),))
        change = self._share.solve(self._axial_sum + slope, self._coupling, -current - self._axial(V))
        largest = self._communicator.max(jnp.max(jnp.abs(change), initial=0.0))
        return V + jnp.clip(change, -5.0, 5.0), largest

    @cached_property
    def _steady_state(self) -> Callable[[Float[Array, " points"]], VoltageState]:
        def run(V: Float[Array, " points"]) -> VoltageState:
            return VoltageState(self._remembered(V), self._steady_gates(V), jnp.zeros(()))

        return jax.jit(run)

    def _axial(self, V: Float[Array, " points"]) -> Float[Array, " points"]:
        """Axial current out of every point, nA; at ghosts what their children here make of it."""
        up = np.maximum(self._share.parent, 0)
        current = self._coupling * (V - V[up])
        total: Float[Array, " points"] = current - jnp.zeros_like(V).at[up].add(current)
        return total

    def _steady_gates(self, V: Float[Array, " points"]) -> tuple[Float[Array, "g n"], ...]:
        celsius = self.constants.temperature
        return tuple(channel_sets.steady(group.channels, V[group.rows], celsius) for group in self._groups)

    def _ionic(self, gates: tuple[Float[Array, "g n"], ...]) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
        """Conductance (µS) and its drive (nA) at every point."""
        parts = []
        for group, own in zip(self._groups, gates, strict=True):
            g, drive = channel_sets.conductance(group.channels, own, group.factors)
            g = jnp.broadcast_to(g, group.rows.shape)
            parts.append(group.area * jnp.stack([g, jnp.broadcast_to(drive, group.rows.shape)]))
        spread = jnp.concatenate([*parts, jnp.zeros((2, 1))], axis=1)[:, self._from_groups]
        return spread[0], spread[1]

    @cached_property
    def _from_groups(self) -> Int[ndarray, " points"]:
        """Where every point finds its conductance among those of the groups; junctions find zero."""
        rows = np.concatenate([group.rows for group in self._groups])
        place = np.full(len(self._share.order), len(rows))
        place[rows] = np.arange(len(rows))
        return place

    def _step(
        self, state: VoltageState, step: tuple[Array, Array, Array], sources: Float[Array, "k points"]
    ) -> VoltageState:
        dt, implicit, drive = step
        since = state.lag + 0.5 * dt
        gates = tuple(
            channel_sets.advance(group.channels, own, state.V[group.rows], since, self.constants.temperature)
            for group, own in zip(self._groups, state.gates, strict=True)
        )
        g, current = self._ionic(gates)
        inertia = self._capacitance / (implicit * dt)
        V = self._share.solve(
            self._axial_sum + inertia + g,
            self._coupling,
            inertia * state.V + current + drive @ sources,
        )
        # The implicit value is that of the middle of a trapezoidal step.
        end = V + (V - state.V) * (1.0 / implicit - 1.0)
        return VoltageState(self._remembered(end), gates, 0.5 * dt)

    def _remembered(self, V: Float[Array, " points"]) -> Float[Array, " points"]:
        return jnp.where(self._capacitance > 0.0, V, 0.0)

    @cached_property
    def _march(self) -> Callable[..., tuple[VoltageState, Float[Array, "n r"]]]:
        return jax.jit(self._steps, compiler_options=loop_options(len(self._capacitance)))

    def _steps(
        self,
        state: VoltageState,
        steps: tuple[Array, ...],
        count: Array,
        sources: Float[Array, "k points"],
        record: Int[Array, " r"],
    ) -> tuple[VoltageState, Float[Array, "n r"]]:
        def one(index: Array, carry: tuple[VoltageState, Array]) -> tuple[VoltageState, Array]:
            state, rows = carry
            length, implicit, drive = (column[index] for column in steps)
            state = self._step(state, (length, implicit, drive), sources)
            return state, rows.at[index].set(state.V[record])

        rows = jnp.zeros((len(steps[0]), len(record)))
        marched: tuple[VoltageState, Float[Array, "n r"]] = jax.lax.fori_loop(0, count, one, (state, rows))
        return marched

    def march(
        self,
        state: VoltageState,
        steps: Steps,
        sources: Float[ndarray, "k points"] | Float[ndarray, " 0"],
        record: Sequence[int] | Int[ndarray, " r"] | None = None,
    ) -> tuple[VoltageState, Float[ndarray, "n r"]]:
        """Takes the steps.

        Args:
            state: Voltage and gates at the start of the steps.
            steps: Lengths of the steps, and their drive with one column per source.
            sources: Current of every source into every point at drive 1, nA (`field_source`,
                `clamp_source`).
            record: Compartments of this rank to record, as positions among `own`; None records all.

        Returns:
            The state at the end, and the voltage at the end of every step, mV.
        """
        wanted = self.rows if record is None else self.rows[np.asarray(record, int)]
        sources = np.reshape(sources, (steps.drive.shape[1], len(self._share.order)))
        kept = [np.zeros((0, len(wanted)))]
        for part, count in steps.in_parts(_STEPS_AT_ONCE):
            state, V = self._march(state, part, count, sources, wanted)
            kept.append(np.asarray(V)[:count])
        return state, np.concatenate(kept)

    @cached_property
    def _rises(self) -> Callable[..., tuple[VoltageState, Float[Array, " n"], Float[Array, ""]]]:
        return jax.jit(self._steps_to_rises, compiler_options=loop_options(len(self._capacitance)))

    def _steps_to_rises(
        self,
        begin: tuple[VoltageState, Float[Array, " n"], Float[Array, ""]],
        steps: tuple[Array, ...],
        count: Array,
        sources: Float[Array, "k points"],
        level: Float[Array, ""],
    ) -> tuple[VoltageState, Float[Array, " n"], Float[Array, ""]]:
        rows = self.rows

        def one(index: Array, carry: tuple[VoltageState, Array, Array]) -> tuple[VoltageState, Array, Array]:
            state, first, t = carry
            length, implicit, drive = (column[index] for column in steps)
            after = self._step(state, (length, implicit, drive), sources)
            before, now = state.V[rows], after.V[rows]
            rises = (before < level) & (now >= level)
            share = (level - before) / jnp.where(rises, now - before, 1.0)
            first = jnp.where(rises & jnp.isinf(first), t + share * length, first)
            return after, first, t + length

        reached: tuple[VoltageState, Float[Array, " n"], Float[Array, ""]] = jax.lax.fori_loop(0, count, one, begin)
        return reached

    def first_rises(
        self,
        state: VoltageState,
        steps: Steps,
        sources: Float[ndarray, "k points"] | Float[ndarray, " 0"],
        level: float,
    ) -> Float[ndarray, " n"]:
        """When the voltage of every own compartment first rises through a level, ms after the start; infinite: never.

        Linear within a step; nothing is kept of the course itself.

        Args:
            state: Voltage and gates at the start of the steps.
            steps: Lengths of the steps, and their drive with one column per source.
            sources: Currents of the sources, as in `march`.
            level: Voltage, mV.
        """
        sources = np.reshape(sources, (steps.drive.shape[1], len(self._share.order)))
        reached: Any = (state, np.full(len(self.own), np.inf), np.zeros(()))
        for part, count in steps.in_parts(_STEPS_AT_ONCE):
            reached = self._rises(reached, part, count, sources, float(level))
        return np.asarray(reached[1])

    def voltage(self, state: VoltageState) -> Float[ndarray, " n"]:
        """Voltage of every own compartment, mV."""
        own: Float[ndarray, " n"] = np.asarray(state.V)[self.rows]
        return own


def _numpy_of(values: Any) -> Any:
    """JAX's own NumPy for its arrays, which may be traced, and the plain one for others."""
    return jnp if isinstance(values, jax.Array) else np


def _added(into: Values, rows: Int[ndarray, " r"], values: Values) -> Values:
    """The array with values added at rows, of which some may be the same, one after the other."""
    if isinstance(values, jax.Array):
        return jnp.asarray(into).at[rows].add(values)
    np.add.at(into, rows, values)
    return into
