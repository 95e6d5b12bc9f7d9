"""What drives the cell from outside: voltage, synaptic releases, fluxes at free ends.

Times in internal units (s; dimensionless for `seed`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.reference import membrane
from hpcpinn.reference.mesh import Mesh


@dataclass(frozen=True)
class VoltageTable:
    """Voltage at sites, linear between times, spread to the cells by fixed weights.

    Attributes:
        times: Increasing; constant before the first and after the last.
        values: Voltage at the sites, mV.
        weights: Called with the mesh, returns the (N, S) weights of the sites in each cell; None
            means one column per cell.
    """

    times: Float[ndarray, " T"]
    values: Float[ndarray, "T S"]
    weights: Callable[[Mesh], sparse.spmatrix | ndarray] | None = None


@dataclass(frozen=True)
class Synapse:
    """One release: flux·(1 − (t − start)/duration) into a patch of membrane (EQUATIONS §1).

    Attributes:
        patch: Pieces of cable as (frustum, first fraction, last fraction).
        start, duration: When; an infinite duration is a constant flux.
        flux: Flux density at the start, µM·µm/s.
    """

    patch: tuple[tuple[int, float, float], ...]
    start: float
    duration: float
    flux: float


@dataclass(frozen=True)
class EndFlux:
    """Given flux density at a free end, positive into the cable: D ∂s c (inward) = flux(t).

    Attributes:
        node: Node of the cable, a free end.
        flux: A number, or a smooth function of time.
        start, end: Zero outside.
    """

    node: int
    flux: float | Callable[[float], float]
    start: float = 0.0
    end: float = np.inf

    def at(self, t: float) -> float:
        return float(self.flux(t)) if callable(self.flux) else self.flux


@dataclass(frozen=True)
class Forcing:
    """Everything that acts on the cell.

    Attributes:
        voltage: mV, one number or a table.
        synapses: The releases.
        ends: Fluxes at free ends.
        channel: Channel density relative to `vdcc_density`, one number or one per frustum.
    """

    voltage: float | VoltageTable = -70.0
    synapses: tuple[Synapse, ...] = ()
    ends: tuple[EndFlux, ...] = ()
    channel: float | Float[ndarray, " F"] = 1.0

    def breakpoints(self) -> Float[ndarray, " B"]:
        """Times at which the right-hand side jumps or bends by itself; steps end there."""
        times = [t for s in self.synapses for t in (s.start, s.start + s.duration)]
        times += [t for e in self.ends for t in (e.start, e.end)]
        return np.unique([t for t in times if np.isfinite(t)])


@dataclass(frozen=True)
class Drive:
    """The forcing at one instant: dc/dt gets ``source − sink·c``.

    Attributes:
        source: 1/s·µM.
        sink: 1/s.
    """

    source: Float[ndarray, " N"]
    sink: Float[ndarray, " N"]


@dataclass(frozen=True)
class Gated:
    """Gate states at one instant; the solver keeps those of the last accepted step."""

    time: float
    states: list[ndarray]


class Driver:
    """The forcing on one mesh; voltage and gates are advanced ahead of the calcium.

    Args:
        span: First and last time of the run.
    """

    # A step that jumps a spike between its stages would not see it: one step may cross at most
    # this much change of voltage. Gates move in finer steps still.
    step_travel = 40.0
    gate_travel = 4.0

    def __init__(self, forcing: Forcing, mesh: Mesh, k: CalciumConstants, start: float):
        self._forcing, self._k = forcing, k
        self._per_volume = mesh.membrane / mesh.volume
        self._leak = membrane.leak_permeability(k)
        channel = np.broadcast_to(np.asarray(forcing.channel, float), (mesh.cable.n_frusta,)) \
            if np.ndim(forcing.channel) == 0 else np.asarray(forcing.channel)[mesh.frustum]
        self._channel = channel * k.vdcc_density * self._per_volume
        self._synapses = [
            (s, sum(mesh.share(*p) for p in s.patch) * self._per_volume) for s in forcing.synapses
        ]
        self._ends = []
        for end in forcing.ends:
            cell, area = mesh.free_end(end.node)
            self._ends.append((end, cell, area / mesh.volume[cell]))
        table = forcing.voltage
        if isinstance(table, VoltageTable):
            self._set_table(table, mesh)
        else:
            self._times = None
            self._constant = np.full(mesh.n_cells, float(table))
        self.begin = Gated(start, membrane.steady_gates(self.voltage(start), k))

    def _set_table(self, table: VoltageTable, mesh: Mesh) -> None:
        times, values = np.asarray(table.times, float), np.asarray(table.values, float)
        if len(times) != len(values) or np.any(np.diff(times) <= 0.0):
            raise InputError(
                f"voltage table: {len(times)} times, {len(values)} rows; times must increase"
            )
        keep = _corners(times, values)
        self._times, self._values = times[keep], values[keep]
        self._weights = None if table.weights is None else table.weights(mesh)
        change = np.abs(np.diff(self._values, axis=0)).max(axis=1)
        self._travel = np.r_[0.0, np.cumsum(change)]
        pieces = np.maximum(1, np.ceil(change / self.gate_travel).astype(int))
        grid = [np.linspace(a, b, n, endpoint=False) for a, b, n in
                zip(self._times, self._times[1:], pieces, strict=False)]
        self._grid = np.concatenate([*grid, self._times[-1:]])

    def voltage(self, t: float) -> Float[ndarray, " N"]:
        """Voltage in every cell, mV."""
        if self._times is None:
            return self._constant
        i = int(np.clip(np.searchsorted(self._times, t, side="right") - 1, 0, len(self._times) - 2))
        f = np.clip((t - self._times[i]) / (self._times[i + 1] - self._times[i]), 0.0, 1.0)
        sites = (1.0 - f) * self._values[i] + f * self._values[i + 1]
        return sites if self._weights is None else self._weights @ sites

    def longest(self, t: float) -> float:
        """Longest step from t that crosses no more than `step_travel` of voltage."""
        if self._times is None:
            return np.inf
        aim = np.interp(t, self._times, self._travel) + self.step_travel
        i = np.searchsorted(self._travel, aim)
        if i == len(self._travel):
            return np.inf
        reached = np.interp(aim, self._travel[i - 1 : i + 1], self._times[i - 1 : i + 1])
        return max(reached - t, 1e-12)

    def advance(self, gated: Gated, t: float) -> Gated:
        """Gates at a later time, through every corner of the voltage on the way."""
        if t <= gated.time:
            return gated
        if self._times is None:
            stops = [t]
        else:
            low, high = np.searchsorted(self._grid, [gated.time, t], side="right")
            stops = [*(x for x in self._grid[low:high] if gated.time < x < t), t]
        states, now = gated.states, gated.time
        for stop in stops:
            length = stop - now
            seen = {f: self.voltage(now + f * length) for f in (0.0, 0.5, 1.0)}
            states = [
                membrane.advance_gate(gate, x, length, seen.__getitem__, self._k)
                for gate, x in zip(self._k.gates, states, strict=True)
            ]
            now = stop
        return Gated(t, states)

    def drive(self, gated: Gated, side: float) -> Drive:
        """Source and sink at the time of the gates.

        Args:
            side: A time inside the step, telling which releases are on at its very ends.
        """
        inflow, outflow = membrane.ghk(self.voltage(gated.time), self._k)
        open_channels = self._channel * membrane.conductance(gated.states, self._k)
        source = open_channels * inflow + self._per_volume * (self._leak * self._k.c_o)
        sink = open_channels * outflow + self._per_volume * self._leak
        for synapse, share in self._synapses:
            if synapse.start <= side < synapse.start + synapse.duration:
                fall = (gated.time - synapse.start) / synapse.duration
                source += share * (synapse.flux * (1.0 - fall))
        for end, cell, per_volume in self._ends:
            if end.start <= side < end.end:
                source[cell] += per_volume * end.at(gated.time)
        return Drive(source, sink)


def _corners(times: ndarray, values: ndarray) -> ndarray:
    """Rows at which a piecewise linear table really bends (and its ends)."""
    slope = np.diff(values, axis=0) / np.diff(times)[:, None]
    size = np.abs(values).max() + 1.0
    bend = np.abs(np.diff(slope, axis=0)) * np.minimum(np.diff(times)[1:], np.diff(times)[:-1])[:, None]
    return np.flatnonzero(np.r_[True, (bend > 1e-12 * size).any(axis=1), True])
