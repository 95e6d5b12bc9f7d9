"""Benchmark: split windows on a CA1 cell, 10 s of 10 Hz, against the independent reference.

    python scripts/bench_split_windows.py [--seconds 10] [--tolerance 3e-4] [--swc FILE]
                                          [--reference-tolerance 1e-6] [--preset physical-N]

The cell is cut into compartments of some 20 µm (frusta shorter than that are merged). An action
potential runs through all of it every 100 ms: the voltage is given. Window ends are found on the
first cycle, from the local error, and kept for all others.

Error: relative L2 of c − c_rest, weighted by volume over the tree and by the trapezoidal rule over
time, against the finite-volume reference on the same compartments, whose own movement between two
tolerances is given beside it. So what is judged is time: splitting, flow map, influx; not the grid.
The reference is kept in results/ and found again by its settings.
Writes results/bench_split_windows.json and .png.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

sys.path.insert(0, str(Path(__file__).resolve().parent))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from given_voltage import RESULTS, TICK, Train, Truth  # noqa: E402
from halving import halving_error  # noqa: E402
from numpy import ndarray  # noqa: E402

from hpcpinn.morphology.build import cable_from_swc  # noqa: E402
from hpcpinn.morphology.swc import read_swc  # noqa: E402
from hpcpinn.physics.constants import PRESETS, CalciumConstants  # noqa: E402
from hpcpinn.timestepping.cell_grid import cell_grid  # noqa: E402
from hpcpinn.timestepping.diffusion import cable_diffusion  # noqa: E402
from hpcpinn.timestepping.flow_map_store import shipped_flow_map  # noqa: E402
from hpcpinn.timestepping.pulse_windows import Excursion, pulse_windows  # noqa: E402
from hpcpinn.timestepping.reaction import FlowMapReaction, StiffReaction  # noqa: E402
from hpcpinn.timestepping.splitting import Splitting, WindowPlan, plan_windows  # noqa: E402
from hpcpinn.training.flow_map import ReactionState  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("HPCPINN_SHARED", ROOT.parent / "shared"))
FLOOR = 5e-3
"""µM: excursions below it are not told apart when windows are sought."""
FRAMES = 1e-3 * np.array([9.8, 10.2, 10.6, 11, 11.4, 11.8, 12.2, 12.6, 13, 14, 16, 20, 30, 50, 75, 100])
"""Times within a period at which answers are compared, s."""
TRAIN = Train(0.1, 0.01, tuple(FRAMES.tolist()))


@dataclass(frozen=True)
class Course:
    """What the split windows gave: c and b at FRAMES (cycles, frames, N), seconds, stiff sub-steps."""

    c: ndarray
    b: ndarray
    seconds: float
    seconds_with_frames: float
    outside: int


def run(splitting: Splitting, start: ReactionState, plans: list[WindowPlan], ends: ndarray) -> Course:
    """All periods twice after compilation: without frames for the time, and with them."""
    rows = np.searchsorted(ends, TRAIN.ticks())
    jax.block_until_ready((splitting.advance(start, plans[0]), splitting.follow(start, plans[0])))
    best = np.inf
    for _ in range(3):
        begin, state = time.perf_counter(), start
        for plan in plans:
            state, _ = splitting.advance(state, plan)
        jax.block_until_ready(state)
        best = min(best, time.perf_counter() - begin)
    begin, state, frames, outside = time.perf_counter(), start, [], 0
    for plan in plans:
        state, seen, count = splitting.follow(state, plan)
        frames.append([np.asarray(x)[rows] for x in (seen.c, seen.b)])
        outside += int(count)
    c, b = (np.array([frame[i] for frame in frames]) for i in (0, 1))
    return Course(c, b, best, time.perf_counter() - begin, outside)


def relative(difference: ndarray, excursion: ndarray, volume: ndarray) -> tuple[float, ndarray]:
    """L2 over tree and time, and over the tree at every frame."""
    weights = np.gradient(np.append(0.0, FRAMES))[1:]
    size, of = ((x**2 * volume).sum(axis=-1) for x in (difference, excursion))
    return float(np.sqrt((size * weights).sum() / (of * weights).sum())), np.sqrt(size / of)


def draw(
    truth: Truth,
    course: Course,
    k: CalciumConstants,
    volume: ndarray,
    error: ndarray,
    ends: ndarray,
    path: Path,
):
    """Mean calcium over all periods and in the last one, windows, and the error."""
    figure, axes = pyplot.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    cycles = len(truth.c)
    of_truth, of_course = (np.average(x, axis=2, weights=volume) for x in (truth.c, course.c))
    ends_of_periods = TRAIN.period * np.arange(1, cycles + 1)
    for mean, style, label in ((of_truth, "k-", "reference"), (of_course, "C1.", "split windows")):
        axes[0].plot(ends_of_periods, mean.max(axis=1), style, lw=0.8, ms=3, label=label)
        axes[0].plot(ends_of_periods, mean[:, -1], style, lw=0.8, ms=3)
        axes[1].plot(1e3 * FRAMES, mean[-1], style, lw=0.8, ms=4)
    axes[0].set(xlabel="time (s)", ylabel="mean calcium (µM), peaks and ends of periods")
    axes[1].set(xlabel="time in the last period (ms)", ylabel="mean calcium (µM)")
    axes[0].legend(frameon=False, fontsize=8)
    axes[2].step(1e3 * TICK * ends, 1e3 * TICK * np.diff(ends, prepend=0), where="pre", color="C2")
    axes[2].set(yscale="log", xlabel="time in the period (ms)", ylabel="window (ms)")
    axes[3].semilogy(1e3 * FRAMES, error.T, color="C0", alpha=0.15, lw=0.8)
    axes[3].axhline(1e-3, color="k", ls=":", lw=0.8)
    axes[3].set(ylim=(1e-5, 1e-2), xlabel="time in the period (ms)", ylabel="rel. L2 error of c − c_rest (tree)")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tolerance", type=float, default=3e-4, help="largest local error of a window")
    parser.add_argument("--longest", type=float, default=10.0, help="longest window, ms")
    parser.add_argument("--reference-tolerance", type=float, default=1e-6)
    parser.add_argument("--preset", default="physical-N", choices=["physical-N", "physical-L", "physical-T"])
    parser.add_argument("--swc", type=Path, default=SHARED / "morphologies" / "rat_ca1_pyramidal_c91662.swc")
    given = parser.parse_args()
    if not given.swc.is_file():
        parser.error(f"{given.swc}: no such file; set HPCPINN_SHARED or give --swc")

    cable = cable_from_swc(read_swc(given.swc), merge_below=20.0)[0]
    k, cycles = PRESETS[given.preset], round(given.seconds / TRAIN.period)
    truth = TRAIN.reference(cable, k, cycles, given.reference_tolerance)
    looser = TRAIN.reference(cable, k, cycles, 10.0 * given.reference_tolerance)
    cells = cell_grid(cable)
    moved, _ = relative(looser.c - truth.c, truth.c - k.c_rest, cells.volume)

    begin = time.perf_counter()
    diffusion = cable_diffusion(cells, (k.D_c, k.D_b))
    tables, followed = TRAIN.influx(k, cycles)
    seconds_influx = time.perf_counter() - begin

    flow_map = shipped_flow_map(k)
    ratio, k_r = jnp.asarray(cells.ratio), flow_map.constants
    splitting = Splitting(FlowMapReaction(flow_map), diffusion, ratio, binding=k_r)
    rest = ReactionState(np.full(cells.n, k.c_rest), np.full(cells.n, k.b_rest))
    excursion = Excursion.of_cytosol(cells.volume, ReactionState.of(k.rest), floor=FLOOR)
    begin = time.perf_counter()
    search = {
        "tolerance": given.tolerance,
        "longest": 1e-3 * given.longest,
        "stops": TRAIN.ticks(),
    }
    first = pulse_windows(splitting, rest, tables[0], excursion, **search)
    found = pulse_windows(splitting, first.state, tables[min(1, cycles - 1)], excursion, **search)
    seconds_search = time.perf_counter() - begin
    begin = time.perf_counter()
    distinct = {id(table): plan_windows(found.ends, table, diffusion) for table in tables}
    plans = [distinct[id(table)] for table in tables]
    seconds_plans = time.perf_counter() - begin

    report: dict = {
        "compartments": cells.n,
        "seconds of biology": given.seconds,
        "windows per period": len(found.ends),
        "shortest and longest window, ms": [
            float(x)
            for x in 1e3 * TICK * np.array([np.diff(found.ends, prepend=0).min(), np.diff(found.ends, prepend=0).max()])
        ],
        "windows rejected in the search": first.rejected + found.rejected,
        "periods until gates repeat": followed,
        "seconds, influx (with compilation)": seconds_influx,
        "seconds, search of windows (with compilation)": seconds_search,
        "seconds, plans": seconds_plans,
        "seconds, reference": truth.seconds,
        "seconds, reference at ten times its tolerance": looser.seconds,
        "reference moves by": moved,
    }
    ways = {
        "Strang, flow map": splitting,
        "Strang, stiff sub-step": Splitting(StiffReaction(k_r), diffusion, ratio, binding=k_r),
        "Strang, influx all in the middle": Splitting(FlowMapReaction(flow_map), diffusion, ratio),
        "Lie, flow map": Splitting(FlowMapReaction(flow_map), diffusion, ratio, 1),
    }
    for name, way in ways.items():
        course = run(way, rest, plans, found.ends)
        of_c, by_frame = relative(course.c - truth.c, truth.c - k.c_rest, cells.volume)
        of_b, _ = relative(course.b - truth.b, truth.b - k.b_rest, cells.volume)
        report[name] = {
            "rel. L2 of c - c_rest, tree and time": of_c,
            "rel. L2 of b - b_rest, tree and time": of_b,
            "largest over frames after the first pulse": float(by_frame.ravel()[4:].max()),
            "at the end": float(by_frame[-1, -1]),
            "seconds per second of biology": course.seconds / given.seconds,
            "with frames": course.seconds_with_frames / given.seconds,
            "microseconds per window": 1e6 * course.seconds / cycles / len(found.ends),
            "stiff sub-steps": course.outside,
        }
        if way is splitting:
            draw(truth, course, k, cells.volume, by_frame, found.ends, RESULTS / "bench_split_windows.png")
            last = ReactionState(course.c[-2, -1], course.b[-2, -1])
            estimate = halving_error(splitting, last, tables[-1], found.ends, excursion)
            report["error estimate over the last period, by halving"] = estimate
    print(json.dumps(report, indent=2))
    (RESULTS / "bench_split_windows.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
