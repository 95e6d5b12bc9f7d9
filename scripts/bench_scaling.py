"""Benchmark: long runs on 1 to 8 ranks, strong and weak, and a model that says what more ranks would do.

    python scripts/bench_scaling.py [--ranks 1 2 4 8] [--seconds 0.5] [--swc FILE]

Strong: one cell, cut among the ranks. Weak: as many cells as ranks, one each (a population over the
field's magnitude). Each run is `hpcpinn run` under mpirun, every rank on a core of its own where there are
enough; times are those that its result holds. What ranks send each other is counted from their plans: cells of
the halo once per short window (the coarse ones of 10 ms exchange three times), points shared in the elimination
once per voltage step.

Model, fitted to all runs: a window costs a rank  a·cells + b  (and  m·messages + bytes/β  across ranks). More
ranks than cores take turns, so wall time is divided by how many share a core. Predictions for 64 to 4096 ranks
take the plans for as many ranks, the fitted costs, and the messages of the fit (within one machine; a network
adds its latency). Writes results/bench_scaling.json and .png.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from scipy.optimize import nnls  # noqa: E402
from squid_cell import SQUID_CELL  # noqa: E402
from under_mpi import under_mpi  # noqa: E402

from hpcpinn.domain.member_shares import share_members  # noqa: E402
from hpcpinn.io import read  # noqa: E402
from hpcpinn.io.metrics import read_metrics  # noqa: E402
from hpcpinn.morphology.forest import join_cables, join_compartments  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.systems.cell.build.population import members_of  # noqa: E402
from hpcpinn.systems.cell.build.split_cell import SplitCell, describe_split_cell  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402
from hpcpinn.systems.cell.config.schema import RunConfig  # noqa: E402
from hpcpinn.timestepping.cable_equation import owner_of_points  # noqa: E402
from hpcpinn.timestepping.cell_grid import cell_grid  # noqa: E402
from hpcpinn.timestepping.shared_diffusion import SharedDiffusion, shared_diffusion  # noqa: E402
from hpcpinn.timestepping.tree_shares import share_tree  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
LIMIT = 1500
"""Seconds per run."""
SHORT_WINDOW = 0.2e-3
"""s: the shortest coarse window with the defaults of [split]."""
SPECIES, NUMBER = 2, 8
PREDICTED = (64, 256, 1024, 4096)
KEPT = 3
"""Slots of which the median is taken."""


class One(SerialCommunicator):
    """One of several ranks, for planning alone."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


@dataclass(frozen=True)
class Plan:
    """What the busiest rank has to do and to send.

    Attributes:
        cells, points: Of calcium and of the voltage.
        halo: Cells that it receives per window.
        messages: That it sends per window.
        shared: Points of all ranks that are summed per voltage step.
        imbalance: Its cells over the mean.
    """

    ranks: int
    cells: int
    points: int
    halo: int
    messages: int
    shared: int
    imbalance: float


def planned(members: list[SplitCell], ranks: int) -> Plan:
    """The plan of a run on so many ranks."""
    owners = share_members([cell.pieces for cell in members], ranks)
    per = len(members[0].cells.length) // members[0].pieces.n_frusta
    cell_owner = np.repeat(np.concatenate(owners), per)
    of_compartments = np.concatenate([o[m.nearest_piece] for o, m in zip(owners, members, strict=True)])
    load = np.bincount(cell_owner, minlength=ranks)
    busiest = int(np.argmax(load))
    grid = cell_grid(join_cables([cell.cells for cell in members]))
    one = One(busiest, ranks)
    diffusion = shared_diffusion(grid, cell_owner, (220.0, 20.0), SHORT_WINDOW, one, 1e-7)
    compartments = join_compartments([cell.compartments for cell in members])
    owner = owner_of_points(compartments, of_compartments)
    share = share_tree(compartments.parent, owner, one)
    shared = isinstance(diffusion, SharedDiffusion)
    return Plan(
        ranks=ranks,
        cells=int(load[busiest]),
        points=int(np.bincount(owner, minlength=ranks).max()),
        halo=len(diffusion.plan.receive_rows) if shared else 0,
        messages=len(diffusion.plan.rounds) if shared else 0,
        shared=0 if share.top is None else share.top.count,
        imbalance=float(load.max() / load.mean()),
    )


def described(config: RunConfig, least: int = 1) -> list[SplitCell]:
    """Members of a run, its output one cell per piece as long runs have it."""
    return [describe_split_cell(member, least) for member in members_of(config)]


def settings(swc: str, seconds: float, members: int) -> list[str]:
    """Changes to the bundled 10 Hz job."""
    changed = [
        *SQUID_CELL,
        f'morphology.file="{swc}"',
        f"run.duration={1e3 * seconds + 5.0}",
        "split.motif_tolerance=1e-2",
    ]
    if members > 1:
        magnitudes = (1800.0 + 400.0 * np.arange(members) / max(members - 1, 1)).tolist()
        changed.append(f"population.magnitudes={magnitudes}")
    return changed


def measured(name: str, ranks: int, changes: list[str]) -> tuple[float, float]:
    """Seconds per window, with the coarse ones, and seconds per slot, of a run under mpirun.

    Of slots whose voltage is reused, the first of them left out: everything is compiled by then.
    """
    output = RESULTS / f"bench_scaling_{name}_{ranks}" / "run.h5"
    command = [sys.executable, str(ROOT / "scripts" / "one_core.py"), "run", str(ROOT / "jobs" / "rtms_10hz.toml")]
    command += ["--output", str(output), *(part for change in changes for part in ("--set", change))]
    subprocess.run(
        under_mpi(ranks, command), check=True, timeout=LIMIT, cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS="1"), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    metrics = read_metrics(output)
    spent = read(output).windows["seconds_train"]
    slot = float(np.median(spent[-KEPT:]))
    if metrics["motifs_reused"] < KEPT:
        raise SystemExit(f"bench_scaling: {output}: the voltage is not reused often enough; give --seconds more")
    return slot / (metrics["windows"] / (metrics["slots"] - 1)), slot


def fitted(rows: list[tuple[float, ...]], seconds: list[float]) -> tuple[np.ndarray, float]:
    """Non-negative costs, and the root mean square of what they miss, relative."""
    matrix, right = np.array(rows), np.array(seconds)
    costs, _ = nnls(matrix / right[:, None], np.ones(len(right)))
    miss = matrix @ costs / right - 1.0
    return costs, float(np.sqrt(np.mean(miss**2)))


def window_row(plan: Plan) -> tuple[float, ...]:
    """What a window's cost is linear in: cells, one, messages, bytes."""
    return plan.cells, 1.0, plan.messages, plan.halo * SPECIES * NUMBER


def draw(table: list[dict], predictions: list[dict], path: Path) -> None:
    """Measured and modelled time of a window, and predictions."""
    figure, axes = pyplot.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained", sharey=True)
    for kind, colour in (("strong", "#0072B2"), ("weak", "#D55E00")):
        own = [row for row in table if row["kind"] == kind]
        ranks = [row["ranks"] for row in own]
        axes[0].loglog(
            ranks,
            [1e6 * row["seconds per window"] for row in own],
            "o",
            color=colour,
            label=f"{kind}, measured",
        )
        axes[0].loglog(ranks, [1e6 * row["model"] for row in own], "-", color=colour, lw=1, label=f"{kind}, model")
        more = [row for row in predictions if row["kind"] == kind]
        axes[1].loglog(
            [row["ranks"] for row in more],
            [1e6 * row["model"] for row in more],
            "s--",
            color=colour,
            label=kind,
        )
    axes[0].set(xlabel="ranks", ylabel="time of a window on the busiest rank (µs)", title="measured, a core each")
    axes[1].set(xlabel="ranks", title="predicted: one cell refined, and one cell per rank")
    for one in axes:
        one.set_xscale("log", base=2)
        one.legend(frameon=False, fontsize=8)
        one.grid(alpha=0.3)
    figure.savefig(path, dpi=130)


def cut_finer(longest: float) -> list[str]:
    """Settings of pieces no longer than that, µm, at sources neither."""
    return [f"pieces.max_length={longest:.4g}", f"pieces.source_length={min(0.5, longest):.4g}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=0.8, help="of biology")
    parser.add_argument("--swc", default="builtin:pyramidal")
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    table, rows, seconds, plans = [], [], [], {}
    for kind in ("strong", "weak"):
        for ranks in given.ranks:
            if kind == "weak" and ranks == 1 and "strong" in {row["kind"] for row in table}:
                reused = next(row for row in table if row["ranks"] == 1)
                table.append({**reused, "kind": "weak"})
                continue
            members = ranks if kind == "weak" else 1
            config = load_config(ROOT / "jobs" / "rtms_10hz.toml", settings(given.swc, given.seconds, members))
            plan = plans[kind, ranks] = planned(described(config, ranks if kind == "strong" else 1), ranks)
            per_window, slot = measured(kind, ranks, settings(given.swc, given.seconds, members))
            per_window /= max(1.0, ranks / cores)
            rows.append(window_row(plan))
            seconds.append(per_window)
            row = {
                "kind": kind, **asdict(plan), "seconds per window": per_window, "seconds per slot": slot,
                "bytes received per window": plan.halo * SPECIES * NUMBER,
                "bytes summed per voltage step": plan.shared * 3 * NUMBER,
            }  # fmt: skip
            table.append(row)
            print(json.dumps(row), flush=True)
    costs, missed = fitted(rows, seconds)
    for row in table:
        row["model"] = float(np.dot(window_row(Plan(**{k: row[k] for k in Plan.__annotations__})), costs))
    predictions = []
    base = described(load_config(ROOT / "jobs" / "rtms_10hz.toml", settings(given.swc, given.seconds, 1)), 8)
    whole = base[0].points.n
    for ranks in PREDICTED:
        fine = described(load_config(
            ROOT / "jobs" / "rtms_10hz.toml",
            [*settings(given.swc, given.seconds, 1), *cut_finer(20.0 * whole / (whole + 16 * ranks))],
        ), ranks)  # fmt: skip
        plan = planned(fine, ranks)
        one = Plan(ranks, whole, plan.points, 0, 0, 0, 1.0)
        for kind, what in (("strong", plan), ("weak", one)):
            model = float(np.dot(window_row(what), costs))
            predictions.append({"kind": kind, **asdict(what), "model": model})
            print(json.dumps(predictions[-1]), flush=True)
    report = {
        "cell": given.swc, "cores": cores, "seconds of biology": given.seconds,
        "seconds per cell and window": costs[0], "seconds per window": costs[1],
        "seconds per message": costs[2], "seconds per byte": costs[3],
        "model off by (rms, relative)": missed, "measured": table, "predicted": predictions,
    }  # fmt: skip
    (RESULTS / "bench_scaling.json").write_text(json.dumps(report, indent=2))
    draw(table, predictions, RESULTS / "bench_scaling.png")
    print(json.dumps({k: v for k, v in report.items() if k not in ("measured", "predicted")}, indent=2))


if __name__ == "__main__":
    main()
