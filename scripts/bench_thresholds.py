"""Thresholds of real cells in a uniform field, against published ones and against what is known of axons.

    python scripts/bench_thresholds.py [--shared FOLDER] [--quick] [ROW ...]

Rows (all of them if none is named):

- `published`: the human layer 2/3 cell with its own myelin, 100 published directions and thresholds, the recorded
  monophasic pulse, steps as published (backward Euler of 5 µs), and with steps of second order beside it.
- `myelinated`: the same cell with its myelin taken away and grown anew by the published rule.
- `bare`: the same cell with the membrane of unmyelinated axon on its internodes: what myelin is for.
- `chronaxie`: strength and duration of rectangles of 30, 60 and 120 µs in four directions, fitted by Weiss' law.
- `biphasic`: the recorded biphasic pulse beside the monophasic one: which of two opposite directions is easier.
- `layer5`: a rat's layer 5 cell with a traced axon, myelinated by the rule; 60 directions.
- `many`: 200 directions of five cells, the time that takes on this process.

The cells, waveforms and published thresholds are shared data (HPCPINN_SHARED, or the folder beside the repository).
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bare_axon import bare_axon  # noqa: E402

from hpcpinn.morphology.directions import evenly_spread  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.parallel.device import prepare  # noqa: E402
from hpcpinn.systems.cell.build.threshold_maps import Wanted, thresholds_of  # noqa: E402
from hpcpinn.systems.cell.threshold import Search  # noqa: E402
from hpcpinn.systems.cell.threshold_map import Row  # noqa: E402
from hpcpinn.systems.jobs import load_order  # noqa: E402

RESULTS = ROOT / "results"
TYPES = 'channels.types={5="myelin", 6="unmyelinated", 7="node"}'
AS_PUBLISHED = [
    "cable.longest=40", "cable.d_lambda=100", "cable.scheme=euler", "cable.step=0.005", "cable.pulse_step=0.005",
]  # fmt: skip
WIDTHS = (0.03, 0.06, 0.12)


class Bench:
    """Shared data, and files made from them."""

    def __init__(self, shared: Path, made: Path, quick: bool) -> None:
        self.shared, self.made, self.quick = shared, made, quick
        self.human = shared / "morphologies" / "human_l23_pyramidal_aberra.swc"
        with (shared / "reference" / "aberra_l23" / "thresholds.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        rows = rows[::10] if quick else rows
        self.directions = np.array([[float(row[name]) for name in ("Ex", "Ey", "Ez")] for row in rows])
        self.published = np.array([float(row["threshold_V_per_m"]) for row in rows])

    def recorded(self, name: str) -> str:
        """A recorded waveform as a table of ours."""
        file = self.made / f"{name}.csv"
        lines = (self.shared / "reference" / "aberra_l23" / f"magpro_x100_{name}.csv").read_text().splitlines()
        file.write_text("\n".join(["time_ms,value", *lines[1:]]) + "\n")
        return str(file)

    def rectangle(self, width: float) -> str:
        """A rectangle of a width, ms."""
        file = self.made / f"rectangle{1e3 * width:g}us.csv"
        file.write_text(f"time_ms,value\n0,1\n{width},1\n")
        return str(file)


def thresholds(
    cell: str, waveform: str, directions: np.ndarray, *settings: str, up_to: float = 8000.0, tolerance: float = 0.002
) -> list[Row]:
    """Thresholds of a cell of some membrane in some directions, V/m."""
    given = [f'morphology.file="{cell}"', f'stimulation.waveform="{waveform}"', "field.magnitude=1", *settings]
    config = load_order(None, given).described
    return thresholds_of(config, Search("any", up_to, tolerance), Wanted(directions.tolist()), SerialCommunicator())


def of(rows: Sequence[Row], column: str = "threshold_V_per_m") -> np.ndarray:
    return np.array([getattr(row, column) for row in rows])


def against(found: np.ndarray, published: np.ndarray) -> dict[str, Any]:
    """Deviations from published thresholds, %."""
    off = 100.0 * (found / published - 1.0)
    return {
        "directions": len(found), "mean %": round(float(off.mean()), 2), "least %": round(float(off.min()), 2),
        "most %": round(float(off.max()), 2), "r": round(float(np.corrcoef(found, published)[0, 1]), 5),
    }  # fmt: skip


def published(bench: Bench) -> dict[str, Any]:
    pulse, own = bench.recorded("monophasic"), [str(bench.human)]
    begin = time.perf_counter()
    as_they = thresholds(*own, pulse, bench.directions, "channels.set=aberra-l23", TYPES, *AS_PUBLISHED)
    seconds = time.perf_counter() - begin
    second_order = thresholds(*own, pulse, bench.directions, "channels.set=aberra-l23", TYPES, "cable.longest=40")
    return {
        "steps as published": against(of(as_they, "firing_V_per_m"), bench.published),
        "steps of second order": against(of(second_order, "firing_V_per_m"), bench.published),
        "median velocity, m/s": round(float(np.nanmedian(of(as_they, "velocity_m_per_s"))), 2),
        "seconds per direction": round(seconds / len(as_they), 2),
    }


def myelinated(bench: Bench) -> dict[str, Any]:
    cell, settings = str(bare_axon(bench.human, bench.made)), ["channels.set=aberra-l23", "axon.myelinate=aberra"]
    found = thresholds(cell, bench.recorded("monophasic"), bench.directions, *settings, *AS_PUBLISHED)
    return against(of(found, "firing_V_per_m"), bench.published)


def bare(bench: Bench) -> dict[str, Any]:
    some = slice(None, None, 1 if bench.quick else 10)
    unmyelinated = TYPES.replace('"myelin"', '"unmyelinated"')
    found = thresholds(str(bench.human), bench.recorded("monophasic"), bench.directions[some],
                       "channels.set=aberra-l23", unmyelinated, *AS_PUBLISHED, tolerance=0.01)  # fmt: skip
    ratio = of(found) / bench.published[some]
    return {"times as high": [round(float(x), 2) for x in (ratio.min(), np.median(ratio), ratio.max())]}


def chronaxie(bench: Bench) -> dict[str, Any]:
    some = bench.directions[:: max(1, len(bench.directions) // 12)][: 4 if bench.quick else 12]
    found = {
        width: of(thresholds(str(bench.human), bench.rectangle(width), some, "channels.set=aberra-l23", TYPES,
                             "cable.longest=40", tolerance=5e-4))
        for width in WIDTHS
    }  # fmt: skip
    report = {}
    for number in range(len(some)):
        # Weiss: strength times width is rheobase times (width + chronaxie).
        charge = np.array([width * found[width][number] for width in WIDTHS])
        rheobase, intercept = np.polyfit(WIDTHS, charge, 1)
        report[str(some[number].round(2).tolist())] = {
            "rheobase, V/m": round(float(rheobase), 1), "chronaxie, us": round(1e3 * float(intercept / rheobase)),
        }  # fmt: skip
    return report


def biphasic(bench: Bench) -> dict[str, Any]:
    along = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    report = {}
    for name in ("monophasic", "biphasic"):
        pulse = bench.recorded(name)
        found = of(thresholds(str(bench.human), pulse, along, "channels.set=aberra-l23", TYPES, "cable.longest=40"))
        report[name] = {"down, V/m": round(float(found[0]), 1), "up, V/m": round(float(found[1]), 1)}
    return report


def layer5(bench: Bench) -> dict[str, Any]:
    cell = str(bench.shared / "morphologies" / "rat_l5_pyramidal_with_axon.swc")
    settings = ["channels.set=aberra-l5", "axon.myelinate=aberra", "cable.longest=40"]
    directions = evenly_spread(10 if bench.quick else 60)
    found = of(thresholds(cell, bench.recorded("monophasic"), directions, *settings, tolerance=0.005))
    low, middle, high = np.nanmin(found), np.nanmedian(found), np.nanmax(found)
    return {"least, V/m": round(float(low), 1), "median": round(float(middle), 1), "most": round(float(high), 1)}


def many(bench: Bench) -> dict[str, Any]:
    shared, pulse = bench.shared / "morphologies", bench.recorded("monophasic")
    nemo = ["channels.set=jarsky-ca1", "axon.myelinate=nemo"]
    cells: dict[str, list[str]] = {
        str(bench.human): ["channels.set=aberra-l23", TYPES],
        str(shared / "rat_l5_pyramidal_with_axon.swc"): ["channels.set=aberra-l5", "axon.myelinate=aberra"],
        str(shared / "rat_ca1_pyramidal_c91662.swc"): ["channels.set=aberra-l5", "axon.myelinate=aberra"],
        "builtin:pyramidal": ["channels.set=aberra-l23", "axon.myelinate=aberra"],
        f"{shared / 'rat_ca1_pyramidal_c91662.swc'}#nemo": nemo,
    }
    count, report, begin = 20 if bench.quick else 200, {}, time.perf_counter()
    for cell, settings in cells.items():
        since = time.perf_counter()
        found = of(thresholds(cell.partition("#")[0], pulse, evenly_spread(count), *settings, "cable.longest=40",
                              tolerance=0.005))  # fmt: skip
        report[Path(cell).name] = {
            "V/m": [round(float(x), 1) for x in (np.nanmin(found), np.nanmedian(found), np.nanmax(found))],
            "without": int(np.isnan(found).sum()), "seconds": round(time.perf_counter() - since, 1),
        }  # fmt: skip
    return {**report, "directions": count, "seconds in all": round(time.perf_counter() - begin, 1)}


ROWS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    row.__name__: row for row in (published, myelinated, bare, chronaxie, biphasic, layer5, many)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="rows; all of them if left out")
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("HPCPINN_SHARED", ROOT.parent / "shared")))
    parser.add_argument("--quick", action="store_true", help="a tenth of the directions")
    given = parser.parse_args()
    prepare()
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.shared, Path(folder), given.quick)
        for name in given.rows or ROWS:
            report[name] = ROWS[name](bench)
            print(json.dumps({name: report[name]}), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_thresholds.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
