"""What drives the cell from outside: voltage, synaptic releases, fluxes at free ends.

Times in internal units (s; dimensionless for `seed`).
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

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
    values: Float[ndarray, "rows S"]
    weights: Callable[[Mesh], sparse.spmatrix | Float[ndarray, "N columns"]] | None = None


@dataclass(frozen=True)
class SynapticRelease:
    """One release: flux·(1 − (t − start)/duration) into a patch of membrane (EQUATIONS §1).

    Attributes:
        patch: Pieces of cable as (frustum, first fraction, last fraction).
        start, duration: Start and duration, internal units; an infinite duration is a constant flux.
        flux: Flux density at the start, µM·µm/s.
    """

    patch: tuple[tuple[int, float, float], ...]
    start: float
    duration: float
    flux: float


@dataclass(frozen=True)
class EndFlux:
    """Given flux density at a node, positive into the cable: D ∂s c (inward) = flux(t).

    Attributes:
        node: Node of the cable: a free end, or any node where `area` is given.
        flux: A number, or a smooth function of time, µM·µm/s.
        start, end: Zero outside.
        area: Cross-section through which it comes, µm²; None: that of the free end.
    """

    node: int
    flux: float | Callable[[float], float]
    start: float = 0.0
    end: float = np.inf
    area: float | None = None

    def at(self, t: float) -> float:
        return float(self.flux(t)) if callable(self.flux) else self.flux


@dataclass(frozen=True)
class Forcing:
    """Everything that acts on the cell.

    Attributes:
        voltage: Voltage, mV: one number or a table.
        synapses: The releases.
        ends: Fluxes at free ends.
        channel: Channel density relative to `vdcc_density`, one number or one per frustum.
    """

    voltage: float | VoltageTable = -70.0
    synapses: tuple[SynapticRelease, ...] = ()
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
        source: Source of calcium in every cell, µM/s.
        sink: Rate at which calcium leaves every cell, 1/s.
    """

    source: Float[ndarray, " N"]
    sink: Float[ndarray, " N"]


@dataclass(frozen=True)
class Gated:
    """Gate states at one instant.

    Attributes:
        time: The instant.
        states: One array (N,) per gate.
        rates: `membrane.gate_rates` of each gate at the instant.
    """

    time: float
    states: list[membrane.Numbers]
    rates: list[membrane.GateRates]


class Driver:
    """The forcing on one mesh; voltage and gates are advanced ahead of the calcium.

    Args:
        forcing: Voltage, channels and releases that act.
        mesh: Cells that they act on.
        k: Constants.
        start: Initial time; the gates start in their steady state.
        tolerance: Tolerance of the calcium solve; the voltage is followed accordingly.
    """

    # A step that jumped a spike between two of its stages would not see it: one step crosses at
    # most `step_travel` mV, and ends where the voltage bends by `step_bend` mV between two rows
    # of the table. Gates move in steps of `gate_travel` mV in which the voltage stays within
    # `gate_bend` mV of a line. All for a tolerance of 1e-5; bends go with its square root.
    step_travel = 40.0
    step_bend = 1.0
    gate_travel = 4.0
    gate_bend = 0.02

    def __init__(self, forcing: Forcing, mesh: Mesh, k: CalciumConstants, start: float, tolerance: float):
        self._breakpoints, self._k = forcing.breakpoints(), k
        per_volume = mesh.membrane / mesh.volume
        channel = np.asarray(forcing.channel, float)
        channel = channel[mesh.frustum] if channel.ndim else np.full(mesh.n_cells, channel)
        self._channel = channel * k.vdcc_density * per_volume
        leak = membrane.leak_permeability(k)
        self._leak = Drive(per_volume * (leak * k.c_o), per_volume * leak)
        self._synapses = [(s, sum(mesh.share(*p) for p in s.patch) * per_volume) for s in forcing.synapses]
        self._ends = []
        for end in forcing.ends:
            cells, area = mesh.inlet(end.node, end.area)
            self._ends.append((end, cells, area / mesh.volume[cells]))
        if isinstance(forcing.voltage, VoltageTable):
            self._set_table(forcing.voltage, mesh, tolerance)
        else:
            self._times: list[float] = []
            self._constant = np.full(mesh.n_cells, float(forcing.voltage))
        self.begin = self._at_rest(start)
        self._channels = None if self._times else self._through_channels(self.begin)

    def _at_rest(self, t: float) -> Gated:
        voltage = self.voltage(t)
        rates = [membrane.gate_rates(gate, voltage, self._k) for gate in self._k.gates]
        return Gated(t, [steady for steady, _ in rates], rates)

    def _set_table(self, table: VoltageTable, mesh: Mesh, tolerance: float) -> None:
        times, values = np.asarray(table.times, float), np.asarray(table.values, float)
        if len(times) != len(values) or len(times) < 2 or np.any(np.diff(times) <= 0.0):
            raise InputError(
                f"voltage table: {len(times)} times, {len(values)} rows; give at least two rows, times increasing"
            )
        self._times, self._values, self._rows = times.tolist(), values, times
        self._weights = None if table.weights is None else table.weights(mesh)
        change = np.abs(np.diff(values, axis=0)).max(axis=1)
        self._travel = np.r_[0.0, np.cumsum(change)]
        slope = np.diff(values, axis=0) / np.diff(times)[:, None]
        bend = np.abs(np.diff(slope, axis=0)).max(axis=1) * np.minimum(*_neighbours(np.diff(times)))
        tight = (tolerance / 1e-5) ** 0.5
        self._corners = times[1:-1][bend > self.step_bend * tight]
        tight = min(tight, 1.0)
        self._grid = self._gate_grid(change, bend, self.gate_bend * tight, self.gate_travel * tight**0.5)

    def _gate_grid(self, change: ndarray, bend: ndarray, most_bend: float, most_travel: float) -> Float[ndarray, " M"]:
        """Times between which the voltage is close to a line and moves little."""
        stops, bent, moved = [self._times[0]], 0.0, 0.0
        for a, b, step, corner in zip(self._times, self._times[1:], change, np.r_[bend, np.inf], strict=False):
            parts = int(np.ceil(step / most_travel))
            if parts > 1 or moved + step > most_travel:
                stops.extend(np.linspace(a, b, max(parts, 1), endpoint=False))
                bent, moved = 0.0, 0.0
            bent, moved = bent + corner, moved + step
            if bent > most_bend:
                stops.append(b)
                bent, moved = 0.0, 0.0
        return np.unique(stops)

    def voltage(self, t: float) -> Float[ndarray, " N"]:
        """Voltage in every cell, mV."""
        if not self._times:
            return self._constant
        i = min(max(bisect_right(self._times, t) - 1, 0), len(self._times) - 2)
        first, last = self._times[i], self._times[i + 1]
        f = min(max((t - first) / (last - first), 0.0), 1.0)
        sites = (1.0 - f) * self._values[i] + f * self._values[i + 1]
        spread: Float[ndarray, " N"] = sites if self._weights is None else self._weights @ sites
        return spread

    def longest(self, t: float) -> float:
        """Longest step from t that crosses no more than `step_travel` of voltage."""
        if not self._times:
            return np.inf
        aim = np.interp(t, self._rows, self._travel) + self.step_travel
        i = int(np.searchsorted(self._travel, aim))
        if i == len(self._travel):
            return np.inf
        low, high = self._travel[i - 1], self._travel[i]
        first, last = self._times[i - 1], self._times[i]
        return float(first + (aim - low) / (high - low) * (last - first) - t)

    def stops(self) -> Float[ndarray, " B"]:
        """Times at which steps have to end."""
        return np.union1d(self._breakpoints, self._corners) if self._times else self._breakpoints

    def advance(self, gated: Gated, t: float) -> Gated:
        """Gates at a later time, through every bend of the voltage on the way."""
        if t <= gated.time:
            return gated
        if not self._times:
            return Gated(t, gated.states, gated.rates)
        low, high = np.searchsorted(self._grid, [gated.time, t])
        for stop in [*self._grid[low:high], t]:
            if stop > gated.time:
                gated = self._gate_step(gated, stop)
        return gated

    def _gate_step(self, gated: Gated, t: float) -> Gated:
        k = self._k
        halfway, there = self.voltage(0.5 * (gated.time + t)), self.voltage(t)
        states, rates = [], []
        for gate, x, before in zip(k.gates, gated.states, gated.rates, strict=True):
            middle = membrane.gate_rates(gate, halfway, k)
            after = membrane.gate_rates(gate, there, k)
            states.append(membrane.advance_gate(x, t - gated.time, before, middle, after))
            rates.append(after)
        return Gated(t, states, rates)

    def _through_channels(self, gated: Gated) -> Drive:
        inflow, outflow = membrane.ghk(self.voltage(gated.time), self._k)
        open_channels = self._channel * membrane.conductance(gated.states, self._k)
        return Drive(open_channels * inflow + self._leak.source, open_channels * outflow + self._leak.sink)

    def drive(self, gated: Gated, side: float) -> Drive:
        """Source and sink at the time of the gates.

        Args:
            side: A time inside the step, telling which releases are on at its very ends.
        """
        channels = self._channels or self._through_channels(gated)
        source = channels.source.copy()
        for synapse, share in self._synapses:
            if synapse.start <= side < synapse.start + synapse.duration:
                fall = (gated.time - synapse.start) / synapse.duration
                source += share * (synapse.flux * (1.0 - fall))
        for end, cells, per_volume in self._ends:
            if end.start <= side < end.end:
                source[cells] += per_volume * end.at(gated.time)
        return Drive(source, channels.sink)


def _neighbours(x: ndarray) -> tuple[ndarray, ndarray]:
    return x[:-1], x[1:]
