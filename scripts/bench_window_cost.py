"""Benchmark: what a split window costs, part by part and per cell, on cells of several sizes.

    python scripts/bench_window_cost.py [--swc FILE] [--cells 540 900 2000] [--repeats 7]

The protocol is 10 Hz on the bundled pyramidal cell (or --swc), one slot of 100 ms with a pulse, its windows
as a long run takes them. Times are processor seconds of this process, the smallest of some
repeats, on one thread: other work on the machine shows little. Parts are timed alone, in a compiled loop
over the real windows, so their sum and the whole differ a little. Writes results/bench_window_cost.json.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from squid_cell import SQUID_CELL  # noqa: E402

from hpcpinn.domain.pieces import PieceRule, cut_into_pieces  # noqa: E402
from hpcpinn.systems.cell.build.long import slot_setup  # noqa: E402
from hpcpinn.systems.cell.build.morphology import load_cable  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402
from hpcpinn.systems.cell.slot_run import compared  # noqa: E402
from hpcpinn.systems.cell.slot_setup import SlotSetup  # noqa: E402
from hpcpinn.timestepping.splitting import _half_reactions_joined  # noqa: E402
from timing import best  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


def least(work: Callable[[], object], repeats: int) -> float:
    """Processor seconds of a compiled call."""
    return best(work, repeats, time.process_time)


def problem_of(morphology: str, cells: int) -> SlotSetup:
    """The problem with about as many cells, by the length of pieces."""
    told = [*SQUID_CELL, f'morphology.file="{morphology}"', "run.output=none.h5"]
    cable = load_cable(load_config(ROOT / "jobs" / "rtms_10hz.toml", told).morphology)
    low, high = 1.0, 400.0
    for _ in range(20):
        length = float(np.sqrt(low * high))
        count = cut_into_pieces(cable, [], [], PieceRule(length, min(length, 20.0), 1.5)).cable.n_frusta
        low, high = (length, high) if count > cells else (low, length)
    pieces = [f"pieces.max_length={length}", f"pieces.source_length={min(length, 20.0)}"]
    return slot_setup(load_config(ROOT / "jobs" / "rtms_10hz.toml", told + pieces))


def parts(problem: SlotSetup, repeats: int) -> dict[str, float]:
    """Seconds of a slot, and of its parts."""
    splitting, state, drive = problem.splitting, problem.rest, problem.drive
    for number, slot in enumerate(problem.slots):
        begin = drive
        motif = problem.solver.solve(slot, begin)
        if number == 2:
            break
        state, drive = splitting.advance(state, motif.plan)[0], motif.end
    plan, state = motif.plan, state.each(jnp.asarray)
    rows = _half_reactions_joined(plan)

    def over_windows(step: Callable) -> float:
        run = jax.jit(lambda s, r: jax.lax.scan(lambda now, row: (step(now, *row), None), s, r)[0])
        return least(lambda: run(state, rows), repeats)

    def influx(now, _, row):
        for half in (row.first, row.second):
            now = splitting._influx(now, half)
        return now

    stored = splitting.diffusion.stored

    def spread(now, _, row):
        return splitting._spread(splitting._spread(now, row.first, -row.lengths), row.second, row.lengths)

    found = {
        "reaction": over_windows(lambda now, h, _: splitting.reaction(now, h, splitting.ratio)[0]),
        "influx": over_windows(influx),
        "influx, spread over the window": over_windows(spread),
        "diffusion": over_windows(lambda now, _, row: splitting._diffused(now, row.series, stored)),
        "all windows": least(lambda: splitting.advance(state, plan), repeats),
        "motif, when solved anew": least(lambda: problem.solver.solve(slot, begin).plan.lengths, 3),
    }
    checked = compared(motif.ends[motif.shared])
    seen = least(lambda: splitting.follow(state, plan, motif.shared[checked]), repeats)
    found["coarse"] = least(lambda: splitting.follow(state, motif.coarse, checked), repeats)
    found["frames"] = seen - found["all windows"]
    found["windows"] = len(motif.ends)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--swc", default="builtin:pyramidal")
    parser.add_argument("--cells", type=int, nargs="+", default=[540, 900, 2000])
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    report = {}
    for cells in given.cells:
        problem = problem_of(given.swc, cells)
        count = len(problem.volume)
        found = parts(problem, given.repeats)
        windows = found.pop("windows")
        print(f"{count} cells, {windows} windows, {problem.solver.cable.compartments.count} voltage compartments")
        for name, seconds in found.items():
            each, cell = 1e6 * seconds / windows, 1e9 * seconds / windows / count
            print(f"  {name:32s} {1e3 * seconds:8.1f} ms a slot {each:8.1f} us a window {cell:7.1f} ns a cell")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"  most memory so far {memory:.2f} GiB", flush=True)
        report[str(count)] = {"windows": windows, "seconds of a slot": found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_window_cost.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
