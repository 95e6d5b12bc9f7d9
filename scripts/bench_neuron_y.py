"""Benchmark 2: a Y of three cylinders against NEURON's reaction-diffusion module (rxd, CVODE).

    python scripts/bench_neuron_y.py [FOLDER] [--neuron PYTHON] [--tolerance T] [--features M] [--no-spikes]

`ref_yca`: 100 µM of calcium in the last 20 µm before the branch point, then a second of diffusion
through it, buffering and pumps. `ref_y_fb0`: channels and spikes, the voltage known at seven sites.
FOLDER holds their trajectories as stored, on compartments of 2 µm (by default ../shared/reference,
or $HPCPINN_SHARED/reference). PYTHON is one that has NEURON (pip install 'hpcpinn[neuron]', or an
environment of its own; by default this one, if it has it): it solves ref_yca anew, with every
compartment in 1, 3, 9 and 27 parts. What there is is compared: stored trajectories, NEURON, both.

Three questions are kept apart. Do both sides solve the same equations? The finite-volume reference
on NEURON's own compartments says so. Has NEURON settled? Its compartments of 2 µm alone cost it
5 to 12 % of the excursion beyond the load; its order from grid to grid and the limit of the finest
two say what is left. How good is the network? Its error is measured against the reference refined
until it stands still, relative L2 of c − c_rest over tree and time, and against NEURON as stored,
as stored less the error of its compartments (the reference on them against the refined one), on
every grid and in the limit: the largest difference at a site over the excursion there.

Everybody is averaged over the same places, NEURON's 2 µm compartments: finite volumes are averages
already, NEURON's parts and our pieces end at their faces, and so no interpolation takes part. The
load ends at such a face too and is the same step on all grids.

Writes results/bench_neuron_y.json and .png, and NEURON's averages (neuron_y_*.npz).
"""

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jaxtyping import Float  # noqa: E402
from neuron_refined import Settled, python_with_neuron, settle  # noqa: E402
from neuron_y_tables import (  # noqa: E402
    COMPARTMENTS,
    LENGTHS,
    SITES,
    Traces,
    against_settled,
    draw,
    relative,
    site_table,
    stored_data,
    stored_traces,
)
from numpy import ndarray  # noqa: E402
from scipy.interpolate import CubicSpline  # noqa: E402

from hpcpinn.errors import HpcpinnError  # noqa: E402
from hpcpinn.marching.controller import WindowRule  # noqa: E402
from hpcpinn.marching.march import March  # noqa: E402
from hpcpinn.marching.stats import Stats  # noqa: E402
from hpcpinn.morphology.cable import Cable  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.physics.constants import CALBINDIN, CALCIUM, PRESETS, CalciumConstants  # noqa: E402
from hpcpinn.reference.finite_volume import FvSolution, solve  # noqa: E402
from hpcpinn.reference.forcing import Forcing, VoltageTable  # noqa: E402
from hpcpinn.reference.mesh import Mesh  # noqa: E402
from hpcpinn.systems.cell.build.coupled import coupled_setup  # noqa: E402
from hpcpinn.systems.cell.cable_windows import QUIET, CableAttempt, CableState, Factors  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402
from hpcpinn.systems.cell.config.schema import RunConfig  # noqa: E402
from hpcpinn.systems.cell.coupled_run import CoupledRun  # noqa: E402
from hpcpinn.systems.cell.coupled_setup import CoupledSetup  # noqa: E402
from hpcpinn.systems.cell.coupled_verdict import Balance  # noqa: E402
from synthetic import y_cable  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
LEAK = 4.497120070890563
"""µM·µm/s, independent of calcium in those runs."""
LOADED, LOADED_FROM = 100.0, 91 * 200.0 / 101
"""In ref_yca the compartments beyond 180 µm of the parent start with 100 µM: from this place on."""
OUTSIDE = 1e6
"""µM: so much calcium outside that a leak from there does not depend on what is inside."""
UNIT = 1e-3
"""s per ms."""
TIMES = UNIT * np.r_[np.arange(1, 51) / 10.0, np.arange(6.0, 1000.0)]
"""When the runs of ref_yca are compared, s."""
STORED_EVERY = 0.1 * UNIT


def constants_of_yca() -> CalciumConstants:
    """No channel, and a leak that does not depend on calcium: an endless supply, hardly permeable."""
    return PRESETS["physical-N"].replace(vdcc_permeability=0.0, c_o=OUTSIDE, leak=LEAK / OUTSIDE)


def on_compartments(times: Float[ndarray, " T"], tolerance: float) -> Traces:
    """ref_yca by the reference on NEURON's compartments."""
    x = (np.arange(COMPARTMENTS[0]) + 0.5) * 200.0 / COMPARTMENTS[0]
    loaded = np.r_[x, np.zeros(COMPARTMENTS[1:].sum())] > LOADED_FROM
    k = constants_of_yca()
    initial = {CALCIUM: np.where(loaded, LOADED, k.c_rest)}
    return traces_of(solve(y_cable(), k, Forcing(), times, cells=COMPARTMENTS, initial=initial, tolerance=tolerance))


def traces_of(solution: FvSolution) -> Traces:
    """What tables and pictures need of the reference."""
    return Traces(solution.fields[CALCIUM], solution.fields[CALBINDIN])


def with_spikes(data: dict, sites: dict[str, int], tolerance: float) -> Traces:
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
    return traces_of(solve(y_cable(), k, forcing, 1e-3 * t, cells=COMPARTMENTS, tolerance=tolerance))


def aligned_y(finest: float, growth: float, near: float) -> Cable:
    """The Y cut at faces of NEURON's compartments, so that both sides average over the same places.

    At every face where calcium has layers, at every second one elsewhere, and finely at the edge of
    the load.
    """
    edge = round(LOADED_FROM * COMPARTMENTS[0] / LENGTHS[0])
    cuts = []
    for length, count, start in zip(LENGTHS, COMPARTMENTS, (edge, 0, 0), strict=True):
        face, width = np.arange(1, count), length / count
        away = np.abs(face - start)
        cuts.append(face[(away * width < near) | (away % 2 == 0)] / count)
    steps = np.cumsum(finest * growth ** np.arange(40))
    steps = steps[steps + finest < LENGTHS[0] / COMPARTMENTS[0]]
    cuts[0] = np.union1d(cuts[0], (LOADED_FROM + np.r_[-steps, steps]) / LENGTHS[0])
    return y_cable().split(cuts)


def is_loaded(pieces: Cable) -> ndarray:
    """Whether a piece starts with 100 µM, (F,)."""
    middle = pieces.start + 0.5 * pieces.length
    return (pieces.section == 0) & (middle > LOADED_FROM)


@dataclass(frozen=True)
class Course:
    """Averages over the output cells of all pieces at the reported times, and the work done."""

    c: Float[ndarray, "T N"]
    b: Float[ndarray, "T N"]
    stats: Stats
    longest_window: float
    seconds: float


@dataclass(frozen=True)
class Until:
    """A run up to a time, with a rule of its own."""

    run: CoupledRun
    rule: WindowRule
    stops: Float[ndarray, " 1"]

    def attempt(self, state: CableState, length: float, reuse: Factors | None) -> CableAttempt:
        """As the run does it."""
        return self.run.attempt(state, length, reuse)


def loaded_state(problem: CoupledSetup, run: CoupledRun) -> CableState:
    """Rest, and 100 µM where loaded."""
    state, load = run.start(), LOADED - problem.cell.constants.c_rest
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


def march_through(problem: CoupledSetup, times: Float[ndarray, " T"]) -> Course:
    """Solves from the loaded state and reports at the times (internal)."""
    run, rule = CoupledRun(problem, SerialCommunicator()), problem.windows
    march, stats = March.begun(Until(run, rule, times[-1:]), loaded_state(problem, run)), Stats()
    began, longest = time.perf_counter(), 0.0
    rows, next_row = [], 0
    tree_order = np.argsort(problem.local)
    for stop in (*FIRST_STOPS, FORGET, float(times[-1])):
        tolerance = rule.tolerance
        if stop <= FORGET:
            tolerance = np.inf if stop in FIRST_STOPS else EARLY * rule.tolerance
        march.problem = Until(run, replace(rule, tolerance=tolerance), np.array([stop]))
        for step in march:
            heads, start, length = step.attempt.inside.solution.traces.heads, step.before.time, step.attempt.length
            stats, state = stats.and_window(step), march.state
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
            march.state = state._replace(
                reach=np.maximum(norm, quiet * np.sqrt(volume.sum())),
                size=np.maximum(excursion.max(axis=(0, 2)), quiet),
            )
    c, b = np.stack(rows, axis=1)
    return Course(c, b, stats, longest, time.perf_counter() - began)


def refined(problem: CoupledSetup, times: Float[ndarray, " T"], cells: int, tolerance: float) -> FvSolution:
    """The reference on the pieces, so many cells per piece, reported on the output cells."""
    pieces = problem.cell.pieces.cable
    parts = problem.sampler.cells_per_piece
    k = constants_of_yca()
    initial = {CALCIUM: np.where(np.repeat(is_loaded(pieces), cells), LOADED, k.c_rest)}
    return solve(
        pieces, k, Forcing(), times, cells=cells, parts=parts, initial=initial, tolerance=tolerance
    )  # fmt: skip


def to_compartments(pieces: Cable, parts: int) -> Float[ndarray, "227 N"]:
    """Takes averages over output cells to averages over NEURON's compartments."""
    edges = pieces.start[:, None] + pieces.length[:, None] * np.arange(parts + 1) / parts
    left, right = edges[:, :-1].ravel(), edges[:, 1:].ravel()
    section = np.repeat(pieces.section, parts)
    rows = []
    for s, (length, count) in enumerate(zip(LENGTHS, COMPARTMENTS, strict=True)):
        bounds = np.linspace(0.0, length, count + 1)
        overlap = np.minimum(right, bounds[1:, None]) - np.maximum(left, bounds[:-1, None])
        overlap = np.where((section == s) & (overlap > 1e-9), overlap, 0.0)
        assert (np.count_nonzero(overlap, axis=0)[section == s] == 1).all(), "a cell lies across a face"
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


def report_work(problem: CoupledSetup, ours: Course) -> dict[str, Any]:
    """Prints and returns what the network's solve took."""
    stats, pieces = ours.stats, problem.cell.pieces.cable.n_frusta
    longest, mean = ours.longest_window / UNIT, stats["sweeps"] / stats.windows
    print(f"\nref_yca: {pieces} pieces, {stats.windows} windows ({stats.rejected} rejected), "
          f"the longest {longest:.3g} ms")  # fmt: skip
    print(f"sweeps per Newton step at most {stats['most_sweeps_per_step']}, per window at most "
          f"{stats['most_sweeps_per_window']}, {mean:.1f} on average")  # fmt: skip
    return {
        "pieces": pieces, "windows": stats.windows, "longest_window_ms": longest,
        "sweeps_per_step_max": stats["most_sweeps_per_step"], "sweeps_per_window_max": stats["most_sweeps_per_window"],
        "sweeps_per_window_mean": mean, "balance": Balance.of(stats).relative, "seconds_network": ours.seconds,
    }  # fmt: skip


def calcium_alone(stored: Traces | None, neuron: Settled | None, given: argparse.Namespace) -> dict[str, Any]:
    """ref_yca: prints its tables and draws its traces."""
    problem = coupled_setup(
        run_config(given.features, given.tolerance), SerialCommunicator(), aligned_y(0.2, 1.4, 20.0)
    )
    pieces, parts = problem.cell.pieces.cable, problem.sampler.cells_per_piece
    ours = march_through(problem, TIMES)
    coarse, fine = (refined(problem, TIMES, n * parts, 3e-7) for n in (2, 4))
    known = traces_of(fine)
    settled = Traces(*(u + (u - v) / 3.0 for u, v in zip(known, traces_of(coarse), strict=True)))
    rest = constants_of_yca().c_rest
    figures = report_work(problem, ours) | {
        "rel_l2_c": relative(ours.c, settled.c, rest, fine.volume),
        "rel_l2_b": relative(ours.b, settled.b, 0.0, fine.volume),
        "reference_movement": relative(known.c, settled.c, rest, fine.volume),
        "seconds_reference_fine": fine.seconds,
    }
    print("against the reference (it moves by {reference_movement:.0e}), rel. L2 over tree and second: "
          "c - c_rest {rel_l2_c:.1e}, b {rel_l2_b:.1e}; calcium balance {balance:.0e}".format(**figures))  # fmt: skip
    takes = to_compartments(pieces, parts)
    network, reference = (Traces(u.c @ takes.T, u.b @ takes.T) for u in (ours, settled))
    if stored is not None:
        same = on_compartments(TIMES, 1e-7)
        # What NEURON would have given on a fine grid: its own error is that of its compartments.
        less = Traces(network.c + same.c - reference.c, network.b + same.b - reference.b)
        title = "Largest difference from NEURON's stored trajectory (2 µm) over the excursion at the site"
        figures["sites"] = site_table(title, {
            "same compartments": (same, stored), "refined": (reference, stored),
            "network": (network, stored), "less grid error": (less, stored),
        })  # fmt: skip
    if neuron is not None:
        figures["refined_neuron"] = against_settled(neuron, network, reference)
    draw(TIMES / UNIT, stored, neuron, network, RESULTS / "bench_neuron_y.png")
    return figures


def spikes(folder: Path) -> dict[str, Any]:
    """ref_y_fb0: prints its table."""
    data = stored_data(folder, "ref_y_fb0")
    solution = with_spikes(data, SITES, 1e-5)
    title = "ref_y_fb0, channels and spikes: largest difference from NEURON over the excursion at the site"
    known = stored_traces(data, np.arange(len(data["t"])))
    return {"sites": site_table(title, {"same compartments": (solution, known)})}


def main() -> None:
    default = Path(os.environ.get("HPCPINN_SHARED", Path(__file__).parents[2] / "shared")) / "reference"
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("folder", nargs="?", type=Path, help=f"of the stored trajectories ({default})")
    arguments.add_argument("--neuron", default="auto", help="Python that has NEURON, auto (this one) or none")
    arguments.add_argument("--grids", type=int, choices=(3, 4, 5), default=4, help="NEURON's, each 3 times as fine")
    arguments.add_argument("--patience", type=float, default=600.0, help="seconds for NEURON on one grid")
    arguments.add_argument("--features", type=int, default=64, help="width of the trunk")
    arguments.add_argument("--tolerance", type=float, default=1e-3, help="window.tolerance")
    arguments.add_argument("--no-spikes", action="store_true", help="leave out ref_y_fb0")
    given = arguments.parse_args()
    RESULTS.mkdir(exist_ok=True)
    stored = neuron = None
    folder = given.folder or default
    try:
        if given.folder or (folder / "ref_yca.npz").is_file():
            rows = np.rint(TIMES / STORED_EVERY).astype(int)
            stored = stored_traces(stored_data(folder, "ref_yca"), rows)
        else:
            print(f"no stored trajectories in {folder}: name the folder that holds them")
        if python := python_with_neuron(given.neuron):
            neuron = settle(python, TIMES, given.grids, RESULTS, given.patience)
        else:
            print("NEURON is not asked: install it (pip install 'neuron>=9') or name a Python that has it")
    except HpcpinnError as why:
        arguments.error(str(why))
    figures = {"ref_yca": calcium_alone(stored, neuron, given)}
    if stored is not None and not given.no_spikes:
        figures["ref_y_fb0"] = spikes(folder)
    (RESULTS / "bench_neuron_y.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
