"""Benchmark: the reaction's flow map against SciPy's Radau at 1e-10, on fresh random states.

    python scripts/bench_flow_map.py [FILE] [--states 1000] [--many 80000] [--seed 2024] [--compartments 2000]

States are uniform in the logarithms of the box's coordinates; a second set lies around rest. The
four errors are those of `hpcpinn.timestepping.flow_map_error`. Beside the map stands its closed form
alone, without the network, and the stiff sub-step that is used outside the box. The worst of very
many states is measured against stiff sub-steps in a row, whose own distance from Radau stands
beside it. Says whether c is within 1e-4 (median) and 1e-3 (worst), and ends with 1 where it is not.
Writes results/bench_flow_map.json and .png.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from numpy import ndarray  # noqa: E402

from hpcpinn.io.flow_map_file import read_flow_map  # noqa: E402
from hpcpinn.networks.perceptron import n_parameters  # noqa: E402
from hpcpinn.physics.constants import PRESETS, ReactionConstants  # noqa: E402
from hpcpinn.physics.pumped_binding import Deviation, deviation, state  # noqa: E402
from hpcpinn.physics.stiff_step import stiff_flow  # noqa: E402
from hpcpinn.timestepping.flow_map_error import (  # noqa: E402
    WORST_WANTED,
    Flow,
    States,
    errors,
    quantiles,
    random_states,
)
from hpcpinn.timestepping.flow_map_store import SHIPPED, load_flow_map  # noqa: E402
from hpcpinn.training.flow_map import FlowMap, sample_box  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
Columns = dict[str, ndarray]
PARTS = 4
"""Stiff sub-steps in a row that stand for the truth of very many states."""


def fine_flow(k: ReactionConstants, parts: int) -> Flow:
    """The stiff sub-step, several of them over the time: the batched truth for very many states."""
    return lambda d, h, ratio: jax.lax.fori_loop(0, parts, lambda _, x: stiff_flow(x, h / parts, ratio, k), d)


def over_many(flow_map: FlowMap, n: int, seed: int) -> Columns:
    """Errors of c and b over very many states of the box, against fine stiff sub-steps."""
    k = flow_map.constants
    c, b, h, ratio = (jnp.asarray(x) for x in sample_box(flow_map.box, k, n, seed))
    start = Deviation(*deviation(c, b, k))
    got, true = (state(jax.jit(f)(start, h, ratio), k) for f in (flow_map.flow, fine_flow(k, PARTS)))
    names = ("calcium", "calbindin")
    return {x: np.abs(np.asarray(a) - np.asarray(t)) / np.asarray(t) for x, a, t in zip(names, got, true, strict=True)}


def summary(measured: Columns) -> str:
    rows = (f"  {name:<10} {a:9.1e} {b:9.1e} {c:9.1e}" for name, (a, b, c) in quantiles(measured).items())
    return "\n".join(["               median      95 %     worst", *rows])


def seconds_per_call(flow_map: FlowMap, flow, n: int) -> float:
    """Best of several batched calls on n compartments."""
    columns = [jnp.asarray(x) for x in sample_box(flow_map.box, flow_map.constants, n, 5)]
    start = Deviation(*deviation(columns[0], columns[1], flow_map.constants))
    compiled = jax.jit(flow)
    jax.block_until_ready(compiled(start, columns[2], columns[3]))
    best = np.inf
    for _ in range(20):
        begin = time.perf_counter()
        jax.block_until_ready(compiled(start, columns[2], columns[3]))
        best = min(best, time.perf_counter() - begin)
    return best


def draw(all_errors: dict[str, Columns], states: States, path: Path) -> None:
    """Share of states beyond an error, and where in the box the map's errors lie."""
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axes, name, title in ((left, "calcium", "c"), (middle, "pumped", "pumped amount")):
        for who, measured in all_errors.items():
            x = np.sort(measured[name])
            axes.loglog(x, 1.0 - np.arange(len(x)) / len(x), label=who)
        axes.set(xlabel=f"relative error of {title}", ylabel="share of states beyond it", xlim=(1e-11, 1))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    colour = np.log10(np.maximum(all_errors["flow map"]["calcium"], 1e-8))
    points = right.scatter(1e3 * states.h, states.c, c=colour, s=8, cmap="viridis")
    right.set(xscale="log", yscale="log", xlabel="h (ms)", ylabel="c at the start (µM)")
    figure.colorbar(points, label="log₁₀ relative error of c")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=SHIPPED)
    parser.add_argument("--preset", default="physical-N", choices=sorted(PRESETS))
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--many", type=int, default=80_000, help="states for the worst error; 0: none")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--compartments", type=int, default=2000)
    given = parser.parse_args()

    flow_map = load_flow_map(given.file, PRESETS[given.preset])
    k = flow_map.constants
    closed = FlowMap(jax.tree.map(jnp.zeros_like, flow_map.network), k, flow_map.box)
    flows = {
        "flow map": flow_map.flow,
        "closed form alone": closed.flow,
        "stiff sub-step": lambda d, h, ratio: stiff_flow(d, h, ratio, k),
        f"{PARTS} stiff sub-steps": fine_flow(k, PARTS),
    }
    training = read_flow_map(given.file).training
    report: dict = {
        "parameters": n_parameters(flow_map.network),
        "training": dict(training),
        "states": given.states,
        "states, very many": given.many,
    }
    print(f"{report['parameters']} parameters, trained in {training.get('seconds', float('nan')):.0f} s")
    for place, near_rest in (("box", 0.0), ("around rest", 1.0)):
        states = random_states(flow_map, given.states, given.seed, near_rest)
        measured = {name: errors(flow, states, k) for name, flow in flows.items()}
        report[place] = {name: quantiles(x) for name, x in measured.items()}
        for name, x in measured.items():
            print(f"{place}, {name}\n{summary(x)}")
        if not near_rest:
            RESULTS.mkdir(exist_ok=True)
            draw(measured, states, RESULTS / "bench_flow_map.png")
    for name, flow in flows.items():
        report[f"microseconds, {name}"] = 1e6 * seconds_per_call(flow_map, flow, given.compartments)
        print(f"{name}: {report[f'microseconds, {name}']:.0f} µs for {given.compartments} compartments")
    median, worst = report["box"]["flow map"]["calcium"][::2]
    if given.many:
        many = over_many(flow_map, given.many, given.seed + 1)
        report["box, very many states"] = quantiles(many)
        worst = max(worst, report["box, very many states"]["calcium"][2])
        print(f"box, flow map, {given.many} states against {PARTS} stiff sub-steps\n{summary(many)}")
    held = median <= 1e-4 and worst <= WORST_WANTED
    report["within 1e-4 median, 1e-3 worst"] = held
    print(f"c: median {median:.1e}, worst {worst:.1e}: {'within' if held else 'NOT within'} 1e-4 and 1e-3")
    (RESULTS / "bench_flow_map.json").write_text(json.dumps(report, indent=2))
    sys.exit(not held)


if __name__ == "__main__":
    main()
