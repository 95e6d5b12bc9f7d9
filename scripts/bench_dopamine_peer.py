"""Benchmark: dopamine on its square by us and by DeepXDE, each with its error and its wall time.

    python scripts/bench_dopamine_peer.py --deepxde PYTHON [--presets dopamine dopamine-slow] [--minutes 30]

PYTHON is an interpreter that can import deepxde and torch. DeepXDE first gets the published settings: tanh network
3-64-64-64-64-1, 10 000 points inside, 400 at the start and 400 on the edges, Adam 20 000 steps, then L-BFGS 5000,
float64; then ones meant to serve it better: coordinates brought to [-1, 1], Adam's rate halved every 2000 steps,
L-BFGS 15 000. --minutes ends each early. Ours is `hpcpinn run jobs/dopamine.toml` with its defaults, in a process of
its own, set-up and compilation included, on a GPU where there is one and on the CPU; DeepXDE takes the GPU. The error
is the relative L2 distance from the closed form at the middles of the output cells of all of our frames. One after the
other, on the same cores.
Writes results/bench_dopamine_peer.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare, visible_accelerators

prepare()

import numpy as np  # noqa: E402

from hpcpinn.io import Result, read  # noqa: E402
from hpcpinn.physics.dopamine import PRESETS  # noqa: E402
from hpcpinn.reference.deepxde_peer import Training, require_deepxde, solve_by_deepxde  # noqa: E402
from hpcpinn.systems.square.comparison import closed_form, peer_problem, relative_difference  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
TRAININGS = {"published": Training(), "scaled": Training(scaled=True, lbfgs=15_000)}
LIMIT = 600.0
"""Of our run, s."""


def relative_error(values: np.ndarray, result: Result, preset: str) -> float:
    """Relative L2 distance from the closed form over all frames, values as (frame, y, x)."""
    wanted = np.asarray(closed_form(PRESETS[preset], result.box.x, result.box.y, result.time))
    return relative_difference(values, wanted)


def ours(preset: str, folder: Path, gpu: bool) -> tuple[dict[str, Any], Result]:
    """Our run: its figures and its result."""
    output = folder / f"{preset}.h5"
    command = [sys.executable, "-m", "hpcpinn", "run", str(ROOT / "jobs" / "dopamine.toml"), "--output", str(output)]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--set", f"physics.preset={preset}"], check=True, timeout=LIMIT, capture_output=True, cwd=ROOT,
        env=os.environ | ({} if gpu else {"CUDA_VISIBLE_DEVICES": ""}),
    )  # fmt: skip
    seconds, result = time.perf_counter() - began, read(output)
    error = relative_error(result.dopamine, result, preset)
    return {"program": "hpcpinn", "device": "GPU" if gpu else "CPU", "seconds": seconds, "error": error}, result


def deepxde(python: str, preset: str, result: Result, name: str, minutes: float) -> dict[str, Any]:
    """DeepXDE's run at the middles of the cells and the times of our frames."""
    training = replace(TRAININGS[name], limit=60.0 * minutes)
    run = solve_by_deepxde(peer_problem(PRESETS[preset]), result.box.x, result.box.y, result.time, training, python)
    error = relative_error(run.values, result, preset)
    return {"program": "DeepXDE", "setting": name} | run.figures() | {"error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deepxde", required=True, metavar="PYTHON")
    parser.add_argument("--presets", nargs="+", default=sorted(PRESETS), choices=sorted(PRESETS))
    parser.add_argument("--settings", nargs="+", default=list(TRAININGS), choices=list(TRAININGS))
    parser.add_argument("--minutes", type=float, default=30.0)
    arguments = parser.parse_args()
    require_deepxde(arguments.deepxde)
    rows: list[dict[str, Any]] = []

    def say(preset: str, row: dict[str, Any]) -> None:
        rows.append({"preset": preset} | row)
        print(json.dumps(rows[-1]), flush=True)

    with tempfile.TemporaryDirectory() as name:
        for preset in arguments.presets:
            for gpu in (True, False) if visible_accelerators() else (False,):
                row, result = ours(preset, Path(name), gpu)
                say(preset, row)
            for setting in arguments.settings:
                say(preset, deepxde(arguments.deepxde, preset, result, setting, arguments.minutes))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_dopamine_peer.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
