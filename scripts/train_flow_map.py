"""Trains the reaction's flow map from its differential equation and writes it to a file.

    python scripts/train_flow_map.py [FILE] [--preset physical-N] [--hidden 24 24] [--seed 0]

Without FILE it renews the one that the package ships. No solver takes part in the training; when it
is over, the map is measured against SciPy's Radau at 1e-10 on fresh random states of its box, and
errors, time and seed are written into the file.
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_flow_map import errors, quantiles, summary  # noqa: E402

from hpcpinn.networks.perceptron import n_parameters  # noqa: E402
from hpcpinn.physics.constants import PRESETS  # noqa: E402
from hpcpinn.physics.pumped_binding import reaction_constants  # noqa: E402
from hpcpinn.timestepping.flow_map_store import SHIPPED, save_flow_map  # noqa: E402
from hpcpinn.training.flow_map import Box, FlowMap  # noqa: E402
from hpcpinn.training.flow_map_training import FlowMapTraining  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=SHIPPED)
    parser.add_argument("--preset", default="physical-N", choices=sorted(PRESETS))
    parser.add_argument("--hidden", type=int, nargs="+", default=list(FlowMapTraining.hidden))
    parser.add_argument("--points", type=int, default=FlowMapTraining.points)
    parser.add_argument("--steps", type=int, nargs="+", default=list(FlowMapTraining.steps), help="per round")
    parser.add_argument("--seed", type=int, default=FlowMapTraining.seed)
    given = parser.parse_args()

    training = FlowMapTraining(tuple(given.hidden), given.points, steps=tuple(given.steps), seed=given.seed)
    done, start = 0, time.perf_counter()

    def watch(flow_map: FlowMap, value: float) -> None:
        nonlocal done
        done += 1
        if done % 25 == 0:
            print(
                f"{done:4d} steps, {time.perf_counter() - start:5.0f} s: sum of squares {value:.3e}",
                flush=True,
            )

    flow_map = training.train(reaction_constants(PRESETS[given.preset]), Box(), watch)
    seconds = time.perf_counter() - start
    measured = errors(flow_map, 500, seed=10_000 + given.seed)
    about = {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in asdict(training).items()
    }
    about |= {
        "accepted_steps": done,
        "seconds": seconds,
        "preset": given.preset,
        "parameters": n_parameters(flow_map.network),
    }
    path = save_flow_map(given.file, flow_map, error=quantiles(measured), training=about)
    print(f"{n_parameters(flow_map.network)} parameters, {seconds:.0f} s, {path}")
    print(summary(measured))


if __name__ == "__main__":
    main()
