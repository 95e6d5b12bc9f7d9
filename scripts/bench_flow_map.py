"""Benchmark: the reaction's flow map against SciPy's Radau at 1e-10, on fresh random states.

    python scripts/bench_flow_map.py [FILE] [--states 1000] [--seed 2024] [--compartments 2000]

States are uniform in the logarithms of the box's coordinates; a second set lies around rest. Four
errors: of c relative to c; of the deviation from rest relative to the larger of the deviations at
start and end; of the pumped amount relative to all that has crossed the membrane, either way; of b
relative to b. Beside the map stands its closed form alone, without the network, and the stiff
sub-step that is used outside the box. Writes results/bench_flow_map.json and .png.
"""

import argparse
import json
import time
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from numpy import ndarray  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

from hpcpinn.networks.perceptron import n_parameters  # noqa: E402
from hpcpinn.physics.constants import PRESETS, CalciumConstants  # noqa: E402
from hpcpinn.physics.pumped_binding import Deviation, deviation  # noqa: E402
from hpcpinn.physics.stiff_step import stiff_flow  # noqa: E402
from hpcpinn.timestepping.flow_map_store import SHIPPED, load_flow_map  # noqa: E402
from hpcpinn.training.flow_map import FlowMap, sample_box  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
Columns = dict[str, ndarray]


def exact(c: float, b: float, h: float, ratio: float, k: CalciumConstants) -> ndarray:
    """(u, w, ∫|crossed|) after h by Radau, in deviations from rest so that nothing cancels there."""
    r, half = k.c_rest, k.pmca_K**2
    leak = (k.pmca_max * r * r / (half + r * r) + k.ncx_max * r / (k.ncx_K + r)) / (k.c_o - r)

    def rates(_, y):
        u, w, _ = y
        x = r + u
        pmca = k.pmca_max * half * (x + r) / ((half + x * x) * (half + r * r))
        ncx = k.ncx_max * k.ncx_K / ((k.ncx_K + x) * (k.ncx_K + r))
        out = ratio * (leak + pmca + ncx) * u
        binding = -(k.k_minus + k.k_plus * x) * (u - w) - k.k_plus * k.b_rest * u
        return [binding - out, -out, abs(out)]

    u = c - r
    start = [u, u - (b - k.b_rest), 0.0]
    return solve_ivp(rates, (0.0, h), start, method="Radau", rtol=1e-10, atol=1e-13).y[:, -1]


def flow_errors(flow, columns: Columns, truth: ndarray, k: CalciumConstants) -> Columns:
    """Errors of a flow (deviation, h, ratio) → deviation against (u, w, crossed)."""
    start = deviation(columns["c"], columns["b"], k)
    got = flow(Deviation(*map(jnp.asarray, start)), jnp.asarray(columns["h"]), jnp.asarray(columns["ratio"]))
    u, w = np.asarray(got.u), np.asarray(got.w)
    true_u, true_w, crossed = truth.T
    larger = np.maximum(np.abs(true_u), np.minimum(np.abs(start.u), np.abs(start.w)))
    return {
        "calcium": np.abs(u - true_u) / (k.c_rest + true_u),
        "deviation": np.abs(u - true_u) / larger,
        "pumped": np.abs(w - true_w) / crossed,
        "calbindin": np.abs((u - w) - (true_u - true_w)) / (k.b_rest + true_u - true_w),
    }


def states(flow_map: FlowMap, n: int, seed: int, near_rest: float) -> tuple[Columns, ndarray]:
    """Random states of the box and where Radau takes them."""
    columns = dict(
        zip(
            ("c", "b", "h", "ratio"),
            sample_box(flow_map.box, flow_map.constants, n, seed, near_rest),
            strict=True,
        )
    )
    truth = [exact(*row, flow_map.constants) for row in zip(*columns.values(), strict=True)]
    return columns, np.array(truth)


def errors(flow_map: FlowMap, n: int, seed: int) -> Columns:
    """Errors over the box."""
    columns, truth = states(flow_map, n, seed, 0.0)
    return flow_errors(jax.jit(flow_map.flow), columns, truth, flow_map.constants)


def quantiles(measured: Columns) -> dict[str, tuple[float, float, float]]:
    """(median, 95 %, worst) of every error."""
    return {name: tuple(map(float, np.quantile(x, [0.5, 0.95, 1.0]))) for name, x in measured.items()}


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


def draw(all_errors: dict[str, Columns], columns: Columns, path: Path) -> None:
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
    points = right.scatter(1e3 * columns["h"], columns["c"], c=colour, s=8, cmap="viridis")
    right.set(xscale="log", yscale="log", xlabel="h (ms)", ylabel="c at the start (µM)")
    figure.colorbar(points, label="log₁₀ relative error of c")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=SHIPPED)
    parser.add_argument("--preset", default="physical-N", choices=sorted(PRESETS))
    parser.add_argument("--states", type=int, default=1000)
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
    }
    report: dict = {"parameters": n_parameters(flow_map.network), "states": given.states}
    for place, near_rest in (("box", 0.0), ("around rest", 1.0)):
        columns, truth = states(flow_map, given.states, given.seed, near_rest)
        measured = {name: flow_errors(jax.jit(flow), columns, truth, k) for name, flow in flows.items()}
        report[place] = {name: quantiles(x) for name, x in measured.items()}
        for name, x in measured.items():
            print(f"{place}, {name}\n{summary(x)}")
        if not near_rest:
            RESULTS.mkdir(exist_ok=True)
            draw(measured, columns, RESULTS / "bench_flow_map.png")
    for name, flow in flows.items():
        report[f"microseconds, {name}"] = 1e6 * seconds_per_call(flow_map, flow, given.compartments)
        print(f"{name}: {report[f'microseconds, {name}']:.0f} µs for {given.compartments} compartments")
    (RESULTS / "bench_flow_map.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
