"""Benchmark: time and error of split windows beside NEURON, Arbor and the finite-volume reference.

    python scripts/bench_peers.py --neuron PYTHON --arbor PYTHON [--quick] [--cells 542 2061] [--periods 10]

PYTHON are interpreters that can import neuron and arbor (they may be one, in an environment of its own:
pip install 'neuron==9.*' arbor numpy); a program that has none is left out, with a line. NEURON needs a C++ compiler,
Arbor also cmake. All get the same cell (peer_cell.py): the 542-compartment geometry of the CA1 cell or
about 3.8 times as many compartments, squid channels, N-type channels, pumps, calbindin, diffusion, and one
action potential from a clamp at the soma every 100 ms. No field: it would cost NEURON far more (`extracellular`).

Error: relative L2 of c − c_rest, weighted by volume over the tree and by the trapezoidal rule over time; and the
largest error of a compartment of dendrite or axon over its excursion. The truth is the finite-volume
reference at a tolerance of 1e-7 on a voltage in steps of 0.0025 ms; that NEURON's CVODE at 1e-7 agrees is shown.
Time: wall clock per second of biology in steady state; set-up and compilation apart. Every program runs in a
process of its own, one after the other. Writes results/bench_peers.json and .png and prints a table.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import numpy as np  # noqa: E402
from jaxtyping import Float  # noqa: E402
from numpy import ndarray  # noqa: E402
from peer_cell import CONSTANTS, FINER, PERIOD, Cell, job_of, read_cell  # noqa: E402
from peer_report import COARSE, Row, draw, goals, markdown, part_table  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
SHARED = Path(os.environ.get("HPCPINN_SHARED", ROOT.parent / "shared"))
SCRIPTS = Path(__file__).resolve().parent
DIGITS = 6
"""Of times in ms."""


@dataclass(frozen=True, eq=False)
class Setting:
    """One way to run one program.

    Attributes:
        program: As in the table.
        label: What is special about it.
        job: What its process is told beside the problem.
        periods: Of biology over which the error is measured.
        pinned: On one core.
    """

    program: str
    label: str
    job: dict[str, Any]
    periods: int
    pinned: bool = False


WINDOWS = {
    "0.4 to 10 ms": {"first": 0.4, "growth": 1.4, "longest": 10.0, "step": 0.0125},
    "0.2 to 10 ms, voltage 0.025 ms": {"first": 0.2, "growth": 1.3, "longest": 10.0, "step": 0.025},
    "0.2 to 10 ms": {"first": 0.2, "growth": 1.3, "longest": 10.0, "step": 0.0125},
    "0.1 to 5 ms": {"first": 0.1, "growth": 1.2, "longest": 5.0, "step": 0.0125},
    "0.05 to 5 ms": {"first": 0.05, "growth": 1.15, "longest": 5.0, "step": 0.00625},
}
"""Lengths of split windows and steps of the voltage; the fourth are the defaults of a run description."""
FAST, DEFAULT = "0.2 to 10 ms", "0.1 to 5 ms"


def ours(name: str, program: str, periods: int, **changes: Any) -> Setting:
    pinned = bool(changes.pop("pinned", False))
    job = {"reaction": "map", "motif_tolerance": 1e-4, "more": 10, "parts": 0} | WINDOWS[name] | changes
    label = f"windows {name}" + (", one core" if pinned else "")
    return Setting(program, label, job, periods, pinned)


def settings(periods: int, short: int, quick: bool) -> list[Setting]:
    """All runs, ours first; slow ones over fewer periods."""
    more = 3 if quick else 10
    split, classical, alone = "split windows", "classical splitting", "split windows, no motif reuse"
    found = [ours(DEFAULT, split, periods, parts=1, more=more)]
    fixed, tolerances, steps = [0.1], [1e-2], [0.025]
    references = [(1e-3, 0.025)]
    if not quick:
        found = [
            *(ours(name, split, periods, parts=int(name in (FAST, DEFAULT))) for name in WINDOWS),
            *(ours(name, split, periods, pinned=True, parts=1) for name in (FAST, DEFAULT)),
            *(ours(name, classical, periods, reaction="stiff", parts=1) for name in (FAST, DEFAULT)),
            *(ours(name, alone, periods, motif_tolerance=-1.0, more=3) for name in (FAST, DEFAULT)),
        ]
        fixed, tolerances, steps = (
            [0.1, 0.025, 0.005],
            [1e-2, 1e-3, 5e-4, 1e-4, 3e-5, 1e-5, 1e-6],
            [0.025, 0.1 / 12, 0.005, 0.001],
        )
        references += [(1e-4, 0.025), (1e-5, 0.0125)]
    for tolerance, step in references:
        job = {"tolerance": tolerance, "step": step}
        found.append(Setting("finite volumes", f"tolerance {tolerance:.0e}, voltage {step} ms", job, short))
    for step in fixed:
        job = {"method": "fixed", "step": step, "tolerance": 0.0, "tables": 1, "repeats": 1}
        span = periods if step >= 0.025 else short
        found.append(Setting("NEURON, fixed step", f"{step} ms", job, span))
    for tolerance in tolerances:
        job = {"method": "cvode", "step": 0.0, "tolerance": tolerance, "tables": 1, "repeats": 1}
        span = periods if tolerance >= 1e-4 else short
        found.append(Setting("NEURON, CVODE", f"atol {tolerance:.0e}", job, span))
    for step in steps:
        span = periods if step >= 0.005 else short
        found.append(Setting("Arbor", f"{step:.3g} ms", {"step": step, "repeats": 1}, span))
    return found


def check_setting(short: int, tolerance: float) -> Setting:
    """The independent check of the truth: rates not from tables."""
    job = {"method": "cvode", "step": 0.0, "tolerance": tolerance, "tables": 0, "repeats": 0}
    return Setting("check", f"NEURON, CVODE, atol {tolerance:.0e}, no tables", job, short)


MOMENTS = np.round(np.concatenate([np.arange(0.2, 8.1, 0.2), np.geomspace(8.5, PERIOD, 30)]), DIGITS)
"""When peers are sampled in every period, ms; ourselves where windows end, which is about as often."""


def over_periods(periods: int) -> Float[ndarray, " T"]:
    """The moments of every period."""
    return np.round((PERIOD * np.arange(periods)[:, None] + MOMENTS).ravel(), DIGITS)


@dataclass(frozen=True)
class Peers:
    """Where the other programs are; None for one that is absent."""

    neuron: str | None
    arbor: str | None
    mechanisms: Path
    catalogue: Path

    @classmethod
    def built(cls, neuron: str | None, arbor: str | None, folder: Path, patience: float) -> "Peers":
        """Compiles their mechanisms."""
        mechanisms, catalogue = folder / "neuron", folder / "peers-catalogue.so"
        mechanisms.mkdir(parents=True, exist_ok=True)
        neuron, arbor = (_that_imports(python, name) for python, name in ((neuron, "neuron"), (arbor, "arbor")))
        if neuron:
            (mechanisms / "n_type.mod").write_bytes((SCRIPTS / "peers/neuron/n_type.mod").read_bytes())
            _quietly([str(Path(neuron).parent / "nrnivmodl"), "."], mechanisms, patience)
        if arbor:
            where = "import arbor, os; print(os.path.dirname(arbor.__file__))"
            package = subprocess.run([arbor, "-c", where], capture_output=True, text=True, timeout=patience,
                                     check=True).stdout.split("\n")[-2]  # fmt: skip
            program = Path(package) / "bin" / "arbor-build-catalogue"
            _quietly([arbor, str(program), "peers", str(SCRIPTS / "peers/arbor")], folder, patience)
        return cls(neuron, arbor, mechanisms, catalogue)


def _that_imports(python: str | None, name: str) -> str | None:
    if python is None:
        print(f"{name}: left out; name an interpreter that can import it with --{name}")
        return None
    done = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False, timeout=120)
    if done.returncode:
        print(f"{name}: left out; {python} cannot import it")
        return None
    return python


def _quietly(command: list[str], folder: Path, patience: float) -> None:
    environment = os.environ | {"PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=patience, check=False,
                          env=environment)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


@dataclass(frozen=True)
class Bench:
    """One cell size: its problem, its truth, its programs.

    Attributes:
        cell: The cell.
        finer: How it was cut.
        peers: The other programs.
        folder: For jobs and results.
        patience: Seconds for a process.
    """

    cell: Cell
    finer: float
    peers: Peers
    folder: Path
    patience: float

    def command(self, setting: Setting, given: Path, made: Path) -> tuple[list[str], Path] | None:
        """What runs a setting and where; None where the program is absent."""
        python, script, where, extra = sys.executable, "peer_ours.py", self.folder, []
        if setting.program.startswith("NEURON") or setting.program == "check":
            python, script, where = self.peers.neuron, "peer_neuron.py", self.peers.mechanisms
        elif setting.program == "Arbor":
            python, script, extra = self.peers.arbor, "peer_arbor.py", [str(self.peers.catalogue)]
        elif setting.program in ("finite volumes", "truth"):
            script = "peer_reference.py"
        if python is None:
            return None
        pin = ["taskset", "-c", "0"] if setting.pinned else []
        return [*pin, python, str(SCRIPTS / script), str(given), str(made), *extra], where

    def outcome(self, setting: Setting, times: Float[ndarray, " T"] | None = None) -> dict[str, ndarray] | str | None:
        """What a program found, or one line that says why nothing; None where the program is absent."""
        times = over_periods(setting.periods) if times is None else times
        timed_until = PERIOD * min(setting.periods, 3)
        job = job_of(self.cell, CONSTANTS, setting.periods) | {
            "times": times, "periods": setting.periods, "finer": self.finer, "folder": str(SHARED / "reference"),
            "timed_from": PERIOD if setting.periods > 1 else 0.0, "timed_until": timed_until,
        } | setting.job  # fmt: skip
        given, made = self.folder / "job.npz", self.folder / "made.npz"
        np.savez(given, **job)
        chosen = self.command(setting, given, made)
        if chosen is None:
            return None
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        try:
            done = subprocess.run(chosen[0], cwd=chosen[1], timeout=self.patience, capture_output=True, text=True,
                                  check=False, env=environment)  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"given up after {self.patience:g} s"
        if done.returncode:
            return "failed: " + (done.stderr.strip().split("\n") or ["?"])[-1]
        with np.load(made) as data:
            found = dict(data)
        made.unlink()
        return found

    def errors(self, times: ndarray, c: ndarray, truth_times: ndarray, truth: ndarray) -> tuple[float, float]:
        """Relative L2 over tree and time, and the largest error over a compartment's excursion."""
        rows = np.searchsorted(truth_times, np.round(times, DIGITS) - 0.5 * 10.0**-DIGITS)
        assert np.allclose(truth_times[rows], times, atol=1e-5), "the truth is not known at these times"
        right, volume = truth[rows], self.cell.volume
        weights = np.gradient(np.append(0.0, times))[1:]
        off, size = c - right, right - CONSTANTS.c_rest
        relative = float(np.sqrt((weights @ off**2 @ volume) / (weights @ size**2 @ volume)))
        outside = ~self.cell.is_soma
        largest = np.abs(off).max(axis=0) / np.ptp(right, axis=0)
        return relative, float(largest[outside].max())

    def row(self, setting: Setting, found: dict[str, ndarray], truth_times: ndarray, truth: ndarray) -> Row:
        """The line of the table."""
        compartments = int(self.cell.count.sum())
        times = found.get("times", over_periods(setting.periods))
        relative, largest = self.errors(times, found["c"], truth_times, truth)
        row = Row(compartments, setting.program, setting.label, 1e-3 * PERIOD * setting.periods, relative, largest)
        per_second = 1e3 / PERIOD
        if "seconds_kept" in found:
            windows, kept = (float(per_second * found[f"seconds_{name}"].mean()) for name in ("windows", "kept"))
            names, seconds = found["part_names"].tolist(), per_second * found["part_seconds"]
            return replace(
                row, seconds=kept, seconds_windows_alone=windows,
                setup=float(found["setup"] + found["first_pass"]),
                parts=dict(zip(names, seconds.tolist(), strict=True)),
                solved=int(found["solved"]), windows=int(found["windows"]),
            )  # fmt: skip
        if "seconds_calcium" in found:
            voltage, calcium = (float(found[f"seconds_{name}"]) / row.biology for name in ("voltage", "calcium"))
            return replace(row, seconds=voltage + calcium, parts={"voltage": voltage, "calcium": calcium})
        span = 1e-3 * (PERIOD * (min(setting.periods, 3) - (setting.periods > 1)))
        seconds = float(found["seconds"].min() / span) if len(found["seconds"]) else float("nan")
        return replace(row, seconds=seconds, setup=float(found["setup"]))


def one_cell(
    bench: Bench, chosen: list[Setting], periods: int, short: int, quick: bool
) -> tuple[list[Row], Row | None]:
    """All settings on one cell, and the check of the truth."""
    mine = {setting: bench.outcome(setting) for setting in chosen if "first" in setting.job}
    own = [np.round(found["times"], DIGITS) for found in mine.values() if isinstance(found, dict)]
    truth_times = np.unique(np.concatenate([over_periods(periods), *own]))
    exact = {"tolerance": COARSE if quick else 1e-7, "step": 0.01 if quick else 0.0025}
    found = bench.outcome(Setting("truth", "", exact, periods), truth_times)
    if not isinstance(found, dict):
        raise SystemExit(f"the truth: {found}; give --patience more")
    truth = found["c"]
    seconds = float(found["seconds_voltage"] + found["seconds_calcium"])
    print(f"\n{bench.cell.count.sum()} compartments; the truth took {seconds:.0f} s", flush=True)
    check, rows = None, []
    independent = check_setting(1 if quick else short, COARSE if quick else 1e-7)
    for setting in [independent, *chosen]:
        found = mine[setting] if setting in mine else bench.outcome(setting)
        if found is None:
            continue
        if isinstance(found, str):
            print(f"  {setting.program}, {setting.label}: {found}", flush=True)
            continue
        row = bench.row(setting, found, truth_times, truth)
        print(
            f"  {setting.program}, {setting.label}: {row.seconds:.3g} s/s, error {row.relative:.1e}",
            flush=True,
        )
        if setting is independent:
            check = row
        else:
            rows.append(row)
    return rows, check


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--neuron", metavar="PYTHON", help="an interpreter that can import neuron")
    parser.add_argument("--arbor", metavar="PYTHON", help="an interpreter that can import arbor")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 542 compartments, few settings")
    parser.add_argument("--cells", type=int, nargs="+", default=[542, 2061], choices=[542, 2061])
    parser.add_argument("--periods", type=int, default=10, help="of 100 ms, over which errors are measured")
    parser.add_argument("--short", type=int, default=3, help="the same for slow settings")
    parser.add_argument(
        "--leave-out", nargs="+", default=[], metavar="TEXT", help="settings whose name holds one of these"
    )
    parser.add_argument("--patience", type=float, default=1500.0, help="seconds for one process")
    given = parser.parse_args()
    if given.quick:
        given.cells, given.periods, given.short = [542], 2, 2
    folder = RESULTS / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    peers = Peers.built(given.neuron, given.arbor, folder, given.patience)
    chosen = [
        setting
        for setting in settings(given.periods, given.short, given.quick)
        if not any(text in f"{setting.program} {setting.label}" for text in given.leave_out)
    ]
    rows: list[Row] = []
    checks: list[Row] = []
    for number in given.cells:
        finer = 1.0 if number == 542 else FINER
        bench = Bench(read_cell(SHARED / "reference", finer), finer, peers, folder, given.patience)
        more, check = one_cell(bench, chosen, given.periods, given.short, given.quick)
        rows += more
        checks += [check] if check else []
        report = {"rows": [asdict(row) for row in rows], "checks": [asdict(row) for row in checks]}
        (RESULTS / "bench_peers.json").write_text(json.dumps(report, indent=1))
    print("\n" + markdown(rows))
    print("\n" + part_table(rows))
    for check in checks:
        print(f"\n{check.compartments} compartments: the truth and {check.label} differ by {check.relative:.1e} "
              f"(rel. L2), {check.largest:.1e} (largest)")  # fmt: skip
    said = goals(rows)
    print("\n" + "\n".join(said))
    report["goals"] = said
    (RESULTS / "bench_peers.json").write_text(json.dumps(report, indent=1))
    draw(rows, RESULTS / "bench_peers.png")


if __name__ == "__main__":
    main()
