"""Benchmark: the voltage of the CA1 cell against NEURON, on the same compartments.

    python scripts/bench_voltage.py --neuron PYTHON [--cell SWC] [--steps 0.025 0.0125 0.00625] [--field 8000]

PYTHON is an interpreter that can import `neuron` (it may live in an environment of its own). Both
programs get the same chain of cylinders, one per compartment of the d_lambda rule, the same membrane
(squid, 6.3 °C, exact rates) and either two current clamps at the soma or one biphasic pulse of a
uniform field. In NEURON the field is the axial currents that it drives, injected into every compartment
(second order in time), and once more `extracellular` (first order). NEURON runs with steps of 0.001 ms; ours
with all that are asked for. Prints spike times and the largest difference over the range of the voltage at
every site, the largest step with 1 % everywhere and spikes within 0.025 ms, and what a step costs in both
in processor time (NEURON at 0.025 ms with its tables, as users run it).

Processor time is that of one core only under `taskset -c 0 python scripts/bench_voltage.py ...`:
with more of them XLA divides loops of microseconds among threads, which doubles what they cost.

Writes results/bench_voltage.json, bench_voltage_clamp.png and bench_voltage_field.png.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from jaxtyping import Float, Int  # noqa: E402
from numpy import ndarray  # noqa: E402

from hpcpinn.morphology import cable_from_swc, parse_site, read_swc  # noqa: E402
from hpcpinn.morphology.cable import Cable, Section  # noqa: E402
from hpcpinn.morphology.compartments import Compartments, compartments, d_lambda_counts  # noqa: E402
from hpcpinn.physics.membrane_constants import CableConstants  # noqa: E402
from hpcpinn.physics.membranes import channel_set_named  # noqa: E402
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field  # noqa: E402
from hpcpinn.physics.stimulation.protocols import PulseProtocol  # noqa: E402
from hpcpinn.physics.stimulation.stimulus import Stimulus  # noqa: E402
from hpcpinn.physics.stimulation.waveforms import Biphasic  # noqa: E402
from hpcpinn.timestepping.cable_equation import CableEquation  # noqa: E402
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule, steps_between  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
R_I, C_M, CELSIUS, START = 100.0, 1.0, 6.3, -65.0
END, FINE, EVERY = 30.0, 0.001, 0.025
CLAMPS, CURRENT = (CurrentClamp(3.0, 1.0), CurrentClamp(18.0, 1.0)), 8.0
PULSE_AT = 3.0
WAVEFORM, SPIKE_TIME = 0.01, 0.025
"""What is wanted: largest difference over the range of the voltage, and of spike times, ms."""
SITES = ("soma", "apic[0](0.5)", "tip:apic", "tip:dend", "tip:axon")


def cylinders(cable: Cable, cells: Compartments) -> tuple[Cable, Int[ndarray, " n"]]:
    """Every compartment as a cylinder with its length and membrane, and their parents."""
    n = cells.count
    first = np.searchsorted(cells.section, np.arange(len(cable.sections)))
    last = np.r_[first[1:], n] - 1
    parent = np.arange(n) - 1
    for section, at in enumerate(first):
        above = cable.sections[section].parent
        parent[at] = last[above] if above >= 0 else -1
    radius = cells.area / (2.0 * np.pi * cells.length)
    tail = np.where(parent >= 0, parent + 1, 0)
    # Positions: halfway cuts of a cylinder lie at the centre of its compartment.
    node_xyz = np.zeros((n + 1, 3))
    node_xyz[1:] = cells.xyz[:n]
    chain = Cable(
        sections=tuple(Section(f"type5[{i}]", 5, int(p)) for i, p in enumerate(parent)),
        section=np.arange(n),
        kind=np.full(n, 5),
        node=np.stack([tail, np.arange(1, n + 1)], axis=1),
        start=np.zeros(n),
        length=cells.length,
        radius=np.stack([radius, radius], axis=1),
        er_radius=np.zeros((n, 2)),
        xyz=np.zeros((n, 2, 3)),
        path=np.zeros((n, 2)),
        swc_id=np.full(n, -1),
    )
    return chain, parent


def in_neuron(python: str, patience: float, **job: Any) -> dict[str, ndarray]:
    """Runs neuron_cable.py and returns its traces."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "job.npz", Path(folder) / "result.npz"
        np.savez(given, **job)
        script = Path(__file__).with_name("neuron_cable.py")
        subprocess.run([python, str(script), str(given), str(made)], check=True, timeout=patience, capture_output=True)
        return dict(np.load(made))


def crossings(t: Float[ndarray, " n"], V: Float[ndarray, " n"], level: float = 0.0) -> Float[ndarray, " k"]:
    """When the voltage rises through a level, ms."""
    at = np.flatnonzero((V[:-1] < level) & (V[1:] >= level))
    return t[at] + (level - V[at]) / (V[at + 1] - V[at]) * (t[at + 1] - t[at])


def compare(
    name: str, equation: CableEquation, source: ndarray, stimulus: Stimulus | None, neuron: dict, sites: list[int],
    steps: list[float],
) -> dict[str, Any]:  # fmt: skip
    """Our runs against NEURON's: prints a table."""
    found: dict[str, Any] = {}
    t = np.arange(1, round(END / EVERY) + 1) * EVERY
    theirs = np.array([np.interp(t, neuron["t"], V) for V in neuron["V"]])
    spikes = [crossings(neuron["t"], V) for V in neuron["V"]]
    span = np.ptp(theirs, axis=1)
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    for step in steps:
        clamps = () if stimulus else CLAMPS
        plan = steps_between(0.0, END, VoltageStepRule(step, min(step, 0.005)), stimulus, PULSE_AT, clamps, t)
        start = equation.uniform_state(START)
        began = time.process_time()
        _, V = equation.march(start, plan, source, sites)
        seconds = time.process_time() - began
        began = time.process_time()
        _, V = equation.march(start, plan, source, sites)
        again = time.process_time() - began
        ends = plan.ends
        ours = V[np.abs(ends[:, None] - t).argmin(axis=0)]
        late = []
        for number in range(len(sites)):
            own = crossings(ends, V[:, number])
            same = len(own) == len(spikes[number])
            late.append(float(np.abs(own - spikes[number]).max(initial=0.0)) if same else float("inf"))
        off = np.abs(ours.T - theirs).max(axis=1) / span
        root = np.sqrt(np.mean((ours.T - theirs) ** 2, axis=1)) / span
        print(f"\n{name}, our steps of {step} ms: {len(plan.length)} steps, {1e6 * again / len(ends):.1f} µs each "
              f"(first call {seconds:.1f} s)")  # fmt: skip
        print(f"{'site':>14} {'spikes':>7} {'range / mV':>11} {'spike time / ms':>16} {'largest':>9} {'rms':>9}")
        for number, site in enumerate(SITES):
            print(f"{site:>14} {len(spikes[number]):>7} {span[number]:>11.1f} {late[number]:>16.5f} "
                  f"{off[number]:>9.1e} {root[number]:>9.1e}")  # fmt: skip
        found[str(step)] = {
            "spike_time_ms": late, "largest": off.tolist(), "rms": root.tolist(), "steps": len(ends),
            "us_per_step": 1e6 * again / len(ends), "spikes": [len(s) for s in spikes],
        }  # fmt: skip
    for number, colour in enumerate(pyplot.get_cmap("viridis")(np.linspace(0.0, 0.9, len(sites)))):
        axes.plot(t, theirs[number], color=colour, label=f"{SITES[number]}, NEURON")
        axes.plot(t[::20], ours.T[number][::20], "o", color=colour, markersize=3)
    axes.set(xlabel="time (ms)", ylabel="voltage (mV)", title=f"CA1 cell, {name}")
    axes.plot([], [], "ko", markersize=3, label="hpcpinn")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(RESULTS / f"bench_voltage_{'field' if stimulus else 'clamp'}.png", dpi=150)
    pyplot.close(figure)
    good = [
        step for step in steps
        if max(found[str(step)]["largest"]) <= WAVEFORM and max(found[str(step)]["spike_time_ms"]) <= SPIKE_TIME
    ]  # fmt: skip
    found["largest_step_within"] = max(good, default=None)
    print(
        f"{name}: waveforms within {100 * WAVEFORM:g} % everywhere and spikes within {SPIKE_TIME} ms "
        f"with steps of {found['largest_step_within']} ms"
    )
    return found


def main() -> None:
    shared = Path(os.environ.get("HPCPINN_SHARED", Path(__file__).parents[2] / "shared"))
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--neuron", required=True, metavar="PYTHON", help="an interpreter with NEURON")
    arguments.add_argument("--cell", type=Path, default=shared / "morphologies/rat_ca1_pyramidal_c91662.swc")
    arguments.add_argument("--steps", type=float, nargs="+", default=[0.025, 0.0125, 0.00625], help="ms")
    arguments.add_argument("--fraction", type=float, default=0.1, help="of the d_lambda rule")
    arguments.add_argument("--field", type=float, default=8000.0, help="V/m along y; 5000 is too weak for CA1")
    arguments.add_argument("--quick", action="store_true", help="leave `extracellular` away")
    arguments.add_argument("--patience", type=float, default=600.0, help="seconds for a run of NEURON")
    given = arguments.parse_args()
    if not given.cell.is_file():
        arguments.error(f"{given.cell}: not found; name an SWC file with --cell")
    if subprocess.run([given.neuron, "-c", "import neuron"], capture_output=True, check=False).returncode:
        arguments.error(f"{given.neuron}: cannot import neuron; name an interpreter that can")
    RESULTS.mkdir(exist_ok=True)

    cable = cable_from_swc(read_swc(given.cell), merge_below=0.0)[0]
    cells = compartments(cable, d_lambda_counts(cable, R_I, C_M, fraction=given.fraction))
    psi = quasipotential(cells.cable, uniform_field(given.field, [0, 1, 0]))[cells.node]
    chain, parent = cylinders(cable, cells)
    same = compartments(chain, np.ones(cells.count, int))
    equation = CableEquation(same, [channel_set_named("squid")] * same.count, CableConstants(R_I, C_M))
    sites = [cells.nearest(parse_site(text, cable), cable) for text in SITES]
    # ψ at a junction does not matter in NEURON, whose branch points have no potential of their own
    # outside: what a junction carries is the balance of its branches, as here.
    at_junctions = psi_of_junctions(same, psi[: cells.count])
    print(f"{given.cell.name}: {cells.count} compartments, {same.n_points - same.count} junctions")

    job = {
        "length": cells.length, "diameter": cells.area / (np.pi * cells.length), "parent": parent,
        "R_i": R_I, "C_m": C_M, "celsius": CELSIUS, "sites": sites, "end": END,
    }  # fmt: skip
    soma = sites[0]
    clamps = np.array([[soma, c.start, c.duration, CURRENT] for c in CLAMPS])
    nothing = {"psi": [], "currents": [], "waveform_times": [], "waveform": []}
    exact = {"tables": 0, "order": 2, "step": FINE, "repeats": 1}
    usual = {"tables": 1, "order": 2, "step": 0.025, "repeats": 3}
    figures: dict[str, Any] = {"compartments": cells.count}
    patience = given.patience
    with_clamps = in_neuron(given.neuron, patience, **job, **exact, **nothing, clamps=clamps)
    source = np.stack([equation.clamp_source(soma, CURRENT)] * len(CLAMPS))
    figures["clamp"] = compare("current clamps at the soma", equation, source, None, with_clamps, sites, given.steps)
    timed = in_neuron(given.neuron, patience, **job, **usual, **nothing, clamps=clamps)
    figures["neuron_us_per_step"] = 1e6 * float(timed["seconds"].min()) / (END / 0.025)
    print(f"NEURON, steps of 0.025 ms with tables: {figures['neuron_us_per_step']:.1f} µs each")

    single = PulseProtocol("single", pulses=1, bursts=1, trains=1, burst_interval=1000)
    stimulus = Stimulus(single, Biphasic())
    t, course = Biphasic().curve(2000)
    pulse = {
        "waveform_times": np.r_[0.0, PULSE_AT, PULSE_AT + t, PULSE_AT + t[-1], END],
        "waveform": np.r_[0.0, 0.0, course, 0.0, 0.0],
    }
    field = {"psi": psi[: cells.count], "currents": [], **pulse}
    no_clamps = np.zeros((0, 4))
    driven = equation.field_source(at_junctions)
    left = np.delete(driven, equation.rows)
    print(f"junctions carry {np.abs(left).max(initial=0.0):.1e} nA of {np.abs(driven).max():.1e} nA")
    injected = {"psi": [], "currents": driven[equation.rows], **pulse}
    by_currents = in_neuron(given.neuron, patience, **job, **exact, **injected, clamps=no_clamps)
    name = f"a pulse of {given.field:g} V/m as axial currents"
    figures["field_currents"] = compare(name, equation, driven[None], stimulus, by_currents, sites, given.steps)
    if not given.quick:
        # With extracellular, NEURON's second order (secondorder = 2) is wrong: first order, short steps.
        in_field = in_neuron(given.neuron, patience, **job, **(exact | {"order": 0}), **field, clamps=no_clamps)
        name = f"a pulse of {given.field:g} V/m"
        figures["field"] = compare(name, equation, driven[None], stimulus, in_field, sites, given.steps)
        timed = in_neuron(given.neuron, patience, **job, **(usual | {"order": 0}), **field, clamps=no_clamps)
        figures["neuron_field_us_per_step"] = 1e6 * float(timed["seconds"].min()) / (END / 0.025)
        print(f"NEURON with extracellular, steps of 0.025 ms: {figures['neuron_field_us_per_step']:.1f} µs each")
    (RESULTS / "bench_voltage.json").write_text(json.dumps(figures, indent=1))


def psi_of_junctions(cells: Compartments, psi: Float[ndarray, " n"]) -> Float[ndarray, " points"]:
    """ψ at junctions such that the field alone drives no net current there, as points without membrane."""
    n, m = cells.count, cells.n_points
    if m == n:
        return psi
    matrix, right = np.zeros((m - n, m - n)), np.zeros(m - n)
    for point in np.flatnonzero(cells.parent >= 0):
        g, up = 1.0 / cells.axial[point], cells.parent[point]
        for here, there in ((point, up), (up, point)):
            if here >= n:
                matrix[here - n, here - n] += g
                if there >= n:
                    matrix[here - n, there - n] -= g
                else:
                    right[here - n] += g * psi[there]
    return np.r_[psi, np.linalg.solve(matrix, right)]


if __name__ == "__main__":
    main()
