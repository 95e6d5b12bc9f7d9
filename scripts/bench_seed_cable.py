"""Benchmark 1: the calcium cable of Miksis and Queisser, all trainers in one table.

Preset `seed` on [−1, 1] × [0, 1], a flux of 1 through the left end all the time, the initial
condition taken from the reference after 5 % of the horizon; D_b = D_c and D_b = D_c/11.

    python scripts/bench_seed_cable.py [--budget SECONDS]
    python scripts/bench_seed_cable.py --result results/seed_cable.h5      the shipped job's run, which begins at t = 0

Errors are relative L2 norms at the final time, ‖c − c_ref‖/‖c_ref‖ over the cable. The reference
(finite volumes, independent of the networks) is refined until it stands still and extrapolated;
the table says how much it still moved. Seconds are wall clock, compilation included.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from numpy.polynomial import chebyshev  # noqa: E402
from numpy.polynomial.legendre import leggauss  # noqa: E402

from hpcpinn.errors import SolveError  # noqa: E402
from hpcpinn.io import read  # noqa: E402
from hpcpinn.marching.march import March  # noqa: E402
from hpcpinn.marching.stats import Stats  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.reference.finite_volume import solve  # noqa: E402
from hpcpinn.reference.forcing import EndFlux, Forcing  # noqa: E402
from hpcpinn.systems.cell.build.constants import constants_of  # noqa: E402
from hpcpinn.systems.cell.build.coupled import coupled_run, coupled_setup  # noqa: E402
from hpcpinn.systems.cell.build.morphology import load_cable  # noqa: E402
from hpcpinn.systems.cell.cable_windows import CableState  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402
from hpcpinn.systems.cell.config.schema import RunConfig  # noqa: E402
from hpcpinn.systems.cell.coupled_run import CoupledRun  # noqa: E402
from hpcpinn.systems.cell.coupled_verdict import Balance  # noqa: E402
from hpcpinn.training.first_order import FirstOrder  # noqa: E402
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt  # noqa: E402
from monolithic import CableTask, DenseNetwork, Monolithic  # noqa: E402

JOB = Path(__file__).resolve().parents[1] / "jobs" / "seed_cable.toml"
START, END = 0.05, 1.0
PAPER = 5.83e-4
"""Error that the paper states at the final time."""
SERIAL = SerialCommunicator()
_NODES, _WEIGHTS = leggauss(200)

USUAL = (
    "training.newton_tolerance=1e-5",
    "training.newton_max=12",
    "schwarz.jump_tolerance=1e-5",
    "schwarz.max_sweeps=8",
)
"""The defaults, where the job has those of `EXACT`."""

EXACT = (
    "training.newton_tolerance=1e-9",
    "training.newton_max=15",
    "schwarz.jump_tolerance=1e-9",
    "schwarz.max_sweeps=30",
)
ACCURATE = ("network.features=144", "window.tolerance=1e-3", *EXACT)
ENOUGH = ("network.features=56", "window.tolerance=0.2", "schwarz.max_sweeps=30")
FEW = ("network.features=42", *ENOUGH[1:], "training.trainer=levenberg-marquardt")
FIRST_ORDER = (
    "network.features=56",
    "window.tolerance=0.2",
    "schwarz.jump_tolerance=1e-3",
    "schwarz.max_sweeps=30",
)
ADAM = (*FIRST_ORDER, "training.trainer=adam", "training.steps=24000", "training.learning_rate=1e-2")
LBFGS = (
    *FIRST_ORDER,
    "network.features=42",
    "training.trainer=lbfgs",
    "training.steps=2400",
    "schwarz.jump_tolerance=3e-3",
    "schwarz.max_sweeps=12",
)


@dataclass(frozen=True)
class Curve:
    """A field along the cable: a Chebyshev series with given averages over equal cells."""

    coefficients: np.ndarray

    @classmethod
    def through(cls, averages: np.ndarray, degree: int = 36) -> "Curve":
        edges = np.linspace(-1.0, 1.0, len(averages) + 1)
        primitives = chebyshev.chebval(edges, chebyshev.chebint(np.eye(degree + 1)))
        means = np.diff(primitives, axis=1).T / np.diff(edges)[:, None]
        return cls(np.linalg.lstsq(means, averages, rcond=None)[0])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return chebyshev.chebval(x, self.coefficients)


@dataclass(frozen=True)
class Case:
    """One ratio of diffusions with its reference.

    Attributes:
        title: Of the table.
        overrides: Of the job.
        initial, final: c and b at the start and at the end.
        moved: How much the last refinement changed the reference at the end, relative L2, c and b.
        seconds: Of the reference's finest solve.
    """

    title: str
    overrides: tuple[str, ...]
    initial: tuple[Curve, Curve]
    final: tuple[Curve, Curve]
    moved: tuple[float, float]
    seconds: float


def settings(overrides: tuple[str, ...]) -> RunConfig:
    """The job of the seed cable in even pieces, from 5 % on."""
    pieces = ("pieces.source_length=0.5", "window.first=0.25", "window.longest=0.5")
    return load_config(JOB, [*pieces, *USUAL, *overrides])


def reference_case(title: str, overrides: tuple[str, ...]) -> Case:
    """Refines the reference until it stands still; two meshes are extrapolated, three compared."""
    config = settings(overrides)
    cable, k = load_cable(config.morphology), constants_of(config)
    flux = EndFlux(node=int(cable.node[0, 0]), flux=config.flux[0].value)
    forcing = Forcing(voltage=config.voltage.constant, ends=(flux,))
    answers, seconds = [], 0.0
    for cells in (400, 800, 1600):
        found = solve(cable, k, forcing, np.array([START, END]), cells=cells, tolerance=1e-10)
        both = np.stack(list(found.fields.values()), axis=1)  # (times, species, cells)
        answers.append(both.reshape(2, 2, 100, -1).mean(axis=-1))
        seconds = found.seconds
    coarse, fine = (b + (b - a) / 3.0 for a, b in zip(answers, answers[1:], strict=False))
    moved = np.linalg.norm(fine[1] - coarse[1], axis=1) / np.linalg.norm(fine[1], axis=1)
    curves = [[Curve.through(averages) for averages in moment] for moment in fine]
    return Case(title, overrides, tuple(curves[0]), tuple(curves[1]), tuple(moved), seconds)


def of_result(path: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Errors of the last frame of a run of the whole job, and how much its reference moved, c and b."""
    run, config = read(path), load_config(JOB)
    cable, k = load_cable(config.morphology), constants_of(config)
    edges = run.cable.xyz[run.cells.piece, :1, 0] + run.cells.fraction * np.diff(
        run.cable.xyz[run.cells.piece, :, 0], axis=1
    )
    forcing = Forcing(voltage=config.voltage.constant, ends=(EndFlux(int(cable.node[0, 0]), config.flux[0].value),))
    answers = []
    for cells in (800, 1600, 3200):
        found = solve(cable, k, forcing, np.array([0.0, END]), cells=cells, tolerance=1e-10)
        primitives = [chebyshev.chebint(Curve.through(species[-1]).coefficients) for species in found.fields.values()]
        answers.append([np.diff(chebyshev.chebval(edges, p), axis=1) / np.diff(edges) for p in primitives])
    coarse, fine = (b + (b - a) / 3.0 for a, b in pairwise(np.array(answers)[..., 0]))
    weight = np.diff(edges, axis=1)[:, 0]
    solved = (run.calcium[-1], run.calbindin[-1])
    errors = tuple(relative(solved[s], fine[s], weight) for s in range(2))
    return errors, tuple(relative(coarse[s], fine[s], weight) for s in range(2))


@dataclass(frozen=True)
class Outcome:
    """What a trainer achieved.

    Attributes:
        name: Of the trainer.
        error: Relative L2 at the end, c and b; of the best moment for those that are watched.
        seconds: Until then.
        reached: Seconds until c was as good as the paper's; None if never.
        note: Work done.
    """

    name: str
    error: tuple[float, float]
    seconds: float
    reached: float | None
    note: str


def relative(found: np.ndarray, wanted: np.ndarray, weight: np.ndarray) -> float:
    """Relative L2 norm of the difference."""
    return float(np.sqrt(np.sum(weight * (found - wanted) ** 2) / np.sum(weight * wanted**2)))


def in_pieces(name: str, case: Case, overrides: tuple[str, ...]) -> Outcome:
    """A run of the package: pieces, windows, Schwarz sweeps."""
    began = time.perf_counter()
    run = coupled_run(settings((*case.overrides, *overrides)), SERIAL)
    problem = run.setup
    piece = problem.cell.pieces.cable.take(problem.local)
    fraction = (problem.drive.grid.space + 1.0) / 2.0
    x = piece.xyz[:, :1, 0] + fraction * np.diff(piece.xyz[:, :, 0], axis=1)
    field = np.stack([curve(x) for curve in case.initial], axis=1)
    state = run.start()._replace(time=START, field=jnp.asarray(field))
    try:
        state, stats = to_end(run, state)
    except SolveError as error:
        return Outcome(name, (math.nan, math.nan), time.perf_counter() - began, None, str(error)[:60])
    seconds = time.perf_counter() - began
    weight = problem.drive.grid.space_weight * piece.length[:, None]
    end = np.asarray(state.field)
    c, b = (relative(end[:, s], case.final[s](x), weight) for s in range(2))
    note = f"{stats.windows} windows, {stats['sweeps']} sweeps, balance {Balance.of(stats).relative:.0e}"
    return Outcome(name, (c, b), seconds, seconds if c <= PAPER else None, note)


def to_end(run: CoupledRun, state: CableState) -> tuple[CableState, Stats]:
    """Marches as `hpcpinn run` does, without writing."""
    march, stats = March.begun(run, state), Stats()
    march.improvement = run.improvement
    for step in march:
        stats = stats.and_window(step)
    return march.state, stats


def dense(
    name: str,
    case: Case,
    optimiser: FirstOrder | LevenbergMarquardt,
    network: DenseNetwork,
    budget: float,
    **points: int,
) -> Outcome:
    """One network on the whole cable, watched until it is as good as the paper's or time is up."""
    config = settings(case.overrides)
    problem = coupled_setup(config, SERIAL)
    drive = problem.drive.window(problem.drive.steady_gates(START), START, END - START)
    task = CableTask(
        equation=problem.solver.equation,
        forcing=jax.tree.map(lambda leaf: leaf[0, 0], drive.inside),
        left=-1.0,
        length=2.0,
        start=START,
        duration=END - START,
        initial=lambda x: np.stack([curve(x) for curve in case.initial]),
        influx=np.array([[config.flux[0].value, 0.0], [0.0, 0.0]]),
    )
    model = Monolithic(task, network, **points)
    wanted = [curve(_NODES) for curve in case.final]
    best, best_at, reached, looking, calls = (math.inf, math.inf), 0.0, None, 0.0, 0
    began = time.perf_counter()

    def watch(parameters, loss) -> bool:
        nonlocal best, best_at, reached, looking, calls
        now = time.perf_counter()
        spent = now - began - looking
        found = np.asarray(model.field(parameters, _NODES, END))
        errors = tuple(relative(found[s], wanted[s], _WEIGHTS) for s in range(2))
        calls += 1
        if errors[0] < best[0]:
            best, best_at = errors, spent
        if reached is None and errors[0] <= PAPER:
            reached = spent
        looking += time.perf_counter() - now
        return spent > budget or (reached is not None and not isinstance(optimiser, LevenbergMarquardt))

    model.train(optimiser, watch)
    unit = "steps" if isinstance(optimiser, LevenbergMarquardt) else "x 250 steps"
    return Outcome(name, best, best_at, reached, f"{calls} {unit}")


def trainers(budget: float) -> Iterator[tuple[str, Callable[[str, Case], Outcome]]]:
    """All rows of the table."""
    wide, small = DenseNetwork(2), DenseNetwork(2, width=16, layers=3)

    def pieces(overrides):
        return lambda name, case: in_pieces(name, case, overrides)

    def whole(optimiser, network, **points):
        return lambda name, case: dense(name, case, optimiser, network, budget, **points)

    yield "least-squares, 144 features", pieces(ACCURATE)
    yield "least-squares, 56 features", pieces(ENOUGH)
    yield "levenberg-marquardt, trunk of 42", pieces(FEW)
    yield "adam on heads", pieces(ADAM)
    yield "lbfgs on heads", pieces(LBFGS)
    yield "levenberg-marquardt, dense 3x16", whole(LevenbergMarquardt(steps=400, tolerance=1e-6), small)
    yield "lbfgs, dense 4x50", whole(FirstOrder("lbfgs"), wide)
    yield "adam 1e-3, dense 4x50 (the paper's)", whole(FirstOrder("adam"), wide)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--budget", type=float, default=120.0, help="seconds per dense network")
    arguments.add_argument("--only", default="", help="rows whose name contains this")
    arguments.add_argument("--result", help="measure the last frame of a run of jobs/seed_cable.toml, and nothing else")
    given = arguments.parse_args()
    if given.result is not None:
        errors, moved = of_result(given.result)
        print(f"{given.result}: c {errors[0]:.1e}, b {errors[1]:.1e}; the reference moved by {max(moved):.0e}")
        return
    for title, overrides in (
        ("D_b = D_c", ()),
        ("D_b = D_c/11", (f"physics.constants.D_b={1.0 / 11.0!r}",)),
    ):
        case = reference_case(title, overrides)
        print(
            f"\n{title}: reference with 1600 cells in {case.seconds:.1f} s, extrapolated, "
            f"moved by {case.moved[0]:.0e} (c), {case.moved[1]:.0e} (b)"
        )
        print(f"{'trainer':38}{'error c':>9}{'error b':>9}{'seconds':>9}{'to 5.83e-4':>12}  work")
        for name, run in trainers(given.budget):
            if given.only not in name:
                continue
            row = run(name, case)
            reached = "never" if row.reached is None else f"{row.reached:.1f} s"
            print(
                f"{name:38}{row.error[0]:9.1e}{row.error[1]:9.1e}{row.seconds:9.1f}{reached:>12}  {row.note}",
                flush=True,
            )


if __name__ == "__main__":
    main()
