"""Benchmark 25: what a first run compiles, and what the kept programs save the next.

    python scripts/bench_startup.py [--jobs y_branch default tms_pulse rtms_10hz dopamine_inverse]

Every job is run by itself, some shortened, three times: without kept programs (HPCPINN_CACHE=off), with an empty
folder of them, and with the folder that this filled. Seconds are processor seconds of the whole process, of
which other work on the machine shows little, and wall seconds, of which it shows much. Programs are counted
by JAX's own events, so the answers of the three runs are compared, too: they are the same to the bit. How many
programs the same runs compiled before is in `BEFORE`. Writes results/bench_startup.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from squid_cell import SQUID_CELL

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"

JOBS = {
    "y_branch": ("run",),
    "default": ("run", "--set", "run.duration=1"),
    "tms_pulse": ("run", "--set", "run.duration=1"),
    "rtms_10hz": ("run", "--set", "run.duration=2000", *(word for key in SQUID_CELL for word in ("--set", key))),
    "dopamine_inverse": ("infer",),
}
BEFORE = {"y_branch": 129, "default": 146, "tms_pulse": 193, "rtms_10hz": 172, "dopamine_inverse": 64}
"""Programs that these runs compiled at commit 43d8013."""

KEPT = ("without", "empty", "filled")


def counted(report: Path, arguments: list[str]) -> None:
    """In a process of its own: the command, and what it compiled."""
    import jax

    from hpcpinn.__main__ import main as hpcpinn

    compiled: list[tuple[str, float]] = []
    read = 0

    def timed(event: str, seconds: float, **about: str) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append((about.get("fun_name", ""), seconds))

    def happened(event: str, **_: str) -> None:
        nonlocal read
        read += event == "/jax/compilation_cache/cache_hits"

    jax.monitoring.register_event_duration_secs_listener(timed)
    jax.monitoring.register_event_listener(happened)
    began, code = time.perf_counter(), 0
    sys.argv = ["hpcpinn", *arguments]
    try:
        hpcpinn()
    except SystemExit as ended:
        code = int(ended.code or 0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "code": code,
        "programs": len(compiled),
        "read": read,
        "compile_seconds": sum(seconds for _, seconds in compiled),
        "processor_seconds": used.ru_utime + used.ru_stime,
        "wall_seconds": time.perf_counter() - began,
        "longest": sorted(compiled, key=lambda one: -one[1])[:5],
    }
    report.write_text(json.dumps(figures))


def measured(job: str, kept: str, folder: Path) -> dict[str, object]:
    """One run of a job."""
    command, *changes = JOBS[job]
    report, output = folder / f"{job}-{kept}.json", folder / f"{job}-{kept}.h5"
    cache = "off" if kept == "without" else str(folder / f"{job}-programs")
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    subprocess.run(
        [sys.executable, __file__, "--count", str(report), command, str(ROOT / "jobs" / f"{job}.toml")]
        + [*changes, "--output", str(output)],
        env=environment | {"HPCPINN_CACHE": cache}, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    figures = json.loads(report.read_text())
    if figures["code"]:
        raise SystemExit(f"{job}: exit code {figures['code']}")
    return figures


def same_to_the_bit(first: Path, second: Path) -> bool:
    """Whether all that two results say of the cell is the same."""
    import h5py
    import numpy as np

    def solved(path: Path) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, node: (
                    found.update({name: node[()]})
                    if isinstance(node, h5py.Dataset) and node.dtype.kind == "f" and "seconds" not in name
                    else None
                )
            )
        return found

    one, other = solved(first), solved(second)
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def main() -> None:
    if sys.argv[1:2] == ["--count"]:
        counted(Path(sys.argv[2]), sys.argv[3:])
        return
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    given = arguments.parse_args()
    rows = {}
    columns = f"{'programs':>16}{'ratio':>7}{'compile s':>11}{'processor s: off, empty, filled':>33}"
    print(f"{'':18}{columns}{'ratios':>13}  same")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for job in given.jobs:
            runs = {kept: measured(job, kept, folder) for kept in KEPT}
            results = [folder / f"{job}-{kept}.h5" for kept in KEPT]
            off, empty, filled = (runs[kept]["processor_seconds"] for kept in KEPT)
            programs = runs["without"]["programs"]
            rows[job] = {
                "before": BEFORE[job],
                "now": programs,
                "share": programs / BEFORE[job],
                "empty_over_off": empty / off,
                "filled_over_off": filled / off,
                "wall_filled_over_off": runs["filled"]["wall_seconds"] / runs["without"]["wall_seconds"],
                "same_to_the_bit": all(same_to_the_bit(results[0], other) for other in results[1:]),
                "runs": runs,
            }
            row = rows[job]
            print(
                f"{job:18}{BEFORE[job]:8} ->{programs:5}{row['share']:7.2f}{runs['without']['compile_seconds']:11.1f}"
                f"{off:17.1f}{empty:8.1f}{filled:8.1f}{row['empty_over_off']:7.2f}{row['filled_over_off']:6.2f}"
                f"  {row['same_to_the_bit']}",
                flush=True,
            )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_startup.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
