"""Benchmarks 4, 5 and 7: real cells on many ranks, against the independent reference.

    python scripts/bench_cells.py [ca1] [purkinje] [l5] [--ranks 8] [--agree 1,2,4] [--duration 50]
                                  [--folder ../shared/morphologies] [--patience 120]

Each cell gets the same treatment: preset physical-N, a voltage train read from a file, three synaptic
releases, all defaults. `ca1` is also solved on the rank counts of --agree and the answers compared.
Prints one table per cell and writes results/bench_cells.json.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from under_mpi import under_mpi

from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.read import read

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
CELLS = {
    "ca1": ("rat_ca1_pyramidal_c91662.swc", ["apic[10](0.5)", "apic[40](0.3)", "dend[20](0.7)"]),
    "purkinje": ("mouse_purkinje_p43_6.swc", ["dend[30](0.5)", "dend[200](0.5)", "tip:dend"]),
    "l5": ("rat_l5_pyramidal_with_axon.swc", ["apic[10](0.5)", "tip:axon", "dend[20](0.5)"]),
}
RELEASES = [2.0, 12.0, 30.0]
SECONDS_PER_RUN = 3000


def job_file(name: str, folder: Path, duration: float) -> Path:
    """Writes the run description of a cell."""
    file, sites = CELLS[name]
    lines = [
        f'morphology.file = "{folder / file}"',
        'physics.preset = "physical-N"',
        f'voltage.file = "{ROOT / "jobs" / "voltage_train.csv"}"',
        f"run.duration = {duration}",
        'probe = [{site = "soma"}, ' + ", ".join(f'{{site = "{site}"}}' for site in sites) + "]",
    ]
    for site, start in zip(sites, RELEASES, strict=True):
        if start < duration:
            lines += ["[[synapse]]", f'site = "{site}"', f"start = {start}"]
    path = RESULTS / f"bench_{name}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(name: str, job: Path, ranks: int) -> tuple[Path, dict]:
    """Runs a job on some ranks; its result and metrics."""
    output = RESULTS / f"bench_{name}_{ranks}" / "run.h5"
    command = [sys.executable, "-m", "hpcpinn", "run", str(job), "--output", str(output)]
    subprocess.run(
        under_mpi(ranks, command), check=True, timeout=SECONDS_PER_RUN, cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS="1"),
    )  # fmt: skip
    return output, read_metrics(output)


def validated(result: Path, patience: float) -> dict:
    """What `hpcpinn validate` says of a result."""
    command = [sys.executable, "-m", "hpcpinn", "validate", str(result), "--json"]
    done = subprocess.run(
        [*command, "--patience", str(patience)], check=True, timeout=SECONDS_PER_RUN,
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    return json.loads(done.stdout)


def difference(one: Path, other: Path) -> float:
    """Largest relative difference of two results (calcium and calbindin, cells and probes)."""
    a, b = read(one), read(other)
    pairs = [(a.calcium, b.calcium), (a.calbindin, b.calbindin)]
    pairs += [(a.probes.calcium, b.probes.calcium), (a.probes.calbindin, b.probes.calbindin)]
    return max(float(np.abs(x - y).max() / np.abs(x).max()) for x, y in pairs)


def report(name: str, metrics: dict, truth: dict) -> dict:
    """The figures of one cell, printed."""
    figures = {
        "ranks": metrics["ranks"],
        "sections": metrics["sections"],
        "pieces": metrics["pieces"],
        "windows": metrics["windows"],
        "rel. L2 of c - c_rest": truth["rel_l2"]["calcium"],
        "rel. L2 of b": truth["rel_l2"]["calbindin"],
        "reference still moves (c)": truth["reference"]["movement"]["calcium"],
        "calcium balance": metrics["calcium_balance"],
        "most sweeps per Newton step": metrics["most_sweeps_per_step"],
        "most sweeps per window": metrics["most_sweeps_per_window"],
        "largest jump left": metrics["interface_jump"],
        "seconds, windows": truth["seconds_ours"],
        "seconds, first window with compilation": truth["seconds_first_window"],
        "seconds, reference at equal error (1 process)": truth["seconds_reference"],
        "share of exchange": metrics["exchange_share"],
        "memory per rank, GiB": metrics["memory_gib"],
        "output, MiB": metrics["output_mib"],
    }
    print(f"\n{name}")
    for key, value in figures.items():
        print(f"  {key:48s} {value:.3g}" if isinstance(value, float) else f"  {key:48s} {value}")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cells", nargs="*", default=["ca1"], choices=list(CELLS))
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--agree", default="1,2,4")
    parser.add_argument("--duration", type=float, default=50.0)
    parser.add_argument("--patience", type=float, default=120.0)
    parser.add_argument("--folder", type=Path, default=ROOT.parent / "shared" / "morphologies")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / "bench_cells.json"
    table = json.loads(target.read_text()) if target.exists() else {}
    for name in options.cells:
        job = job_file(name, options.folder.resolve(), options.duration)
        output, metrics = run(name, job, options.ranks)
        table[name] = report(name, metrics, validated(output, options.patience))
        table[name]["duration, ms"] = options.duration
        target.write_text(json.dumps(table, indent=2))
        others = [int(n) for n in options.agree.split(",") if n] if name == "ca1" else []
        for ranks in others:
            gap = difference(output, run(name, job, ranks)[0])
            table[name][f"difference to {ranks} ranks"] = gap
            print(f"  difference of {options.ranks} and {ranks} ranks {gap:32.1e}")
            target.write_text(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
