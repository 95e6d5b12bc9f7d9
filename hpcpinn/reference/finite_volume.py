"""The independent reference: conservative finite volumes on the cable graph (EQUATIONS §1).

Second order in space, fifth in time, total calcium balanced to round-off. NumPy and SciPy only.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CALCIUM, Buffer, CalciumConstants
from hpcpinn.reference import membrane
from hpcpinn.reference.elimination import TreeElimination
from hpcpinn.reference.forcing import Drive, Driver, Forcing, Gated
from hpcpinn.reference.mesh import Mesh, make_mesh
from hpcpinn.reference.rosenbrock import NODES, Work, integrate

_SOON = 1e-5
"""Part of a step over which the time derivative of the forcing is taken."""
_MOMENTS = np.unique(np.r_[NODES, _SOON])


@dataclass(frozen=True)
class FvSolution:
    """Averages over cells (or groups of them) at the requested times, in the order of the frusta.

    Attributes:
        times: Internal time units.
        fields: Free calcium and free buffers by name, µM.
        volume, frustum, fraction: Volume (µm³), frustum and range on it of every cell or group (see `Mesh`).
        points: Values at the points asked for by name, µM.
        entered: Calcium that has come in through channels, leak, releases and ends, µM·µm³.
        net: Calcium that has come in minus what channels and pumps have taken out, µM·µm³.
        balance: Total calcium gained minus `net`, over all that came in until the end: zero up to
            round-off.
        work: Steps taken.
        seconds: Wall time.
        busy: Time in which this thread computed, s.
    """

    times: Float[ndarray, " T"]
    fields: Mapping[str, Float[ndarray, "T N"]]
    volume: Float[ndarray, " N"]
    frustum: Int[ndarray, " N"]
    fraction: Float[ndarray, "N 2"]
    points: Mapping[str, Float[ndarray, "T P"]]
    entered: Float[ndarray, " T"]
    net: Float[ndarray, " T"]
    balance: Float[ndarray, " T"]
    work: Work
    seconds: float
    busy: float


def solve(
    cable: Cable,
    constants: CalciumConstants,
    forcing: Forcing,
    times: Float[ndarray, " T"],
    *,
    cells: int | Int[ndarray, " F"] = 1,
    parts: int | None = None,
    points: tuple[Int[ndarray, " P"], Float[ndarray, " P"]] | None = None,
    start: float = 0.0,
    initial: Mapping[str, ndarray | float] | None = None,
    tolerance: float = 1e-6,
    step: float | None = None,
    cancel: Callable[[], bool] | None = None,
    watch: Callable[[float], None] = lambda time: None,
) -> FvSolution:
    """Solves calcium and its buffers on a cable.

    Args:
        cable: The geometry; give a refined cable for a graded mesh.
        constants: Constants of EQUATIONS §1 (the leak is balanced where it is None).
        forcing: Voltage, releases, end fluxes.
        times: Times to report, increasing, internal units.
        cells: Cells per frustum, one number or one per frustum.
        parts: Report averages over so many equal parts of every frustum instead of the cells.
        points: Frusta and fractions on them where values are reported too.
        start: Initial time.
        initial: Cell averages at `start` by name, numbers or arrays (N,); rest of what is left out.
        tolerance: Relative tolerance per step.
        step: Fixed step instead.
        cancel: Asked before every step; the solve ends with SolveError where it says True.
        watch: Function of the start of every step, internal time.

    Returns:
        The solution at `times`.

    Raises:
        InputError: Bad geometry or times.
        SolveError: The integration failed or was cancelled.
    """
    began, busy = time.perf_counter(), time.thread_time()
    times = np.asarray(times, float)
    if times.ndim != 1 or not len(times) or np.any(np.diff(times) <= 0.0) or times[0] < start:
        raise InputError(f"reference: times must increase from start = {start}")
    mesh = make_mesh(cable, cells)
    reported = mesh if parts is None else make_mesh(cable, parts)
    averages = sparse.eye(mesh.n_cells) if parts is None else mesh.averages(parts)
    seen = averages if points is None else sparse.vstack([averages, mesh.points(*points)])
    seen = seen.tocsr()
    system = FiniteVolumes(mesh, constants, forcing, start, tolerance, watch)
    names, reports = constants.species, seen.shape[0]
    given = dict(initial or {})
    y = system.pack(given if set(names) <= set(given) else dict(zip(names, constants.rest, strict=True)) | given)

    def observe(states: Float[ndarray, "m n"]) -> Float[ndarray, "m k"]:
        species, stats = system.species(states), states[:, -2:]
        bound = [-species[name] for name in names if name != CALCIUM]
        excess = sum(bound, species[CALCIUM]) @ mesh.volume
        return np.hstack([*((seen @ species[name].T).T for name in names), excess[:, None], stats])

    observed, work = integrate(
        system, y, start, times,
        stops=system.stops(), tolerance=tolerance, step=step, observe=observe, cancel=cancel,
    )  # fmt: skip
    found = {name: observed[:, i * reports : (i + 1) * reports] for i, name in enumerate(names)}
    excess, net, entered = observed[:, -3:].T
    gained = excess - observe(y[None])[0, -3]
    return FvSolution(
        times=times, fields={name: values[:, : reported.n_cells] for name, values in found.items()},
        volume=reported.volume, frustum=reported.frustum, fraction=reported.fraction,
        points={name: values[:, reported.n_cells :] for name, values in found.items()},
        entered=entered, net=net,
        balance=(gained - net) / max(entered[-1], np.finfo(float).tiny),
        work=work, seconds=time.perf_counter() - began, busy=time.thread_time() - busy,
    )  # fmt: skip


class FiniteVolumes:
    """The semi-discrete system, as `rosenbrock.StiffSystem`.

    The state interleaves the species of the cells and ends with two stats: net and gross influx.
    The stats are part of the system, so that Σ V (c − Σ b) − net is a linear invariant.
    """

    def __init__(
        self,
        mesh: Mesh,
        k: CalciumConstants,
        forcing: Forcing,
        start: float,
        tolerance: float,
        watch: Callable[[float], None] = lambda time: None,
    ):
        self._k, self._watch = k, watch
        self._driver = Driver(forcing, mesh, k, start, tolerance)
        self._gated: Gated = self._driver.begin
        self._volume = mesh.volume
        self._per_volume = mesh.membrane / mesh.volume
        spread = sparse.diags(1.0 / mesh.volume) @ mesh.coupling
        diffusion = [k.D_c, *(buffer.D for buffer in k.all_buffers)]
        self._diffusion = sparse.kron(spread, np.diag(diffusion), format="csr")
        self._elimination = TreeElimination(mesh, diffusion)
        self._names = k.species

    def pack(self, values: Mapping[str, ndarray | float]) -> Float[ndarray, " n"]:
        """State of the cells from the values of the species by name, the stats at zero."""
        state = np.zeros(len(self._names) * len(self._volume) + 2)
        for name, place in self.species(state).items():
            place[...] = values[name]
        return state

    def species(self, y: Float[ndarray, "... n"]) -> dict[str, Float[ndarray, "... N"]]:
        """Views of the species in states, or in what has their shape, by name."""
        count = len(self._names)
        return {name: y[..., i:-2:count] for i, name in enumerate(self._names)}

    def _of_buffers(self, y: Float[ndarray, "... n"]) -> list[tuple[Buffer, Float[ndarray, "... N"]]]:
        species = self.species(y)
        return [(buffer, species[buffer.name]) for buffer in self._k.all_buffers]

    def stops(self) -> Float[ndarray, " B"]:
        return self._driver.stops()

    def longest(self, t: float) -> float:
        return self._driver.longest(t)

    def open_step(self, t: float, h: float) -> None:
        self._watch(t)
        gated, drives = self._gated, {}
        for x in _MOMENTS:
            gated = self._driver.advance(gated, t + x * h)
            drives[x] = self._driver.drive(gated, t + 0.5 * h)
        self._next = gated
        self._drives = [drives[x] for x in NODES]
        now, soon = drives[0.0], drives[_SOON]
        self._slope = Drive((soon.source - now.source) / (_SOON * h), (soon.sink - now.sink) / (_SOON * h))

    def close_step(self) -> None:
        self._gated = self._next

    def rate(self, stage: int, y: ndarray) -> ndarray:
        k, drive = self._k, self._drives[stage]
        out = np.empty_like(y)
        c, change = self.species(y)[CALCIUM], self.species(out)
        out[:-2] = self._diffusion @ y[:-2]
        through = drive.source - drive.sink * c - self._per_volume * membrane.pump(c, k)
        freed = []
        for buffer, b in self._of_buffers(y):
            freed.append(buffer.k_minus * (buffer.total - b) - (buffer.k_plus * b) * c)
            change[buffer.name][...] += freed[-1]
        change[CALCIUM][...] += _total(freed) + through
        out[-2] = self._volume @ through
        out[-1] = self._volume @ drive.source
        return out

    def time_slope(self, y: ndarray) -> ndarray:
        out = np.zeros_like(y)
        through = self._slope.source - self._slope.sink * self.species(y)[CALCIUM]
        self.species(out)[CALCIUM][...] = through
        out[-2] = self._volume @ through
        out[-1] = self._volume @ self._slope.source
        return out

    def factor(self, y: ndarray, shift: float) -> Callable[[ndarray], ndarray]:
        k, drive = self._k, self._drives[0]
        c = self.species(y)[CALCIUM]
        through = -drive.sink - self._per_volume * membrane.pump_slope(c, k)
        own, count = self._names.index(CALCIUM), len(self._names)
        block = np.zeros((count, count, len(c)))
        by_c = []
        for buffer, b in self._of_buffers(y):
            row, unbinding = self._names.index(buffer.name), buffer.k_minus + buffer.k_plus * c
            by_c.append(buffer.k_plus * b)
            block[row, own], block[own, row], block[row, row] = by_c[-1], unbinding, shift + unbinding
        block[own, own] = shift + _total(by_c) - through
        solve_cells = self._elimination.factor(block)
        weight = self._volume * through

        def solve_for(right: ndarray) -> ndarray:
            out = np.empty_like(right)
            out[:-2] = solve_cells(right[:-2])
            out[-2] = (right[-2] + weight @ self.species(out)[CALCIUM]) / shift
            out[-1] = right[-1] / shift
            return out

        return solve_for

    def norm(self, error: ndarray, y: ndarray, tolerance: float) -> float:
        """Largest error against c, and against what is bound of every buffer (which sets c over long times)."""
        wrong, c = self.species(error), self.species(y)[CALCIUM]
        worst = [np.max(np.abs(wrong[CALCIUM]) / (tolerance * (np.abs(c) + self._k.c_rest)))]
        for buffer, b in self._of_buffers(y):
            scale = tolerance * (np.abs(buffer.total - b) + 1e-2 * buffer.total)
            worst.append(np.max(np.abs(wrong[buffer.name]) / scale))
        return float(max(worst))


def _total(parts: list[Float[ndarray, " N"]]) -> Float[ndarray, " N"]:
    return sum(parts[1:], parts[0])
