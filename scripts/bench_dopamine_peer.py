"""Benchmark: dopamine on its square by us and by DeepXDE, each with its error and its wall time.

    python scripts/bench_dopamine_peer.py --deepxde PYTHON [--presets dopamine dopamine-slow] [--minutes 30] [--float32]

PYTHON is an interpreter, in an environment of its own, that can import deepxde with a TensorFlow backend (pip install
deepxde tensorflow-cpu tensorflow-probability tf-keras). DeepXDE gets the published settings: tanh network
3-64-64-64-64-1, 10 000 points inside, 400 at the start and 400 on the edges, Adam 20 000 steps, then L-BFGS 5000;
--minutes cuts Adam short and leaves L-BFGS out where they take longer. Ours is `hpcpinn run jobs/dopamine.toml` with
its defaults, in a process of its own, set-up and compilation included. The error is the relative L2 distance from
the closed form at the middles of the output cells of all of our frames. One after the other, on the same cores.
Writes results/bench_dopamine_peer.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import numpy as np  # noqa: E402

from hpcpinn.io.square import SquareResult, read_square  # noqa: E402
from hpcpinn.physics.dopamine import PRESETS  # noqa: E402
from hpcpinn.workflows.square_validate import closed_form, relative_difference  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PUBLISHED = {"inside": 10_000, "start": 400, "edges": 400, "width": 64, "depth": 4, "adam": 20_000, "lbfgs": 5000}
LIMIT = 600.0
"""Of our run, s."""


def relative_error(values: np.ndarray, result: SquareResult, preset: str) -> float:
    """Relative L2 distance from the closed form over all frames, values as (frame, y, x)."""
    wanted = np.asarray(closed_form(PRESETS[preset], result.x, result.y, result.time))
    return relative_difference(values, wanted)


def ours(preset: str, folder: Path) -> tuple[dict[str, Any], SquareResult]:
    """Our run: its figures and its result."""
    output = folder / f"{preset}.h5"
    command = [sys.executable, "-m", "hpcpinn", "run", str(ROOT / "jobs" / "dopamine.toml"), "--output", str(output)]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--set", f"physics.preset={preset}"], check=True, timeout=LIMIT, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    seconds, result = time.perf_counter() - began, read_square(output)
    return {"program": "hpcpinn", "seconds": seconds, "error": relative_error(result.dopamine, result, preset)}, result


def deepxde(python: str, preset: str, result: SquareResult, folder: Path, minutes: float, float64: bool) -> dict:
    """DeepXDE's run at the middles of the cells and the times of our frames."""
    k = PRESETS[preset]
    job = PUBLISHED | {
        "D": k.D, "k": k.k, "C0": k.C0, "sigma": k.sigma, "half": k.half_width, "duration": k.duration,
        "float64": float64, "seed": 0, "limit": 60.0 * minutes, "threads": os.cpu_count() or 1,
        "x": result.x.tolist(), "y": result.y.tolist(), "t": result.time.tolist(),
    }  # fmt: skip
    given, wanted = folder / "job.json", folder / "result.npz"
    given.write_text(json.dumps(job))
    environment = os.environ | {"DDE_BACKEND": "tensorflow.compat.v1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.perf_counter()
    done = subprocess.run(
        [python, str(Path(__file__).with_name("peer_deepxde.py")), str(given), str(wanted)],
        timeout=60.0 * (2.0 * minutes + 10.0), capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"bench_dopamine_peer: DeepXDE ended with {done.returncode}:\n{done.stderr[-2000:]}")
    seconds = time.perf_counter() - began
    with np.load(wanted) as stored:
        values, course = np.transpose(stored["values"], (2, 1, 0)), stored["course"]
    return {
        "program": "DeepXDE", "float64": float64, "seconds": seconds, "trained": float(course[-1, 0]),
        "steps": int(course[-1, 1]), "loss": float(course[-1, 2]), "error": relative_error(values, result, preset),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deepxde", required=True, metavar="PYTHON")
    parser.add_argument("--presets", nargs="+", default=sorted(PRESETS), choices=sorted(PRESETS))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--float32", action="store_true", help="DeepXDE in its default precision")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for preset in arguments.presets:
            row, result = ours(preset, folder)
            peer = deepxde(arguments.deepxde, preset, result, folder, arguments.minutes, not arguments.float32)
            for one in (row, peer):
                rows.append({"preset": preset} | one)
                print(json.dumps(rows[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_dopamine_peer.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
