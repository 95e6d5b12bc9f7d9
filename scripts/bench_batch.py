"""Benchmark: many members (cells × parameter sets) side by side on one device, and how far from its limits.

    python scripts/bench_batch.py [--batches 1 64 1024] [--swc FILE] [--repeats 5]

A member is the bundled pyramidal cell (or FILE) with its own field and its own density of channels. All are one
forest, as a population of `hpcpinn run` is. Timed, each compiled beforehand: the split windows of a whole 100 ms
slot of 10 Hz (reaction, influx, diffusion; nothing kept), steps of the voltage, and what else a slot that is solved
anew takes. JAX_PLATFORMS=cpu takes the CPU.

Limits are measured on the same device: a large copy for the bytes per second, a large float64 product for the
operations. What a window must move is its state and its influx, once; what it must compute is counted below. The
larger of the two times is the bound; so is the larger for a step of the voltage. Compiled loops write every
intermediate array of the diffusion's series to memory, and the second share says how much of the bandwidth
that traffic takes. Writes results/bench_batch.json and .png.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402
from squid_cell import SQUID_CELL  # noqa: E402

from hpcpinn.morphology.forest import join_cables, join_compartments, points_of  # noqa: E402
from hpcpinn.systems.cell.build.long import LEFT_OUT, slot_setup  # noqa: E402
from hpcpinn.systems.cell.build.membrane import membrane_of  # noqa: E402
from hpcpinn.systems.cell.build.population import members_of  # noqa: E402
from hpcpinn.systems.cell.build.regions import sets_of  # noqa: E402
from hpcpinn.systems.cell.build.split_cell import SplitCell, describe_split_cell  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402
from hpcpinn.systems.cell.slot_setup import SlotSetup  # noqa: E402
from hpcpinn.timestepping.cable_equation import CableEquation  # noqa: E402
from hpcpinn.timestepping.cell_grid import cell_grid  # noqa: E402
from hpcpinn.timestepping.cell_weights import cell_weights  # noqa: E402
from hpcpinn.timestepping.diffusion import cable_diffusion  # noqa: E402
from hpcpinn.timestepping.influx import ChannelScale, surplus_leak  # noqa: E402
from hpcpinn.timestepping.motifs import Motif, SlotVoltage  # noqa: E402
from hpcpinn.timestepping.pulse_steps import steps_between  # noqa: E402
from hpcpinn.timestepping.splitting import Splitting, WindowPlan  # noqa: E402
from hpcpinn.training.flow_map import ReactionState  # noqa: E402
from timing import best  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
STEPS = 512
"""Of the voltage, per measurement."""
MOST_PLANNED = 64
"""Members for which a slot is solved anew; its tables of 1024 would take many GB."""
ANEW = "seconds, influx of a slot solved anew"
TRANSCENDENTAL = 20
"""Operations that an exponential, a logarithm or a hyperbolic tangent is taken for."""


def limits(repeats: int) -> tuple[float, float]:
    """Bytes and float64 operations per second of this device."""
    on_cpu = jax.default_backend() == "cpu"
    x = jax.random.normal(jax.random.key(0), (2**24 if on_cpu else 2**28,))
    copied = jax.jit(lambda a: a + 1.0)
    seconds = best(lambda: copied(x), repeats)
    n = 1024 if on_cpu else 8192
    matrix = jax.random.normal(jax.random.key(1), (n, n))
    product = jax.jit(lambda a: a @ a)
    return 2.0 * x.nbytes / seconds, 2.0 * n**3 / best(lambda: product(matrix), repeats)


def operations(problem: SlotSetup, terms: float, species: int = 2) -> float:
    """That one cell needs for one window."""
    network = problem.splitting.reaction.flow_map.network  # type: ignore[attr-defined]
    layers = [layer.weight.shape for layer in network]
    products = sum(2 * a * b for a, b in layers)
    curves = sum(b for _, b in layers[:-1])
    # closed flow, quasi-steady state and the network's inputs take about 14 more
    reaction = products + TRANSCENDENTAL * (curves + 14) + 60
    influx = 2 * (4 * 3 + TRANSCENDENTAL) + 2 * (2 * TRANSCENDENTAL + 20)
    return reaction + influx + species * 9 * terms


def bytes_moved(problem: SlotSetup) -> float:
    """That one cell's window must move: two fields in and out, three constants, its share of the influx.

    The influx of a compartment is two sinks and eight moments; a cell's place and weight in one take 12 bytes.
    """
    cells, compartments = problem.solver.to_cells.shape
    weights = problem.splitting.cells
    width = 0 if weights is None else len(weights.column)
    return 8.0 * (2 * 2 + 3 + 10 * compartments / cells) + 12.0 * width


def bytes_of_series(terms: float, species: int = 2) -> float:
    """That the series' loop moves besides: two arrays in, one out, the fields, the stencil's three diagonals."""
    return 8.0 * terms * (4 * species + 3)


def many(plan: WindowPlan, copies: int) -> WindowPlan:
    """A plan for copies of a cell, each with channels of its own density."""
    strength = jnp.asarray(np.linspace(0.6, 1.4, copies))

    def wide(x: jax.Array) -> jax.Array:
        return (x[..., None, :] * strength[:, None]).reshape(*x.shape[:-1], -1)

    return plan._replace(first=jax.tree.map(wide, plan.first), second=jax.tree.map(wide, plan.second))


def windows(problem: SlotSetup, cell: SplitCell, motif: Motif, copies: int, repeats: int) -> dict[str, float]:
    """Seconds of a slot's windows and what that means."""
    grid = cell_grid(join_cables([cell.cells] * copies))
    k = problem.constants
    diffusion = cable_diffusion(grid, (k.D_c, k.D_b), LEFT_OUT)
    reaction = problem.splitting.reaction
    splitting = Splitting(
        reaction,
        diffusion,
        jnp.asarray(grid.ratio),
        binding=reaction.flow_map.constants,  # type: ignore[attr-defined]
        cells=cell_weights(sparse.block_diag([cell.to_cells] * copies, format="csr")),
    )
    plan = many(motif.plan, copies)
    rest = problem.rest
    state = ReactionState(jnp.full(grid.n, rest.c[0]), jnp.full(grid.n, rest.b[0]))
    outside = int(splitting.advance(state, plan)[1])
    seconds = best(lambda: splitting.advance(state, plan), repeats)
    count = len(motif.ends)
    lengths = np.diff(motif.ends, prepend=0.0) * k.time_unit
    terms = float(np.asarray(diffusion.series(lengths).terms).mean())
    return {
        "cells": grid.n, "windows": count, "terms": terms, "seconds": seconds, "outside": outside,
        "members x s of biology per s": copies * 1e-3 * motif.slot.duration / seconds,
        "cells x windows per s": grid.n * count / seconds,
    }  # fmt: skip


def planned(problem: SlotSetup, cell: SplitCell, course: SlotVoltage, copies: int) -> dict[str, float]:
    """Seconds of a slot solved anew besides its voltage: gates, influx, windows; for batches that are not too large."""
    if copies > MOST_PLANNED:
        return {}
    solver, gates = problem.solver, np.tile(course.begin.gates, (copies, 1))
    strength = np.repeat(np.linspace(0.6, 1.4, copies), len(course.begin.gates))
    wide = replace(
        solver,
        to_cells=sparse.block_diag([cell.to_cells] * copies, format="csr"),
        channels=ChannelScale(strength, np.full(len(strength), surplus_leak(problem.constants))),
    )
    course = course._replace(voltage=np.tile(course.voltage, (1, copies)), begin=course.begin._replace(gates=gates))
    seconds = best(lambda: wide.planned(course).plan, 2)
    return {ANEW: seconds}


def voltage(problem: SlotSetup, cell: SplitCell, copies: int, repeats: int) -> dict[str, float]:
    """Seconds of steps of the voltage."""
    sets = sets_of(cell.coating)
    equation = CableEquation(
        join_compartments([cell.compartments] * copies), [sets[name] for name in cell.coating.names] * copies,
        membrane_of(cell.config).cable,
    )  # fmt: skip
    assert cell.psi is not None
    psi = [cell.psi * factor for factor in np.linspace(0.8, 1.2, copies)]
    source = equation.field_source(points_of([cell.compartments] * copies, psi))
    solver = problem.solver
    plan = steps_between(solver.onset, solver.onset + 20.0, solver.steps, solver.stimulus, solver.onset)
    plan = type(plan)(*(x[:STEPS] for x in plan))
    rest = equation.uniform_state(-65.0)
    seconds = best(lambda: equation.march(rest, plan, source[None], record=[0])[1], repeats) / len(plan.length)
    n = equation.compartments.count
    return {"compartments": n, "seconds per step": seconds, "compartments x steps per s": n / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 1024])
    parser.add_argument("--swc", default="builtin:pyramidal")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    config = load_config(
        ROOT / "jobs" / "rtms_10hz.toml", [*SQUID_CELL, f'morphology.file="{given.swc}"', "run.duration=305"]
    )
    problem = slot_setup(config)
    cell = describe_split_cell(members_of(config)[0])
    slots = problem.slots
    drive = problem.solver.solve(slots[0], problem.drive).end
    course = problem.solver.course(slots[1], drive)
    motif = problem.solver.planned(course)
    device, (bandwidth, peak) = jax.devices()[0], limits(given.repeats)
    print(f"{device.device_kind}: {bandwidth / 1e9:.0f} GB/s, {peak / 1e12:.2f} TFLOP/s in float64", flush=True)
    report: dict[str, Any] = {"device": device.device_kind, "GB/s": bandwidth / 1e9, "TFLOP/s": peak / 1e12}
    rows = []
    for copies in given.batches:
        row = windows(problem, cell, motif, copies, given.repeats)
        work = row["cells"] * row["windows"]
        by_operations = work * operations(problem, row["terms"]) / peak
        by_bytes = work * bytes_moved(problem) / bandwidth
        loop = work * (bytes_moved(problem) + bytes_of_series(row["terms"])) / bandwidth
        row |= {
            "bound": "float64" if by_operations > by_bytes else "bandwidth",
            "share of the bound": max(by_operations, by_bytes) / row["seconds"],
            "share of bandwidth": loop / row["seconds"],
        }  # fmt: skip
        row |= {"members": copies} | voltage(problem, cell, copies, given.repeats)
        row |= planned(problem, cell, course, copies)
        rows.append(row)
        print(
            f"{copies} members, {row['cells']} cells: {1e3 * row['seconds']:.1f} ms per slot of 100 ms, "
            f"{row['members x s of biology per s']:.3g} members x s of biology per s, "
            f"{row['cells x windows per s']:.3g} cells x windows per s; "
            f"{100 * row['share of the bound']:.1f} % of the {row['bound']} bound, "
            f"{100 * row['share of bandwidth']:.0f} % of the bandwidth "
            f"with the series' traffic; voltage {1e6 * row['seconds per step']:.0f} µs per step of "
            f"{row['compartments']} compartments"
            + (f"; influx of a slot solved anew {row[ANEW]:.2f} s" if ANEW in row else ""), flush=True,
        )  # fmt: skip
    report["rows"] = rows
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_batch.json").write_text(json.dumps(report, indent=1))
    draw(report, RESULTS / "bench_batch.png")


def draw(report: dict[str, Any], path: Path) -> None:
    """Throughput over the number of members."""
    rows = report["rows"]
    members = [row["members"] for row in rows]
    figure, axes = pyplot.subplots(figsize=(6.0, 3.8), layout="constrained")
    for name in ("cells x windows per s", "compartments x steps per s"):
        axes.loglog(members, [row[name] for row in rows], "o-", label=name)
    axes.set(xlabel="members side by side", ylabel="per second", title=report["device"])
    axes.legend(frameon=False)
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
