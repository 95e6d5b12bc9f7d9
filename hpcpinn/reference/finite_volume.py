"""The independent reference: conservative finite volumes on the cable graph (EQUATIONS §1).

Second order in space, fifth in time, total calcium balanced to round-off. NumPy and SciPy only.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.physics.constants import CalciumConstants
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
        c, b: Free calcium and free calbindin, µM.
        volume, frustum, fraction: The cells or groups (see `Mesh`).
        point_c, point_b: Values at the points asked for, µM.
        entered: Calcium that has come in through channels, leak, releases and ends, µM·µm³.
        net: The same minus what channels and pumps have taken out.
        balance: Total calcium gained minus `net`, over all that came in until the end: zero up to
            round-off.
        work: Steps taken.
        seconds: Wall time.
        busy: Of that the time in which this thread computed, s.
    """

    times: Float[ndarray, " T"]
    c: Float[ndarray, "T N"]
    b: Float[ndarray, "T N"]
    volume: Float[ndarray, " N"]
    frustum: Int[ndarray, " N"]
    fraction: Float[ndarray, "N 2"]
    point_c: Float[ndarray, "T P"]
    point_b: Float[ndarray, "T P"]
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
    initial: tuple[ndarray, ndarray] | None = None,
    tolerance: float = 1e-6,
    step: float | None = None,
    cancel: Callable[[], bool] | None = None,
    watch: Callable[[float], None] = lambda time: None,
) -> FvSolution:
    """Solves the calcium-calbindin system on a cable.

    Args:
        cable: The geometry; give a refined cable for a graded mesh.
        constants: Constants of EQUATIONS §1 (the leak is balanced where it is None).
        forcing: Voltage, releases, end fluxes.
        times: Times to report, increasing, internal units.
        cells: Cells per frustum, one number or one per frustum.
        parts: Report averages over so many equal parts of every frustum instead of the cells.
        points: Frusta and fractions on them where values are reported too.
        start: Initial time.
        initial: Cell averages (c, b) at `start`, numbers or arrays (N,); rest where None.
        tolerance: Relative tolerance per step.
        step: Fixed step instead.
        cancel: Asked before every step; the solve ends with SolveError where it says True.
        watch: Told where every step begins, internal time.

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
    system = CalciumSystem(mesh, constants, forcing, start, tolerance, watch)
    c0, b0 = (constants.c_rest, constants.b_rest) if initial is None else initial
    y = system.pack(np.broadcast_to(c0, (mesh.n_cells,)), np.broadcast_to(b0, (mesh.n_cells,)))

    def observe(states: Float[ndarray, "m n"]) -> Float[ndarray, "m k"]:
        c, b, tallies = states[:, :-2:2], states[:, 1:-2:2], states[:, -2:]
        excess = (c - b) @ mesh.volume
        return np.hstack([(seen @ c.T).T, (seen @ b.T).T, excess[:, None], tallies])

    observed, work = integrate(
        system, y, start, times,
        stops=system.stops(), tolerance=tolerance, step=step, observe=observe, cancel=cancel,
    )  # fmt: skip
    c, b = observed[:, : seen.shape[0]], observed[:, seen.shape[0] : -3]
    excess, net, entered = observed[:, -3:].T
    gained = excess - observe(y[None])[0, -3]
    averaged = slice(0, reported.n_cells)
    points_of = slice(reported.n_cells, None)
    return FvSolution(
        times=times, c=c[:, averaged], b=b[:, averaged],
        volume=reported.volume, frustum=reported.frustum, fraction=reported.fraction,
        point_c=c[:, points_of], point_b=b[:, points_of],
        entered=entered, net=net,
        balance=(gained - net) / max(entered[-1], np.finfo(float).tiny),
        work=work, seconds=time.perf_counter() - began, busy=time.thread_time() - busy,
    )  # fmt: skip


class CalciumSystem:
    """The semi-discrete system, as `rosenbrock.System`.

    The state interleaves (c, b) of the cells and ends with two tallies: net and gross influx.
    The tallies are part of the system, so that Σ V (c − b) − net is a linear invariant.
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
        self._diffusion = sparse.kron(spread, np.diag([k.D_c, k.D_b]), format="csr")
        self._elimination = TreeElimination(mesh, (k.D_c, k.D_b))

    def pack(self, c: Float[ndarray, " N"], b: Float[ndarray, " N"]) -> Float[ndarray, " n"]:
        """State of the cells, the tallies at zero."""
        state: Float[ndarray, " n"] = np.r_[np.stack([c, b], axis=1).ravel(), 0.0, 0.0]
        return state

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
        cells = y[:-2]
        c, b = cells[::2], cells[1::2]
        out[:-2] = self._diffusion @ cells
        bound = k.k_minus * (k.b_tot - b) - (k.k_plus * b) * c
        through = drive.source - drive.sink * c - self._per_volume * membrane.pump(c, k)
        out[:-2:2] += bound + through
        out[1:-2:2] += bound
        out[-2] = self._volume @ through
        out[-1] = self._volume @ drive.source
        return out

    def time_slope(self, y: ndarray) -> ndarray:
        out = np.zeros_like(y)
        through = self._slope.source - self._slope.sink * y[:-2:2]
        out[:-2:2] = through
        out[-2] = self._volume @ through
        out[-1] = self._volume @ self._slope.source
        return out

    def factor(self, y: ndarray, shift: float) -> Callable[[ndarray], ndarray]:
        k, drive = self._k, self._drives[0]
        c, b = y[:-2:2], y[1:-2:2]
        through = -drive.sink - self._per_volume * membrane.pump_slope(c, k)
        by_c, by_b = k.k_plus * b, k.k_minus + k.k_plus * c
        solve_cells = self._elimination.factor(shift + by_c - through, by_b, by_c, shift + by_b)
        weight = self._volume * through

        def solve_for(right: ndarray) -> ndarray:
            out = np.empty_like(right)
            out[:-2] = solve_cells(right[:-2])
            out[-2] = (right[-2] + weight @ out[:-2:2]) / shift
            out[-1] = right[-1] / shift
            return out

        return solve_for

    def norm(self, error: ndarray, y: ndarray, tolerance: float) -> float:
        """Largest error against c, and against the bound buffer (which sets c over long times)."""
        k = self._k
        c, bound = np.abs(y[:-2:2]), np.abs(k.b_tot - y[1:-2:2])
        scale_c = tolerance * (c + k.c_rest)
        scale_b = tolerance * (bound + 1e-2 * k.b_tot)
        return float(max(np.max(np.abs(error[:-2:2]) / scale_c), np.max(np.abs(error[1:-2:2]) / scale_b)))
