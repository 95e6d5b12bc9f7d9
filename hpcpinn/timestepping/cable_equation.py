"""The membrane voltage on a tree of compartments (EQUATIONS §2), implicit and of second order.

    c_m V_t = (1/(2πa)) ∂s[(πa²/R_i) ∂s(V + ψ)] − I_ion(V, gates) + I_app

Strang splitting: gates live half a step away from the voltage and move with the exact exponential
of a constant voltage, the voltage moves with constant gates by the trapezoidal rule (backward
Euler where a step asks for it): both are linear. A step costs one elimination on the tree.
Inside: nF, µS, nA, mV, ms; and arrays of points in the order of the elimination.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError, SolveError
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.physics import channel_sets
from hpcpinn.physics.channel_sets import ChannelSet
from hpcpinn.timestepping.pulse_steps import Steps
from hpcpinn.timestepping.tree_elimination import Elimination, plan_elimination

_PER_AREA = 1e-5
"""nF per µF/cm² µm², µS per mS/cm² µm², nA per µA/cm² µm²."""
_US_OHM_CM_PER_UM = 100.0
"""µS per 1/(Ω·cm · 1/µm)."""


class VoltageState(NamedTuple):
    """Voltage and gates.

    Attributes:
        V: At all points in the order of the elimination, mV; at junctions of the last step's.
        gates: Per channel set, (gates, its compartments).
        lag: How far the gates are behind the voltage, ms.
    """

    V: Float[Array, " points"]
    gates: tuple[Float[Array, "g n"], ...]
    lag: Float[Array, ""]


@dataclass(frozen=True)
class Group:
    """Compartments with the same channels.

    Attributes:
        channels: The channels.
        rows: Positions of the compartments in the order of the elimination.
        area: Their membrane in units that make mS/cm² µS.
    """

    channels: ChannelSet
    rows: Int[ndarray, " n"]
    area: Float[ndarray, " n"]


class CableEquation:
    """The cable equation of one cell.

    Attributes:
        compartments: Its geometry.
    """

    def __init__(
        self,
        compartments: Compartments,
        channels: Sequence[ChannelSet],
        R_i: float,
        C_m: float,
        celsius: float | None = None,
    ):
        """Arguments: the channels of every compartment, Ω·cm, µF/cm², °C (None: each set's own).

        Raises:
            InputError: R_i or C_m is not positive.
        """
        for name, value in (("R_i", R_i), ("C_m", C_m)):
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"cable: {name} = {value}; give a positive number")
        self.compartments = compartments
        self._celsius = celsius
        self._plan: Elimination = plan_elimination(compartments.parent)
        order, n = self._plan.order, compartments.count
        area = np.zeros(compartments.n_points)
        area[:n] = _PER_AREA * compartments.area
        self._capacitance = (C_m * area)[order]
        has_parent = compartments.parent >= 0
        axial = np.where(has_parent, compartments.axial, 1.0)
        coupling = np.where(has_parent, _US_OHM_CM_PER_UM / (R_i * axial), 0.0)
        self._coupling = coupling[order]
        up = compartments.parent[has_parent]
        self._axial_sum = (coupling + np.bincount(up, coupling[has_parent], len(coupling)))[order]
        self._point_coupling = coupling
        self._groups = self._grouped(channels, area[:n])

    def _grouped(self, channels: Sequence[ChannelSet], area: Float[ndarray, " n"]) -> tuple[Group, ...]:
        names = np.array([chosen.name for chosen in channels])
        by_name = {chosen.name: chosen for chosen in channels}
        groups = []
        for name, chosen in by_name.items():
            own = np.flatnonzero(names == name)
            rows = self._plan.position[own]
            by_row = np.argsort(rows)
            groups.append(Group(chosen, rows[by_row], area[own[by_row]]))
        return tuple(groups)

    @cached_property
    def rows(self) -> Int[ndarray, " n"]:
        """Position of every compartment in the order of the elimination."""
        return self._plan.position[: self.compartments.count]

    def field_source(self, psi: Float[ndarray, " points"]) -> Float[ndarray, " points"]:
        """The axial current that a quasipotential (mV) drives into every point, nA; it adds up to zero."""
        parent = self.compartments.parent
        child = np.flatnonzero(parent >= 0)
        current = self._point_coupling[child] * (psi[parent[child]] - psi[child])
        into = np.zeros(len(parent))
        into[child] += current
        np.subtract.at(into, parent[child], current)
        return into[self._plan.order]

    def clamp_source(self, compartment: int, current: float) -> Float[ndarray, " points"]:
        """A current (nA) into one compartment."""
        into = np.zeros(self.compartments.n_points)
        into[self.rows[compartment]] = current
        return into

    def uniform_state(self, V: float) -> VoltageState:
        """One voltage everywhere, gates steady there."""
        voltage = jnp.full(self.compartments.n_points, float(V))
        return VoltageState(voltage, self._steady_gates(voltage), jnp.zeros(()))

    def resting_state(self, tolerance: float = 1e-10, most: int = 50) -> VoltageState:
        """Rest: the voltage at which nothing changes, by Newton's method from the sets' own rests.

        Raises:
            SolveError: There is no rest near them.
        """
        V = np.zeros(self.compartments.n_points)
        weight = sum(group.area.sum() for group in self._groups)
        V[:] = sum(group.area.sum() * group.channels.rest for group in self._groups) / weight
        voltage, step = jnp.asarray(V), self._newton_step
        for _ in range(most):
            change = step(voltage)
            voltage = voltage + jnp.clip(change, -5.0, 5.0)
            if not bool(jnp.all(jnp.isfinite(voltage))):
                break
            if float(jnp.abs(change).max()) < tolerance:
                return VoltageState(voltage, self._steady_gates(voltage), jnp.zeros(()))
        raise SolveError(
            "voltage: these channels have no resting state near their own; give a start voltage (voltage.constant)"
        )

    @cached_property
    def _newton_step(self):
        def ionic(V):
            total = jnp.zeros_like(V)
            for group in self._groups:
                own = V[group.rows]
                density = channel_sets.current_density(
                    group.channels, own, channel_sets.steady(group.channels, own)
                )
                total = total.at[group.rows].set(group.area * density)
            return total

        def step(V):
            current, slope = jax.jvp(ionic, (V,), (jnp.ones_like(V),))
            return self._plan.solve(
                self._axial_sum + slope, jnp.asarray(self._coupling), -current - self._axial(V)
            )

        return jax.jit(step)

    def _axial(self, V: Float[Array, " points"]) -> Float[Array, " points"]:
        """Axial current out of every point, nA."""
        parent = self.compartments.parent[self._plan.order]
        up = np.where(parent >= 0, self._plan.position[parent], 0)
        current = self._coupling * (V - V[up])
        return current - jnp.zeros_like(V).at[up].add(current)

    def _steady_gates(self, V: Float[Array, " points"]) -> tuple[Float[Array, "g n"], ...]:
        return tuple(channel_sets.steady(group.channels, V[group.rows]) for group in self._groups)

    def _ionic(
        self, gates: tuple[Float[Array, "g n"], ...]
    ) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
        """Conductance (µS) and its drive (nA) at every point."""
        parts = []
        for group, own in zip(self._groups, gates, strict=True):
            g, drive = channel_sets.conductance(group.channels, own)
            g = jnp.broadcast_to(g, group.rows.shape)
            parts.append(group.area * jnp.stack([g, jnp.broadcast_to(drive, group.rows.shape)]))
        spread = jnp.concatenate([*parts, jnp.zeros((2, 1))], axis=1)[:, self._from_groups]
        return spread[0], spread[1]

    @cached_property
    def _from_groups(self) -> Int[ndarray, " points"]:
        """Where every point finds its conductance among those of the groups; junctions find zero."""
        rows = np.concatenate([group.rows for group in self._groups])
        place = np.full(self.compartments.n_points, len(rows))
        place[rows] = np.arange(len(rows))
        return place

    def _step(
        self, state: VoltageState, step: tuple[Array, Array, Array], sources: Float[Array, "k points"]
    ) -> VoltageState:
        dt, implicit, drive = step
        since = state.lag + 0.5 * dt
        gates = tuple(
            channel_sets.advance(group.channels, own, state.V[group.rows], since, self._celsius)
            for group, own in zip(self._groups, state.gates, strict=True)
        )
        g, current = self._ionic(gates)
        inertia = self._capacitance / (implicit * dt)
        V = self._plan.solve(
            self._axial_sum + inertia + g,
            jnp.asarray(self._coupling),
            inertia * state.V + current + drive @ sources,
        )
        # The implicit value is that of the middle of a trapezoidal step; junctions have no memory.
        further = jnp.where(self._capacitance > 0.0, (V - state.V) * (1.0 / implicit - 1.0), 0.0)
        return VoltageState(V + further, gates, 0.5 * dt)

    @partial(jax.jit, static_argnums=0)
    def _march(
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
        return jax.lax.fori_loop(0, count, one, (state, rows))

    def march(
        self,
        state: VoltageState,
        steps: Steps,
        sources: Float[ndarray, "k points"],
        record: Sequence[int] | Int[ndarray, " r"] | None = None,
    ) -> tuple[VoltageState, Float[ndarray, "n r"]]:
        """Takes the steps.

        Args:
            state: At their start.
            steps: Their drive has one column per source.
            sources: Current of every source into every point at drive 1, nA (`field_source`,
                `clamp_source`).
            record: Compartments to record; None records all.

        Returns:
            The state at the end, and the voltage at the end of every step, mV.
        """
        count = len(steps.length)
        # Numbers of steps that differ little share one compilation.
        room = -count % max(64, 2 ** max(0, count.bit_length() - 3))
        padded = tuple(jnp.asarray(np.concatenate([a, np.ones((room, *a.shape[1:]))])) for a in steps)
        wanted = self.rows if record is None else self.rows[np.asarray(record, int)]
        sources = np.reshape(sources, (steps.drive.shape[1], self.compartments.n_points))
        state, V = self._march(state, padded, count, jnp.asarray(sources), jnp.asarray(wanted))
        return state, np.asarray(V[:count])

    def voltage(self, state: VoltageState) -> Float[ndarray, " n"]:
        """Voltage of every compartment, mV."""
        return np.asarray(state.V)[self.rows]
