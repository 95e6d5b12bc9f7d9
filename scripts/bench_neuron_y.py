"""Benchmark 2: a Y of three cylinders against NEURON's reaction-diffusion module (rxd, CVODE).

    python scripts/bench_neuron_y.py [FOLDER] [--tolerance T] [--features M] [--no-spikes]

FOLDER holds ref_yca.npz and ref_y_fb0.npz (by default ../shared/reference, or
$HPCPINN_SHARED/reference). `ref_yca`: 100 µM of calcium in the last 20 µm before the branch point,
then a second of diffusion through it, buffering and pumps. `ref_y_fb0`: channels and spikes, the
voltage known at seven sites.

Two questions are kept apart. Do both sides solve the same equations? The finite-volume reference
on NEURON's own compartments (2 µm) says so. How good is the network? Its error is measured against
the reference refined until it stands still, relative L2 of c − c_rest over tree and time, and
against NEURON at the sites, over the largest excursion there: as it is, and less the error of
NEURON's compartments (the reference on them against the refined one), which is up to 12 %.

Writes results/bench_neuron_y.json and .png.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from jaxtyping import Float  # noqa: E402
from numpy import ndarray  # noqa: E402
from scipy.interpolate import CubicSpline  # noqa: E402

from hpcpinn.config import RunConfig, load_config  # noqa: E402
from hpcpinn.morphology.cable import Cable  # noqa: E402
from hpcpinn.morphology.synthetic import y_cable  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.physics.constants import PRESETS, CalciumConstants  # noqa: E402
from hpcpinn.reference.finite_volume import FvSolution, solve  # noqa: E402
from hpcpinn.reference.forcing import Forcing, VoltageTable  # noqa: E402
from hpcpinn.reference.mesh import Mesh  # noqa: E402
from hpcpinn.timestepping.controller import after_accepted, after_rejected, next_length  # noqa: E402
from hpcpinn.workflows.march import QUIET, Factors, March, State, Tally  # noqa: E402
from hpcpinn.workflows.problem import Problem, build_problem  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
COMPARTMENTS = np.array([101, 75, 51])
LEAK = 4.497120070890563
"""µM·µm/s, independent of calcium in those runs."""
LOADED, LOADED_FROM = 100.0, 91 * 200.0 / 101
"""In ref_yca the compartments beyond 180 µm of the parent start with 100 µM: from this place on."""
UNIT = 1e-3
"""s per ms."""


def constants_of_yca() -> CalciumConstants:
    """No channel, and a leak that does not depend on calcium: an endless supply, hardly permeable."""
    return PRESETS["physical-N"].replace(vdcc_permeability=0.0, c_o=1e9, leak=LEAK / 1e9)


def on_compartments(times: Float[ndarray, " T"], tolerance: float) -> FvSolution:
    """ref_yca by the reference on NEURON's compartments."""
    x = (np.arange(COMPARTMENTS[0]) + 0.5) * 200.0 / COMPARTMENTS[0]
    loaded = np.r_[x, np.zeros(COMPARTMENTS[1:].sum())] > LOADED_FROM
    k = constants_of_yca()
    initial = np.where(loaded, LOADED, k.c_rest), k.b_rest
    return solve(y_cable(), k, Forcing(), times, cells=COMPARTMENTS, initial=initial, tolerance=tolerance)


def with_spikes(data: dict, sites: dict[str, int], tolerance: float) -> FvSolution:
    """ref_y_fb0: channels in the parent and one child, driven by NEURON's voltage at its sites."""
    t = data["t"]
    fine = np.linspace(t[0], t[-1], 4 * (len(t) - 1) + 1)
    voltage = CubicSpline(t, np.stack([data[f"v_{name}"] for name in sites], axis=1))(fine)

    def weights(mesh: Mesh) -> Float[ndarray, "N S"]:
        cells, place = np.array(list(sites.values())), mesh.cable.path.mean(axis=1)
        rows = np.zeros((mesh.n_cells, len(cells)))
        for i in range(mesh.n_cells):
            on_path = np.isin(mesh.frustum[cells], [0, mesh.frustum[i]])
            known = place[cells[on_path]]
            rows[i, on_path] = [np.interp(place[i], known, unit) for unit in np.eye(len(known))]
        return rows

    k = PRESETS["physical-N"].replace(leak=1e-3 * LEAK)
    forcing = Forcing(VoltageTable(1e-3 * fine, voltage, weights), channel=np.array([1.0, 0.0, 1.0]))
    return solve(y_cable(), k, forcing, 1e-3 * t, cells=COMPARTMENTS, tolerance=tolerance)


def graded_y(finest: float, growth: float, longest: float) -> Cable:
    """The Y with its parent cut at the edge of the load, finely there."""
    steps = np.minimum(finest * growth ** np.arange(40), longest)
    away = np.r_[0.0, np.cumsum(steps)]
    cuts = np.unique(np.round(np.r_[LOADED_FROM - away, LOADED_FROM + away], 9))
    inside = cuts[(cuts > 0.5 * finest) & (cuts < 200.0 - finest)] / 200.0
    return y_cable().split([inside, np.zeros(0), np.zeros(0)])


def is_loaded(pieces: Cable) -> ndarray:
    """Whether a piece starts with 100 µM, (F,)."""
    middle = pieces.start + 0.5 * pieces.length
    return (pieces.section == 0) & (middle > LOADED_FROM)


@dataclass(frozen=True)
class Course:
    """Averages over the output cells of all pieces at the reported times, and the work done."""

    c: Float[ndarray, "T N"]
    b: Float[ndarray, "T N"]
    tally: Tally
    longest_window: float
    seconds: float


def loaded_state(problem: Problem, march: March) -> State:
    """Rest, and 100 µM where loaded."""
    state, load = march.begin(), LOADED - problem.cell.constants.c_rest
    pieces = problem.cell.pieces.cable.take(problem.local)
    away = load * is_loaded(pieces)[:, None] * jnp.ones((1, state.field.shape[2]))
    size = np.maximum(state.size, [load, 0.0])
    return state._replace(field=state.field.at[:, 0].add(away), size=size)


FIRST_STOPS = tuple(UNIT * 0.001 * (2**n - 1) for n in range(1, 8))
"""Ends of the first windows, of which no error is asked: nothing smooth resolves a step, and
diffusion forgives it."""
FORGET, EARLY = 2.0 * UNIT, 5.0
"""Binding takes 0.2 ms: from FORGET on errors are measured by what is left of
the 100 µM, so that the estimate speaks of the second and not of its first moment. Until then it
may be EARLY times as large."""


def march_through(problem: Problem, times: Float[ndarray, " T"]) -> Course:
    """Solves from the loaded state and reports at the times (internal)."""
    march, rule = March(problem, SerialCommunicator()), problem.windows
    state, tally, factors = loaded_state(problem, march), Tally(), None
    began, longest = time.perf_counter(), 0.0
    rows, next_row = [], 0
    tree_order = np.argsort(problem.local)
    for stop in (*FIRST_STOPS, FORGET, float(times[-1])):
        tolerance = rule.tolerance
        if stop <= FORGET:
            tolerance = np.inf if stop in FIRST_STOPS else EARLY * rule.tolerance
        early = replace(rule, tolerance=tolerance)
        while state.time < stop * (1.0 - 1e-12):
            plan = state.plan
            while True:
                length = next_length(early, plan, state.time, stop)
                attempt = march.attempt(state, length, factors)
                if attempt.error <= tolerance:
                    break
                why = f"t = {state.time / UNIT:.4g} ms: error estimate {attempt.error:.2g}"
                plan = after_rejected(early, plan, length, attempt.error, why)
                tally = Tally(**{**asdict(tally), "rejected": tally.rejected + 1})
            heads, start = attempt.solution.traces.heads, state.time
            plan = after_accepted(early, plan, length, attempt.error, False)
            factors = Factors(attempt.solution.linear, length)
            state, tally = march.accept(state, attempt, plan, tally)
            longest = max(longest, length)
            while next_row < len(times) and times[next_row] <= state.time * (1.0 + 1e-9):
                tau = float(np.clip(2.0 * (times[next_row] - start) / length - 1.0, -1.0, 1.0))
                values = problem.sampler.cell_averages(tau, heads)
                rows.append(values[:, tree_order].reshape(2, -1))
                next_row += 1
        if stop == FORGET:
            excursion = np.abs(np.asarray(state.field) - np.array(problem.solver.equation.rest)[:, None])
            volume = problem.cell.pieces.cable.volume[problem.local]
            norm = np.sqrt(np.einsum("pkx,p->k", excursion**2, volume) / excursion.shape[2])
            quiet = QUIET * np.array(problem.solver.equation.scale)
            state = state._replace(
                reach=np.maximum(norm, quiet * np.sqrt(volume.sum())),
                size=np.maximum(excursion.max(axis=(0, 2)), quiet),
            )
    c, b = np.stack(rows, axis=1)
    return Course(c, b, tally, longest, time.perf_counter() - began)


def refined(problem: Problem, times: Float[ndarray, " T"], cells: int, tolerance: float) -> FvSolution:
    """The reference on the pieces, so many cells per piece, reported on the output cells."""
    pieces = problem.cell.pieces.cable
    parts = problem.config.pieces.cells_per_piece
    k = constants_of_yca()
    initial = np.where(np.repeat(is_loaded(pieces), cells), LOADED, k.c_rest), k.b_rest
    return solve(
        pieces, k, Forcing(), times, cells=cells, parts=parts, initial=initial, tolerance=tolerance
    )  # fmt: skip


def to_compartments(pieces: Cable, parts: int) -> Float[ndarray, "227 N"]:
    """Takes averages over output cells to averages over NEURON's compartments."""
    edges = pieces.start[:, None] + pieces.length[:, None] * np.arange(parts + 1) / parts
    left, right = edges[:, :-1].ravel(), edges[:, 1:].ravel()
    section = np.repeat(pieces.section, parts)
    rows = []
    for s, (length, count) in enumerate(zip((200.0, 150.0, 100.0), COMPARTMENTS, strict=True)):
        bounds = np.linspace(0.0, length, count + 1)
        overlap = np.minimum(right, bounds[1:, None]) - np.maximum(left, bounds[:-1, None])
        overlap = np.where(section == s, np.maximum(overlap, 0.0), 0.0)
        rows.append(overlap / overlap.sum(axis=1, keepdims=True))
    return np.concatenate(rows)


def run_config(features: int, tolerance: float) -> RunConfig:
    """As a user would set it up: windows may grow to a fifth of the second."""
    k = constants_of_yca()
    return load_config(None, [
        f"physics.constants.vdcc_permeability={k.vdcc_permeability}",
        f"physics.constants.c_o={k.c_o}",
        f"physics.constants.leak={k.leak!r}",
        f"network.features={features}",
        "run.duration=1000.0",
        "pieces.max_length=4.0",
        "window.first=0.01",
        "window.shortest=1e-4",
        "window.longest=200.0",
        f"window.tolerance={tolerance!r}",
        "schwarz.max_sweeps=30",
    ])  # fmt: skip


def site_table(
    title: str, columns: dict[str, FvSolution | Course], to_sites: dict[str, ndarray], rows: ndarray,
    data: dict, sites: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    """Prints the largest difference to NEURON at every site over its excursion."""
    print(f"\n{title}")
    print(f"{'site':>8} {'excursion of c / µM':>20}" + "".join(f"{n + ' c':>22}{n + ' b':>22}" for n in columns))
    table: dict[str, Any] = {}
    for site, compartment in sites.items():
        c, b = 1e3 * data[f"c_{site}"][rows], 1e3 * data[f"b_{site}"][rows]
        moved = np.ptp(c), np.ptp(b)
        if moved[0] < 1e-6:
            continue  # below what NEURON resolves
        line = f"{site:>8} {moved[0]:20.4g}"
        table[site] = {"excursion": float(moved[0])}
        for name, solution in columns.items():
            own = to_sites[name][compartment]
            off = [
                float(np.abs(ours @ own - theirs).max() / size)
                for ours, theirs, size in zip((solution.c, solution.b), (c, b), moved, strict=True)
            ]
            table[site][name] = off
            line += "".join(f"{x:22.1e}" for x in off)
        print(line)
    return table


def relative(ours: ndarray, theirs: ndarray, rest: float, volume: ndarray) -> float:
    """Relative L2 norm over tree and time."""
    return float(np.sqrt((((ours - theirs) ** 2) @ volume).sum() / (((theirs - rest) ** 2) @ volume).sum()))


def calcium_alone(data: dict, meta: dict, given: argparse.Namespace) -> dict[str, Any]:
    """ref_yca: prints its tables and draws its traces."""
    early = np.flatnonzero(data["t"] <= 5.0)[1:]
    rows = np.unique(np.r_[early, np.arange(0, len(data["t"]), 10)[1:]])
    times = UNIT * data["t"][rows]
    config = run_config(given.features, given.tolerance)
    problem = build_problem(config, SerialCommunicator(), graded_y(0.2, 1.4, 4.0))
    pieces, parts = problem.cell.pieces.cable, config.pieces.cells_per_piece
    ours = march_through(problem, times)
    coarse, fine = (refined(problem, times, n * parts, 3e-7) for n in (2, 4))
    settled_c = fine.c + (fine.c - coarse.c) / 3.0
    settled_b = fine.b + (fine.b - coarse.b) / 3.0
    same = on_compartments(times, 1e-7)
    k = constants_of_yca()
    error_c = relative(ours.c, settled_c, k.c_rest, fine.volume)
    error_b = relative(ours.b, settled_b, 0.0, fine.volume)
    moved = relative(fine.c, settled_c, k.c_rest, fine.volume)
    tally = ours.tally
    print(f"\nref_yca: {pieces.n_frusta} pieces, {tally.windows} windows ({tally.rejected} rejected), "
          f"the longest {ours.longest_window / UNIT:.3g} ms")  # fmt: skip
    print(f"sweeps per Newton step at most {tally.most_sweeps_per_step}, per window at most "
          f"{tally.most_sweeps_per_window}, {tally.sweeps / tally.windows:.1f} on average")  # fmt: skip
    print(f"against the reference (it moves by {moved:.0e}), rel. L2 over tree and second: "
          f"c - c_rest {error_c:.1e}, b {error_b:.1e}; calcium balance {tally.balance:.0e}")  # fmt: skip
    takes = to_compartments(pieces, parts)
    # What NEURON would have given on a fine grid: its own error is that of its compartments.
    coarse_error = [getattr(same, k) - getattr(fine, k) @ takes.T for k in ("c", "b")]
    like = replace(
        ours, c=ours.c @ takes.T + coarse_error[0], b=ours.b @ takes.T + coarse_error[1]
    )
    on_grid = np.eye(COMPARTMENTS.sum())
    columns = {"same compartments": same, "refined": fine, "network": ours, "less grid error": like}
    to_sites = {"same compartments": on_grid, "refined": takes, "network": takes, "less grid error": on_grid}
    table = site_table("Largest difference to NEURON over the excursion at the site",
                       columns, to_sites, rows, data, meta["sites"])  # fmt: skip
    draw(data, rows, meta["sites"], {"network": (ours.c, takes)})
    return {
        "pieces": pieces.n_frusta, "windows": tally.windows, "longest_window_ms": ours.longest_window / UNIT,
        "sweeps_per_step_max": tally.most_sweeps_per_step, "sweeps_per_window_max": tally.most_sweeps_per_window,
        "sweeps_per_window_mean": tally.sweeps / tally.windows, "balance": tally.balance,
        "rel_l2_c": error_c, "rel_l2_b": error_b, "reference_movement": moved, "sites": table,
        "seconds_network": ours.seconds, "seconds_reference_fine": fine.seconds,
        "seconds_neuron_elsewhere": meta["wall_s"],
    }  # fmt: skip


def draw(data: dict, rows: ndarray, sites: dict[str, int], ours: dict[str, tuple[ndarray, ndarray]]) -> None:
    """Calcium at the sites: NEURON as lines, the network as dots."""
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    shown = [s for s in sites if np.ptp(data[f"c_{s}"]) > 1e-6]
    for colour, site in zip(pyplot.get_cmap("viridis")(np.linspace(0.0, 0.9, len(shown))), shown, strict=True):
        t = data["t"][rows]
        axes.loglog(t, 1e3 * data[f"c_{site}"][rows], color=colour, label=f"{site}, NEURON")
        dots = np.unique(np.geomspace(1, len(rows), 30).astype(int)) - 1
        for values, takes in ours.values():
            axes.loglog(t[dots], values[dots] @ takes[sites[site]], "o", color=colour, markersize=3.5)
    axes.plot([], [], "ko", markersize=3.5, label="hpcpinn")
    axes.set(xlabel="time (ms)", ylabel="free calcium (µM)", title="100 µM beside a branch point")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(RESULTS / "bench_neuron_y.png", dpi=150)
    pyplot.close(figure)


def main() -> None:
    default = Path(os.environ.get("HPCPINN_SHARED", Path(__file__).parents[2] / "shared")) / "reference"
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("folder", nargs="?", type=Path, default=default, help="of the NEURON trajectories")
    arguments.add_argument("--features", type=int, default=64, help="width of the trunk")
    arguments.add_argument("--tolerance", type=float, default=1e-3, help="window.tolerance")
    arguments.add_argument("--no-spikes", action="store_true", help="leave out ref_y_fb0")
    given = arguments.parse_args()
    figures = {}
    RESULTS.mkdir(exist_ok=True)
    for name in ("ref_yca",) if given.no_spikes else ("ref_yca", "ref_y_fb0"):
        if not (given.folder / f"{name}.npz").is_file():
            arguments.error(f"{given.folder / name}.npz: not found; name the folder that holds it")
        data = dict(np.load(given.folder / f"{name}.npz"))
        meta = json.loads(str(data["meta"]))
        if name == "ref_yca":
            figures[name] = calcium_alone(data, meta, given)
            continue
        solution = with_spikes(data, meta["sites"], 1e-5)
        cells = {"same compartments": np.eye(COMPARTMENTS.sum())}
        table = site_table("ref_y_fb0, channels and spikes: largest difference to NEURON over the excursion",
                           {"same compartments": solution}, cells, np.arange(len(data["t"])), data,
                           meta["sites"])  # fmt: skip
        figures[name] = {"sites": table}
    (RESULTS / "bench_neuron_y.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
