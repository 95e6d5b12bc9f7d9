"""Turns solved windows into frames, probe samples and rows of the result file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.domain.sampling import in_blocks
from hpcpinn.domain.window_solver import WindowSolution
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics import voltage
from hpcpinn.systems.cell.coupled_setup import CoupledSetup, site_weights


@dataclass
class Recorder:
    """Writes what a run produces; holds the open result file.

    Attributes:
        problem: The run.
        writer: The result file.
        next_frame, next_sample: Number of the next frame and probe sample.
    """

    problem: CoupledSetup
    writer: ResultWriter
    next_frame: int = 0
    next_sample: int = 0

    @classmethod
    def open(cls, problem: CoupledSetup, communicator: Communicator, resume_at: float | None) -> "Recorder":
        """Creates the result file, or goes on in it. Collective over all ranks.

        Args:
            resume_at: User time from which to go on; None starts a new file.
        """
        path, header = Path(problem.config.run.output), problem.header
        if resume_at is None:
            writer = ResultWriter(path, communicator, header, pieces=problem.local)
            return cls(problem, writer)
        writer = ResultWriter.resume(path, communicator, header, resume_at, pieces=problem.local)
        run = problem.config.run
        return cls(
            problem,
            writer,
            _first_after(resume_at, run.output_interval),
            _first_after(resume_at, run.probe_interval),
        )

    @cached_property
    def _cell_voltage(self) -> Callable[[float], Array]:
        cells = self.problem.config.pieces.cells_per_piece
        fraction = np.tile((np.arange(cells) + 0.5) / cells, (len(self.problem.local), 1))
        return self._voltage(np.repeat(self.problem.local, cells), fraction.ravel())

    @cached_property
    def _probe_voltage(self) -> Callable[[Float[np.ndarray, " t"]], Array]:
        mine = [p for p in self.problem.cell.probes if p.piece in set(self.problem.local.tolist())]
        piece = np.array([p.piece for p in mine], int)
        return jax.vmap(self._voltage(piece, np.array([p.fraction for p in mine], float)))

    def _voltage(self, piece: Int[np.ndarray, " n"], fraction: Float[np.ndarray, " n"]) -> Callable[..., Array]:
        weights = site_weights(self.problem.cell, piece, fraction)
        source = self.problem.cell.source
        return jax.jit(lambda t: voltage.voltage_at(source, t, weights))

    def window(self, start: float, duration: float, heads: Float[Array, "P K M"]) -> None:
        """Remembers all frames and samples inside an accepted window (times internal)."""
        run, unit = self.problem.config.run, self.problem.cell.constants.time_unit
        sampler = self.problem.sampler
        end = start + duration
        while (time := self.next_frame * run.output_interval) * unit <= end + 1e-9 * duration:
            tau = _window_time(time * unit, start, duration)
            species = dict(zip(sampler.equation.names, sampler.cell_averages(tau, heads), strict=True))
            self.writer.frame(time, species | {"voltage": np.asarray(self._cell_voltage(time * unit))})
            self.next_frame += 1
        last = int(np.floor((end + 1e-9 * duration) / unit / run.probe_interval))
        numbers = np.arange(self.next_sample, last + 1)
        if len(numbers) and self.problem.cell.probes:
            times = numbers * run.probe_interval
            taus = np.array([_window_time(t * unit, start, duration) for t in times])
            values = np.swapaxes(sampler.probe_values(taus, heads), 0, 1)
            species = dict(zip(sampler.equation.names, values, strict=True))
            self.writer.probes(times, species | {"voltage": in_blocks(self._probe_voltage, times * unit)})
        self.next_sample = max(self.next_sample, last + 1)

    def sweeps(self, window: int, solution: WindowSolution) -> None:
        """Remembers the convergence of a window's sweeps."""
        rows = []
        for newton, history in enumerate(solution.histories):
            for sweep, jump in enumerate(history[np.isfinite(history)]):
                rows.append({"window": window, "newton": newton, "sweep": sweep, "jump": jump})
        self.writer.sweeps(rows)


def _window_time(time: float, start: float, duration: float) -> float:
    return float(np.clip(2.0 * (time - start) / duration - 1.0, -1.0, 1.0))


def _first_after(time: float, interval: float) -> int:
    """Number of the first multiple of the interval that lies after `time` (up to rounding)."""
    return int(np.floor(time / interval * (1.0 + 1e-9) + 1e-9)) + 1
