"""Benchmark: whole protocols on the layer-5 pyramidal cell, memory watched, killed once and resumed.

    python scripts/bench_protocols.py [--protocols iTBS600 1Hz] [--seconds S] [--swc FILE] [--field V/m]
                                      [--set KEY=VALUE] [--limit 3600] [--no-kill]

Every protocol is run by `python -m hpcpinn run jobs/rtms_10hz.toml` in split windows on one rank, in a
process of its own, whose resident memory is read several times a second. Without --field, the
field is 1.2 times what `hpcpinn threshold` finds. A second run of each is killed with SIGKILL in
the middle and goes on with `--resume auto`; every array of its result must be that of the first, to the last bit,
but for wall times. --seconds shortens the protocols.

Says how memory grows from the second fifth of the run to its last: flat is less than 2 % or 16 MiB. Draws
the pages of the results. Writes results/bench_protocols.json and .png, and results/bench_NAME*.h5; ends with 1 where
memory is not flat or a resumed result is another.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, Any

import matplotlib
import numpy as np
from numpy import ndarray
from squid_cell import SQUID_CELL

from hpcpinn.io import read
from hpcpinn.io.checkpoint import checkpoint_path
from hpcpinn.io.metrics import read_metrics

matplotlib.use("Agg")
from matplotlib import pyplot

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
SHARED = Path(os.environ.get("HPCPINN_SHARED", ROOT.parent / "shared"))
JOB = ROOT / "jobs" / "rtms_10hz.toml"
PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY = 0.25
"""Wall time between two looks at the memory, s."""
SETTLED = 0.2
"""Share of the run after which memory shall be flat."""
_CLOCK = re.compile(r"solving ([\d.e+]+) of ([\d.e+]+)")


@dataclass
class Watched:
    """A process that was watched.

    Attributes:
        seconds: Wall time.
        samples: (wall time s, share of the run, resident MiB).
        lines: What it said.
        code: Exit code.
    """

    seconds: float = 0.0
    samples: list[tuple[float, float, float]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    share: float = 0.0
    code: int = 0

    def growth(self) -> tuple[float, float]:
        """Largest MiB in the second fifth of the run and in its last: it goes up and down with every slot."""
        shares, resident = (np.array(x) for x in list(zip(*self.samples, strict=True))[1:])
        second = resident[(shares >= SETTLED) & (shares < 2.0 * SETTLED)]
        return float(second.max()), float(resident[shares >= 1.0 - SETTLED].max())

    @property
    def peak(self) -> float:
        """MiB."""
        return max(resident for _, _, resident in self.samples)


def watched(arguments: list[str], limit: float, kill_at: float | None = None, needs: Path | None = None) -> Watched:
    """Runs hpcpinn and watches it.

    Args:
        arguments: After `python -m hpcpinn`.
        limit: Wall time, s.
        kill_at: Share of the run at which it is killed, where `needs` is there by then.
        needs: A file that must have been written before it may be killed.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "hpcpinn", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment,
    )  # fmt: skip
    seen = Watched()
    assert process.stdout is not None
    reader = Thread(target=_listen, args=(process.stdout, seen), daemon=True)
    reader.start()
    while process.poll() is None:
        resident = _resident(process.pid)
        if resident:  # a process that has just ended has none
            seen.samples.append((time.monotonic() - began, seen.share, resident))
        if time.monotonic() - began > limit:
            process.kill()
            process.wait()
            raise SystemExit(f"bench_protocols: {' '.join(arguments)}: longer than {limit:g} s; raise --limit")
        if kill_at is not None and seen.share >= kill_at and needs is not None and needs.is_file():
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(EVERY)
    reader.join(timeout=10.0)
    seen.seconds, seen.code = time.monotonic() - began, process.returncode
    return seen


def _listen(stream: IO[str], seen: Watched) -> None:
    for line in stream:
        seen.lines.append(line.rstrip())
        found = _CLOCK.search(line)
        if found:
            seen.share = float(found[1]) / float(found[2])


def _resident(pid: int) -> float | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20
    except (OSError, IndexError):
        return None


def succeeded(seen: Watched, what: str) -> Watched:
    """The same, or the end of the benchmark."""
    if seen.code:
        raise SystemExit("\n".join([*seen.lines[-5:], f"bench_protocols: {what} ended with {seen.code}"]))
    return seen


def threshold(swc: Path, settings: list[str], limit: float) -> tuple[float, float]:
    """The weakest field that makes the cell fire, V/m, and the wall time of the search."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "hpcpinn", "threshold", str(JOB), "--morphology", str(swc), "--up-to", "8000",
         "--json", *settings],
        capture_output=True, text=True, timeout=limit, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"bench_protocols: threshold: {done.stderr.strip()}")
    return float(json.loads(done.stdout)["threshold"]), time.monotonic() - began


def arrays(path: Path) -> Iterator[tuple[str, ndarray]]:
    """Every array of a result but wall times."""
    result = read(path)
    yield from (
        ("time", result.time),
        ("calcium", result.calcium),
        ("calbindin", result.calbindin),
        ("voltage", result.voltage),
    )
    for name in ("time", "calcium", "calbindin", "voltage", "piece", "fraction"):
        yield f"probes/{name}", getattr(result.probes, name)
    for name, column in result.windows.items():
        if not name.startswith("seconds"):
            yield f"windows/{name}", column
    for name, column in result.sweeps.items():
        yield f"sweeps/{name}", column
    yield "owner", result.owner
    for name in ("volume", "piece", "path", "xyz"):
        yield f"cells/{name}", getattr(result.cells, name)


def differences(one: Path, other: Path) -> list[str]:
    """Arrays of two results that are not the same to the last bit."""
    found = []
    for (name, a), (_, b) in zip(arrays(one), arrays(other), strict=True):
        if a.shape != b.shape:
            found.append(f"{name}: {a.shape} and {b.shape}")
        elif a.tobytes() != b.tobytes():
            found.append(f"{name}: up to {np.abs(a.astype(float) - b.astype(float)).max():.1e}")
    return found


def draw(courses: dict[str, Watched], path: Path) -> None:
    """Resident memory over wall time."""
    figure, axes = pyplot.subplots(figsize=(7.5, 4.0), layout="constrained")
    for name, seen in courses.items():
        wall, _, resident = zip(*seen.samples, strict=True)
        axes.plot(np.array(wall) / 60.0, resident, lw=1.2, label=name)
    axes.set(
        xlabel="wall time (min)",
        ylabel="resident memory (MiB)",
        ylim=(0.0, None),
        title="memory of a long run",
    )
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def one_protocol(
    name: str, common: list[str], settings: list[str], given: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Watched]]:
    """The whole run, the killed and resumed one, and the page."""

    def command(output: Path, *more: str) -> list[str]:
        return [
            "run",
            str(JOB),
            *common,
            "--set",
            f'stimulation.protocol="{name}"',
            *settings,
            "--output",
            str(output),
            *more,
        ]

    whole, broken = (RESULTS / f"bench_{name}" / part / "run.h5" for part in ("whole", "resumed"))
    for output in (whole, broken):
        output.parent.mkdir(parents=True, exist_ok=True)
        for old in output.parent.glob("run*"):
            if old.is_file():
                old.unlink()
    runs = {"whole": succeeded(watched(command(whole), given.limit), name)}
    metrics = read_metrics(whole)
    after, end = runs["whole"].growth()
    flat = end - after <= max(0.02 * after, 16.0)
    report: dict[str, Any] = {
        "wall time, s": runs["whole"].seconds,
        "peak memory, MiB": runs["whole"].peak,
        "largest memory in the second fifth, MiB": after,
        "largest memory in the last fifth, MiB": end,
        "memory flat": flat,
        "metrics": metrics,
        "file, MiB": whole.stat().st_size / 2**20,
    }
    print("\n".join(runs["whole"].lines[-14:]))
    print(
        f"{name}: {runs['whole'].seconds:.0f} s, peak {runs['whole'].peak:.0f} MiB; memory at most {after:.0f} MiB in "
        f"the second fifth, {end:.0f} MiB in the last: {'flat' if flat else 'NOT flat'}"
    )
    same = True
    if not given.no_kill:
        checkpoint = checkpoint_path(broken)
        often = max(1.0, min(60.0, 0.1 * metrics["seconds"]))
        saving = ["--set", f"split.checkpoint_every={often:.3g}"]
        runs["until killed"] = watched(command(broken, *saving), given.limit, 0.5, checkpoint)
        killed = runs["until killed"].code == -signal.SIGKILL
        runs["resumed"] = succeeded(
            watched(command(broken, *saving, "--resume", "auto"), given.limit), f"{name}, resumed"
        )
        found = differences(whole, broken)
        same = killed and not found
        report |= {
            "killed": killed,
            "killed at": runs["until killed"].share,
            "resumed, s": runs["resumed"].seconds,
            "differences": found,
            "same to the bit": same,
        }
        print(
            f"{name}: killed at {100 * report['killed at']:.0f} %, resumed in {runs['resumed'].seconds:.0f} s: "
            + ("every array the same to the last bit" if same else f"NOT the same: {'; '.join(found) or 'not killed'}")
        )
    plotted = watched(["plot", str(whole)], given.limit)
    report["pictures"] = [line.removeprefix("picture: ") for line in plotted.lines if line.startswith("picture: ")]
    print(f"{name}: page {report['pictures'][0] if report['pictures'] else plotted.lines[-1:]}")
    return report | {"held": flat and same}, {f"{name}, {part}": seen for part, seen in runs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--protocols", nargs="+", default=["iTBS600", "1Hz"])
    parser.add_argument("--seconds", type=float, help="of biology; whole protocols if left out")
    parser.add_argument("--swc", type=Path, default=SHARED / "morphologies" / "rat_l5_pyramidal_with_axon.swc")
    parser.add_argument("--field", type=float, help="V/m; 1.2 times the threshold if left out")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--limit", type=float, default=7200.0, help="wall time that one run may take, s")
    parser.add_argument("--no-kill", action="store_true", help="leave the killed and resumed run away")
    given = parser.parse_args()
    if not given.swc.is_file():
        parser.error(f"{given.swc}: no such file; set HPCPINN_SHARED or give --swc")
    RESULTS.mkdir(exist_ok=True)
    base = [word for change in SQUID_CELL for word in ("--set", change)]
    settings = [word for change in given.settings for word in ("--set", change)]
    report: dict[str, Any] = {"cell": given.swc.name}
    strength = given.field
    if strength is None:
        found, seconds = threshold(given.swc, [*base, *settings], given.limit)
        strength = 1.2 * found
        report |= {"threshold, V/m": found, "seconds, threshold": seconds}
        print(f"threshold {found:.4g} V/m, found in {seconds:.0f} s", flush=True)
    report["field, V/m"] = strength
    common = [*base, "--morphology", str(given.swc), "--set", f"field.magnitude={strength:.6g}"]
    if given.seconds is not None:
        common += ["--set", f"run.duration={1e3 * given.seconds:g}"]
    courses: dict[str, Watched] = {}
    for name in given.protocols:
        report[name], runs = one_protocol(name, common, settings, given)
        courses |= runs
        (RESULTS / "bench_protocols.json").write_text(json.dumps(report, indent=2))
        draw(courses, RESULTS / "bench_protocols.png")
    sys.exit(not all(report[name]["held"] for name in given.protocols))


if __name__ == "__main__":
    main()
