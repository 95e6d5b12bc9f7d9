"""A train of action potentials that is given, and what the reference makes of it: shared by benchmarks.

One action potential runs through the whole cell in every period. The reference is kept in results/
and found again by its settings.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from hpcpinn.morphology.cable import Cable
from hpcpinn.physics import voltage as given_voltage
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.reference.finite_volume import solve
from hpcpinn.reference.forcing import Forcing, VoltageTable
from hpcpinn.timestepping.influx import Influx, InfluxTable

RESULTS = Path(__file__).resolve().parents[1] / "results"
TICK = 5e-6
"""s; four of them lie between two rows of the voltage's table."""


@dataclass(frozen=True)
class Truth:
    """The reference at the frames of every period; arrays (cycles, frames, N)."""

    c: ndarray
    b: ndarray
    seconds: float
    steps: int


@dataclass(frozen=True)
class Train:
    """One action potential per period.

    Attributes:
        period: s.
        onset: Of the action potential within it, s.
        frames: Times within a period at which answers are compared, s.
    """

    period: float
    onset: float
    frames: tuple[float, ...]

    def action_potential(self, t: ndarray) -> ndarray:
        """mV at times t (s) within a period: a spike of 1 ms and its afterpotential."""
        late = 1e3 * (t - self.onset)
        spike = 100.0 * np.exp(-(np.clip(late / 0.6, 0.0, None) ** 1.5)) / (1.0 + np.exp(-late / 0.08))
        return -70.0 + spike - 10.0 * np.exp(-(((late - 4.0) / 3.0) ** 2)) * (late > 0.0)

    def voltage_rows(self, cycles: int) -> tuple[ndarray, ndarray]:
        """The voltage as a table over some periods; fine where the spike is."""
        last, fine = 1e3 * self.period, 1e3 * self.onset
        once = np.r_[np.arange(0.0, min(last, 100.0), 0.5), np.arange(max(0.0, fine - 1.0), fine + 10.0, 0.02)]
        once = 1e-3 * np.unique(np.round(once, 6))
        times = np.concatenate([once + i * self.period for i in range(cycles)] + [[cycles * self.period]])
        value = self.action_potential(once)
        return times, np.concatenate([np.tile(value, cycles), value[:1]])

    def reference(self, cable: Cable, k: CalciumConstants, cycles: int, tolerance: float) -> Truth:
        """Finite volumes on the same compartments; solved, or read where they have been solved before."""
        settings = (k, self, cycles, tolerance, cable.length.sum(), cable.n_frusta)
        key = hashlib.sha256(repr(settings).encode()).hexdigest()
        path = RESULTS / f"reference_split_{key[:12]}.npz"
        if not path.is_file():
            times, values = self.voltage_rows(cycles)
            table = VoltageTable(times, values[:, None], lambda mesh: np.ones((mesh.n_cells, 1)))
            found = solve(cable, k, Forcing(table), self.times(cycles), tolerance=tolerance)
            shape = cycles, len(self.frames), cable.n_frusta
            RESULTS.mkdir(exist_ok=True)
            np.savez(
                path,
                c=found.fields["calcium"].reshape(shape),
                b=found.fields["calbindin"].reshape(shape),
                seconds=found.seconds,
                steps=found.work.steps,
            )
        with np.load(path) as kept:
            return Truth(kept["c"], kept["b"], float(kept["seconds"]), int(kept["steps"]))

    def times(self, cycles: int) -> ndarray:
        """All frames of some periods, s."""
        return (self.period * np.arange(cycles)[:, None] + np.array(self.frames)).ravel()

    def ticks(self) -> ndarray:
        """The frames in ticks."""
        return np.round(np.array(self.frames) / TICK).astype(int)

    def influx(self, k: CalciumConstants, cycles: int) -> tuple[list[InfluxTable], int]:
        """That of every period; followed until the gates repeat within 1e-10, then used again."""
        times, values = self.voltage_rows(1)
        source = given_voltage.VoltageSource(jnp.asarray(times), jnp.asarray(values[:, None]), ("all",), "", 1e-3)
        everywhere = given_voltage.uniform_weights(1)
        influx = Influx(
            lambda t: given_voltage.voltage_at(source, t, everywhere),
            k,
            round(self.period / TICK),
            TICK,
            2e-5,
        )
        tables: list[InfluxTable] = []
        state = None
        for cycle in range(cycles):
            tables.append(influx.table(0.0, state))
            if cycle and np.max(np.abs(tables[-1].gates - state)) < 1e-10:
                break
            state = tables[-1].gates
        return tables + [tables[-1]] * (cycles - len(tables)), len(tables)
