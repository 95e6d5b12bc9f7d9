"""Benchmark: coupled, split and mixed windows after action potentials and releases, against the reference.

    python scripts/bench_mixed_windows.py [--coupled-for 5] [--pieces 5] [--output results/bench_mixed_windows.json]

A branched cable with two releases at a tip, and with two action potentials everywhere that the voltage
is given for, so that nothing but the windows differs. Errors are those of `hpcpinn validate`: relative L2 of
c − c_rest over the tree, against finite volumes that are refined until they stand still; over the
whole run, and frame by frame (median and worst) while mixed windows are coupled and while they are split.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import numpy as np  # noqa: E402

from hpcpinn.config.load import Origin  # noqa: E402
from hpcpinn.core.order import Order  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.progress import NO_PROGRESS  # noqa: E402
from hpcpinn.systems.cell import SYSTEM  # noqa: E402
from hpcpinn.systems.cell.comparison import validate  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402
from hpcpinn.systems.common.run import work  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RELEASES = np.array([3.0, 23.0])
"""ms."""
PEAKS = RELEASES + 2.0
"""Of the action potentials, ms."""
WAYS = {
    "mixed": ['window.kind="mixed"'],
    "split, exact operator": ['window.kind="split"'],
    "split, networks": ['window.kind="split"', 'split.diffusion="networks"'],
    "coupled": ['window.kind="coupled"'],
}


def job(folder: Path, pieces: float, coupled_for: float) -> list[str]:
    """The run description that all ways share."""
    t = 0.025 * np.arange(1801)
    V = -65.0 + 90.0 * np.exp(-(((t[:, None] - PEAKS) / 0.6) ** 2)).sum(axis=1)
    rows = [f"{a:.3f},{b!r}" for a, b in zip(t.tolist(), V.tolist(), strict=True)]
    (folder / "voltage.csv").write_text("\n".join(["time_ms,root", *rows]))
    interval = RELEASES[1] - RELEASES[0]
    return [
        "morphology.file=builtin:y_branch", f"voltage.file={folder / 'voltage.csv'}", f"run.duration={t[-1]}",
        f'synapse=[{{site="tip", start={RELEASES[0]}, count=2, interval={interval}}}]', "run.output_interval=0.5",
        "pieces.cells_per_piece=4", f"pieces.max_length={pieces}", f"split.coupled_for={coupled_for}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--coupled-for", type=float, default=5.0, help="ms")
    parser.add_argument("--pieces", type=float, default=5.0, help="longest piece, µm")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "bench_mixed_windows.json")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    print(f"{'':24}{'whole run':>10}{'coupled: median, worst':>26}{'between: median, worst':>26}{'seconds':>9}")
    with tempfile.TemporaryDirectory() as name:
        shared = job(Path(name), given.pieces, given.coupled_for)
        for way, settings in WAYS.items():
            config = load_config(None, [*shared, *settings, f"run.output={name}/run.h5"])
            begun = time.perf_counter()
            work(Order(SYSTEM, config, Origin()), SerialCommunicator(), NO_PROGRESS)
            seconds = time.perf_counter() - begun
            held = validate(f"{name}/run.h5")
            since = held.time[:, None] - RELEASES
            inside = np.any((since > 1e-6) & (since <= given.coupled_for + 1e-6), axis=1)
            after = ~inside & (held.time > RELEASES[0])
            parts = [
                (np.median(held.error["calcium"][part]), held.error["calcium"][part].max()) for part in (inside, after)
            ]
            found[way] = {
                "rel_l2_c": held.settled.error["calcium"],
                "while_coupled": parts[0],
                "between": parts[1],
                "reference_moves": held.settled.movement["calcium"],
                "seconds": seconds,
            }
            texts = [f"{median:.1e}, {worst:.1e}" for median, worst in parts]
            print(
                f"{way:24}{held.settled.error['calcium']:10.1e}{texts[0]:>26}{texts[1]:>26}{seconds:9.1f}", flush=True
            )
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
