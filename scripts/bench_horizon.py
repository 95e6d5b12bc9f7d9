"""Benchmark: how the error of split windows grows with the horizon, up to 10 minutes of 1 Hz.

    python scripts/bench_horizon.py [--seconds 600] [--longest 10] [--tolerance 1e-4] [--length 20]
                                    [--cell builtin:y_branch] [--reference-tolerance 1e-6] [--quick]

A small branched cell; an action potential runs through all of it once a second: the voltage is given.
Windows are found on the first period from the local error, none longer than --longest ms, and kept for
all others. The truth is the finite-volume reference on the same compartments over the whole
time, in steps of its own choice; it is kept in results/ and found again. It shares nothing with what is
judged but the geometry and the constants.

Error: relative L2 of c − c_rest, weighted by volume over the tree and by the trapezoidal rule over time,
within every decade of time and at its end; the decades are 1, 10, 100, ... times the longest window.
Beside it stands the error estimate that a run gives: the distance from the same course in windows twice
as long, over three. Further curves tell what the error comes from: the flow map (a stiff sub-step takes its place)
or the windows (each of them halved). --quick leaves these away.
Writes results/bench_horizon.json and .png; ends with 1 if the error of any decade is above 1e-3.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

sys.path.insert(0, str(Path(__file__).resolve().parent))

import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from given_voltage import RESULTS, TICK, Train, Truth  # noqa: E402
from numpy import ndarray  # noqa: E402

from hpcpinn.domain.pieces import PieceRule, cut_into_pieces  # noqa: E402
from hpcpinn.morphology.build import cable_from_swc  # noqa: E402
from hpcpinn.morphology.cable import Cable  # noqa: E402
from hpcpinn.morphology.meshes import morphology_path  # noqa: E402
from hpcpinn.morphology.swc import read_swc  # noqa: E402
from hpcpinn.physics.constants import PRESETS, CalciumConstants  # noqa: E402
from hpcpinn.timestepping.cell_grid import CellGrid, cell_grid  # noqa: E402
from hpcpinn.timestepping.diffusion import cable_diffusion  # noqa: E402
from hpcpinn.timestepping.flow_map_store import shipped_flow_map  # noqa: E402
from hpcpinn.timestepping.influx import InfluxTable  # noqa: E402
from hpcpinn.timestepping.pulse_windows import Excursion, pulse_windows  # noqa: E402
from hpcpinn.timestepping.reaction import FlowMapReaction, StiffReaction  # noqa: E402
from hpcpinn.timestepping.splitting import RICHARDSON_DIVISOR, Splitting, plan_windows  # noqa: E402
from hpcpinn.training.flow_map import ReactionState  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

FRAMES = 1e-3 * np.array(
    [0.8, 1.2, 1.6, 2, 2.4, 2.8, 3.2, 3.6, 4, 5, 7, 10, 20, 40, 70, 100, 150, 200, 300, 400, 500, 600, 800, 1000]
)  # fmt: skip
"""Times within a period at which answers are compared, s."""
TRAIN = Train(1.0, 1e-3, tuple(FRAMES.tolist()))
BOUND = 1e-3


@dataclass(frozen=True)
class Course:
    """A course over all periods.

    Attributes:
        c: At the frames, (cycles, frames, N), µM.
        estimate: Error estimate of every period, µM, root mean square over tree and period.
        reach: Distance from rest in every period, the same.
        seconds: Of the windows themselves.
    """

    c: ndarray
    estimate: ndarray
    reach: ndarray
    seconds: float


def follow(
    splitting: Splitting, rest: ReactionState, tables: list[InfluxTable], ends: ndarray, cells: CellGrid
) -> Course:
    """All periods, and beside them the same in windows twice as long."""
    shared = np.unique(np.append(np.arange(1, len(ends), 2), len(ends) - 1))
    rows = np.searchsorted(ends, TRAIN.ticks())
    plans = {id(x): [plan_windows(e, x, splitting.diffusion) for e in (ends, ends[shared])] for x in tables}
    share, gaps = cells.volume / cells.volume.sum(), np.diff(ends[shared], prepend=0) / ends[-1]
    state, coarse_state, seconds = rest, rest, 0.0
    kept, estimate, reach = [], [], []
    for table in tables:
        fine, coarse = plans[id(table)]
        begin = time.perf_counter()
        state, frames, _ = splitting.follow(state, fine)
        c = np.asarray(frames.c)
        seconds += time.perf_counter() - begin
        coarse_state, seen, _ = splitting.follow(coarse_state, coarse)
        apart, away = c[shared] - np.asarray(seen.c), c[shared] - np.asarray(rest.c)
        estimate.append(float(np.sqrt(gaps @ apart**2 @ share)) / RICHARDSON_DIVISOR)
        reach.append(float(np.sqrt(gaps @ away**2 @ share)))
        kept.append(c[rows])
    return Course(np.array(kept), np.array(estimate), np.array(reach), seconds)


def decades(longest: float, seconds: float) -> ndarray:
    """1, 10, 100 … times the longest window, and the end, s."""
    powers = longest * 10.0 ** np.arange(0, np.ceil(np.log10(seconds / longest) - 1e-9))
    return np.append(powers, seconds)


def by_time(difference: ndarray, excursion: ndarray, volume: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Times of all frames, and per frame the weighted squares of error and of excursion over tree and time."""
    times = TRAIN.times(len(difference))
    weights = np.diff(times, prepend=0.0)
    squares = ((x.reshape(len(times), -1) ** 2) @ volume * weights for x in (difference, excursion))
    return times, *squares


def within(edges: ndarray, times: ndarray, off: ndarray, of: ndarray) -> list[float]:
    """Relative L2 within every stretch that ends at an edge."""
    place = np.searchsorted(edges, times - 1e-9)
    totals = (np.bincount(place, x, len(edges))[: len(edges)] for x in (off, of))
    return [float(np.sqrt(a / b)) for a, b in zip(*totals, strict=True)]


def small_cell(name: str, longest: float) -> Cable:
    """A cell in pieces of about one length."""
    cable = cable_from_swc(read_swc(morphology_path(name)))[0]
    return cut_into_pieces(cable, [], [], PieceRule(longest, longest, 2.0)).cable


def figures(
    course: Course, truth: Truth, k: CalciumConstants, volume: ndarray, edges: ndarray
) -> dict[str, list[float]]:
    """Errors within decades, at their ends, and the largest estimate until then."""
    times, off, of = by_time(course.c - truth.c, truth.c - k.c_rest, volume)
    at_ends = [int(np.searchsorted(times, edge - 1e-9)) for edge in edges]
    cycles = np.ceil(edges / TRAIN.period - 1e-9).astype(int)
    return {
        "within": within(edges, times, off, of),
        "at the end": [float(np.sqrt(off[i] / of[i])) for i in at_ends],
        "estimate": [float(np.max(course.estimate[:n] / np.maximum.accumulate(course.reach)[:n])) for n in cycles],
    }


def draw(courses: dict[str, Course], truth: Truth, k: CalciumConstants, volume: ndarray, edges: ndarray,
         report: dict, path: Path) -> None:  # fmt: skip
    """Calcium over all time, and the errors under it."""
    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(9, 7.5), sharex=True, height_ratios=(1, 1.8), layout="constrained"
    )
    times = TRAIN.times(len(truth.c))
    mean = np.average(truth.c, axis=2, weights=volume)
    shown = times > 1e-3
    top.loglog(times[shown], mean.ravel()[shown], color="0.75", lw=0.7, label="reference")
    for column, label in ((int(np.argmax(mean[0])), "peak of every period"), (-1, "end of every period")):
        top.loglog(times[column % len(FRAMES) :: len(FRAMES)], mean[:, column], "o", ms=2.5, label=label)
    top.set(
        ylabel="mean calcium (µM)",
        title="an action potential per second, split windows against finite volumes",
    )
    top.legend(frameon=False, fontsize=8)
    for number, (name, course) in enumerate(courses.items()):
        times, off, of = by_time(course.c - truth.c, truth.c - k.c_rest, volume)
        per_period = np.sqrt(off.reshape(len(truth.c), -1).sum(axis=1) / of.reshape(len(truth.c), -1).sum(axis=1))
        ends = TRAIN.period * np.arange(1, len(truth.c) + 1)
        bottom.loglog(ends, per_period, color=f"C{number}", lw=1.2, label=f"{name}, error of every period")
        if not number:
            first = times <= TRAIN.period
            bottom.loglog(times[first], np.sqrt(off / of)[first], ".", color="C0", ms=4, alpha=0.6,
                          label="error at the frames of the first period")  # fmt: skip
            bottom.loglog(ends, course.estimate / np.maximum.accumulate(course.reach), "k--", lw=1.2,
                          label="error estimate of the run")  # fmt: skip
    bottom.plot(edges, report["split windows"]["within"], "s", color="C0", ms=8, mfc="none", mew=1.6,
                label="error within a decade, at its end")  # fmt: skip
    for edge in edges:
        top.axvline(edge, color="0.85", lw=0.8, zorder=0)
        bottom.axvline(edge, color="0.85", lw=0.8, zorder=0)
        bottom.annotate(f"{edge / edges[0]:g}×", (edge, 1.0), xycoords=("data", "axes fraction"), xytext=(-3, -3),
                        textcoords="offset points", ha="right", va="top", fontsize=8)  # fmt: skip
    bottom.axhline(BOUND, color="k", ls=":", lw=0.8)
    bottom.set(xlabel="time (s)", ylabel="relative L2 error of c − c_rest", ylim=(1e-6, 1e-2))
    bottom.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--longest", type=float, default=10.0, help="longest window, ms")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest local error of a window")
    parser.add_argument("--length", type=float, default=20.0, help="longest compartment, µm")
    parser.add_argument("--cell", default="builtin:y_branch", help="SWC file, or builtin:NAME")
    parser.add_argument("--reference-tolerance", type=float, default=1e-6)
    parser.add_argument("--quick", action="store_true", help="without the curves that tell causes")
    given = parser.parse_args()

    cable = small_cell(given.cell, given.length)
    k, cycles = PRESETS["physical-N"], round(given.seconds / TRAIN.period)
    cells = cell_grid(cable)
    print(f"{cells.n} compartments, reference over {cycles} periods ...", flush=True)
    truth = TRAIN.reference(cable, k, cycles, given.reference_tolerance)
    short = min(cycles, 20)
    looser = TRAIN.reference(cable, k, short, 10.0 * given.reference_tolerance)
    edges = decades(1e-3 * given.longest, given.seconds)
    _, off, of = by_time(looser.c - truth.c[:short], truth.c[:short] - k.c_rest, cells.volume)

    diffusion = cable_diffusion(cells, (k.D_c, k.D_b))
    tables, followed = TRAIN.influx(k, cycles)
    flow_map = shipped_flow_map(k)
    ratio, k_r = jnp.asarray(cells.ratio), flow_map.constants
    splitting = Splitting(FlowMapReaction(flow_map), diffusion, ratio, binding=k_r)
    rest = ReactionState(np.full(cells.n, k.c_rest), np.full(cells.n, k.b_rest))
    excursion = Excursion.of_cytosol(cells.volume, ReactionState.of(k.rest), floor=5e-3)
    search = {"tolerance": given.tolerance, "longest": 1e-3 * given.longest, "stops": TRAIN.ticks()}
    ends = pulse_windows(splitting, rest, tables[0], excursion, **search).ends
    halves = np.sort(np.append(ends, (np.append(0, ends[:-1]) + ends) // 2))
    ways: dict[str, tuple[Splitting, ndarray]] = {"split windows": (splitting, ends)}
    if not given.quick:
        stiff = Splitting(StiffReaction(k_r), diffusion, ratio, binding=k_r)
        ways |= {
            "without the flow map": (stiff, ends),
            "windows halved": (splitting, halves),
            "windows halved, without the flow map": (stiff, halves),
        }
    courses = {name: follow(way, rest, tables, its, cells) for name, (way, its) in ways.items()}
    report: dict = {
        "cell": given.cell,
        "compartments": cells.n,
        "seconds of biology": given.seconds,
        "windows per period": len(ends),
        "longest window, ms": float(1e3 * TICK * np.diff(ends, prepend=0).max()),
        "periods until gates repeat": followed,
        "horizons, s": edges.tolist(),
        "reference": {
            "seconds": truth.seconds,
            "steps": truth.steps,
            f"moves over {short} s by (tolerances 10 apart)": float(np.sqrt(off.sum() / of.sum())),
        },
    }
    for name, course in courses.items():
        report[name] = figures(course, truth, k, cells.volume, edges)
        report[name]["seconds per second of biology"] = course.seconds / given.seconds
    main_way = report["split windows"]
    print(f"{'horizon / s':>12} {'times':>8} {'within':>9} {'at end':>9} {'estimate':>9}")
    columns = zip(edges, *(main_way[x] for x in ("within", "at the end", "estimate")), strict=True)
    for edge, inside, end, estimate in columns:
        print(f"{edge:>12g} {edge / edges[0]:>8g} {inside:>9.1e} {end:>9.1e} {estimate:>9.1e}")
    bounded = max(main_way["within"]) <= BOUND
    report[f"within {BOUND:g} everywhere"] = bounded
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_horizon.json").write_text(json.dumps(report, indent=2))
    draw(courses, truth, k, cells.volume, edges, report, RESULTS / "bench_horizon.png")
    print(json.dumps({name: x for name, x in report.items() if name not in courses}, indent=1))
    print("bounded" if bounded else "NOT bounded", f"by {BOUND:g}")
    sys.exit(not bounded)


if __name__ == "__main__":
    main()
