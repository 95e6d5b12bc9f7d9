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
from hpcpinn.physics.constants import CALCIUM, CYTOSOL, BufferConstants, CalciumConstants, Organelle
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
        net: Calcium that has come in minus what channels and pumps of the plasma membrane have taken out, µM·µm³.
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
    initial: Mapping[str, Float[ndarray, " N"] | float] | None = None,
    tolerance: float = 1e-6,
    step: float | None = None,
    cancel: Callable[[], bool] | None = None,
    watch: Callable[[float], None] = lambda time: None,
) -> FvSolution:
    """Solves all species on a cable.

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
    meshes = {volume: make_mesh(cable.within(volume), cells) for volume in constants.calcium_of}
    mesh = meshes[CYTOSOL]
    reported = mesh if parts is None else make_mesh(cable, parts)
    seen = {}
    for volume, inside in meshes.items():
        averages = sparse.eye(inside.n_cells) if parts is None else inside.averages(parts)
        all_seen = averages if points is None else sparse.vstack([averages, inside.points(*points)])
        seen[volume] = all_seen.tocsr()
    system = FiniteVolumes(meshes, constants, forcing, start, tolerance, watch)
    names, reports = constants.species, seen[CYTOSOL].shape[0]
    given = dict(initial or {})
    y = system.pack(given if set(names) <= set(given) else dict(zip(names, constants.rest, strict=True)) | given)

    def observe(states: Float[ndarray, "m n"]) -> Float[ndarray, "m k"]:
        species, stats = system.species(states), states[:, -2:]
        excess = np.zeros(len(states))
        for volume, calcium in constants.calcium_of.items():
            inside = (one for one in constants.all_species if one.volume == volume and one.name != calcium.name)
            excess = excess + sum((-species[one.name] for one in inside), species[calcium.name]) @ meshes[volume].volume
        shown = ((seen[one.volume] @ species[one.name].T).T for one in constants.all_species)
        return np.hstack([*shown, excess[:, None], stats])

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
    The stats are part of the system, so that Σ V (c − Σ b) − net, over all volumes, is a linear invariant.

    Args:
        meshes: Cells of every volume that species live in, by its name.
        k: Constants, as in `solve`.
        forcing: Voltage, releases and end fluxes.
        start: Initial time, internal units.
        tolerance: Relative tolerance per step.
        watch: Function that is told where every step begins, internal time.
    """

    def __init__(
        self,
        meshes: Mapping[str, Mesh],
        k: CalciumConstants,
        forcing: Forcing,
        start: float,
        tolerance: float,
        watch: Callable[[float], None] = lambda time: None,
    ):
        self._k, self._watch = k, watch
        mesh = meshes[CYTOSOL]
        self._driver = Driver(forcing, mesh, k, start, tolerance)
        self._gated: Gated = self._driver.begin
        self._volume = mesh.volume
        self._per_volume = mesh.membrane / mesh.volume
        parts = []
        for volume, inside in meshes.items():
            spread = sparse.diags(1.0 / inside.volume) @ inside.coupling
            own = [one.D if one.volume == volume else 0.0 for one in k.all_species]
            parts.append(sparse.kron(spread, np.diag(own), format="csr"))
        self._diffusion = sum(parts[1:], parts[0])
        self._elimination = TreeElimination([meshes[volume] for volume in k.volumes], [one.D for one in k.all_species])
        self._names = k.species
        self._organelles = [_Organelle.of_meshes(one, k.c_rest, meshes) for one in k.organelles]

    def pack(self, values: Mapping[str, Float[ndarray, " N"] | float]) -> Float[ndarray, " n"]:
        """State of the cells from the values of the species by name, the stats at zero."""
        state = np.zeros(len(self._names) * len(self._volume) + 2)
        for name, place in self.species(state).items():
            place[...] = values[name]
        return state

    def species(self, y: Float[ndarray, "... n"]) -> dict[str, Float[ndarray, "... N"]]:
        """Views of the species in states, or in what has their shape, by name."""
        count = len(self._names)
        return {name: y[..., i:-2:count] for i, name in enumerate(self._names)}

    def _of_buffers(self, y: Float[ndarray, "... n"]) -> list[tuple[BufferConstants, str, Float[ndarray, "... N"]]]:
        """Buffers, names of what each binds, and what is free of it."""
        species, calcium = self.species(y), self._k.calcium_of
        return [(buffer, calcium[buffer.volume].name, species[buffer.name]) for buffer in self._k.all_buffers]

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

    def rate(self, stage: int, y: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        k, drive = self._k, self._drives[stage]
        out = np.empty_like(y)
        species, change = self.species(y), self.species(out)
        c = species[CALCIUM]
        out[:-2] = self._diffusion @ y[:-2]
        through = drive.source - drive.sink * c - self._per_volume * membrane.pump(c, k)
        gained: dict[str, list[ndarray]] = {calcium.name: [] for calcium in k.calcium_of.values()}
        for buffer, bound, b in self._of_buffers(y):
            freed = buffer.k_minus * (buffer.total - b) - (buffer.k_plus * b) * species[bound]
            gained[bound].append(freed)
            change[buffer.name][...] += freed
        gained[CALCIUM] = [_total(gained[CALCIUM]) + through]
        for er in self._organelles:
            released = er.release(c, species[er.of.calcium])
            gained[CALCIUM].append(er.per_cytosol * released)
            gained[er.of.calcium].append(-er.per_lumen * released)
        for name, parts in gained.items():
            change[name][...] += _total(parts)
        out[-2] = self._volume @ through
        out[-1] = self._volume @ drive.source
        return out

    def time_slope(self, y: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        out = np.zeros_like(y)
        through = self._slope.source - self._slope.sink * self.species(y)[CALCIUM]
        self.species(out)[CALCIUM][...] = through
        out[-2] = self._volume @ through
        out[-1] = self._volume @ self._slope.source
        return out

    def factor(self, y: Float[ndarray, " n"], shift: float) -> Callable[[Float[ndarray, " n"]], Float[ndarray, " n"]]:
        k, drive = self._k, self._drives[0]
        species = self.species(y)
        c = species[CALCIUM]
        through = -drive.sink - self._per_volume * membrane.pump_slope(c, k)
        place = {name: number for number, name in enumerate(self._names)}
        block = np.zeros((len(place), len(place), len(c)))
        by_calcium: dict[str, list[ndarray]] = {calcium.name: [] for calcium in k.calcium_of.values()}
        for buffer, bound, b in self._of_buffers(y):
            row, own, unbinding = place[buffer.name], place[bound], buffer.k_minus + buffer.k_plus * species[bound]
            by_calcium[bound].append(buffer.k_plus * b)
            block[row, own], block[own, row], block[row, row] = by_calcium[bound][-1], unbinding, shift + unbinding
        own = place[CALCIUM]
        block[own, own] = shift + _total(by_calcium[CALCIUM]) - through
        for er in self._organelles:
            inside = place[er.of.calcium]
            by_c, by_e = er.slopes(c, species[er.of.calcium])
            block[own, own] -= er.per_cytosol * by_c
            block[own, inside], block[inside, own] = -er.per_cytosol * by_e, er.per_lumen * by_c
            block[inside, inside] = sum(by_calcium[er.of.calcium], shift + er.per_lumen * by_e)
        solve_cells = self._elimination.factor(block)
        weight = self._volume * through

        def solve_for(right: ndarray) -> ndarray:
            out = np.empty_like(right)
            out[:-2] = solve_cells(right[:-2])
            out[-2] = (right[-2] + weight @ self.species(out)[CALCIUM]) / shift
            out[-1] = right[-1] / shift
            return out

        return solve_for

    def norm(self, error: Float[ndarray, " n"], y: Float[ndarray, " n"], tolerance: float) -> float:
        """Largest error against c, what buffers have bound (it sets c over long times), and organelles off rest."""
        wrong, c = self.species(error), self.species(y)[CALCIUM]
        worst = [np.max(np.abs(wrong[CALCIUM]) / (tolerance * (np.abs(c) + self._k.c_rest)))]
        for er in self._k.organelles:
            away = np.abs(self.species(y)[er.calcium] - er.rest)
            worst.append(np.max(np.abs(wrong[er.calcium]) / (tolerance * (away + 1e-2 * er.rest))))
        for buffer, _, b in self._of_buffers(y):
            scale = tolerance * (np.abs(buffer.total - b) + 1e-2 * buffer.total)
            worst.append(np.max(np.abs(wrong[buffer.name]) / scale))
        return float(max(worst))


@dataclass(frozen=True)
class _Organelle:
    """An organelle in the cells of a mesh.

    Attributes:
        of: Constants of the organelle.
        leak: v_e, µm/s.
        per_cytosol, per_lumen: Membrane of the organelle over both volumes that it parts, 1/µm, (N,).
    """

    of: Organelle
    leak: float
    per_cytosol: Float[ndarray, " N"]
    per_lumen: Float[ndarray, " N"]

    @classmethod
    def of_meshes(cls, of: Organelle, c_rest: float, meshes: Mapping[str, Mesh]) -> "_Organelle":
        """That of all cells."""
        area = meshes[of.name].membrane
        return cls(
            of, membrane.organelle_leak(of, c_rest), area / meshes[CYTOSOL].volume, area / meshes[of.name].volume
        )

    def release(self, c: Float[ndarray, " N"], e: Float[ndarray, " N"]) -> Float[ndarray, " N"]:
        """What it gives to the cytosol, µM·µm/s."""
        released: Float[ndarray, " N"] = self.leak * (e - c) - membrane.serca(c, e, self.of)
        return released

    def slopes(self, c: Float[ndarray, " N"], e: Float[ndarray, " N"]) -> tuple[ndarray, ndarray]:
        """Derivatives of that by c and by e, µm/s."""
        pumped = membrane.serca(c, e, self.of)
        return -self.leak - pumped * self.of.serca_K / ((self.of.serca_K + c) * c), self.leak + pumped / e


def _total(parts: list[Float[ndarray, " N"]]) -> Float[ndarray, " N"]:
    return sum(parts[1:], parts[0])
