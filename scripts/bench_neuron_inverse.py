"""Constants of a forked dendrite from synthetic traces: coverage over noise draws, a wrong model, ranks.

    python scripts/bench_neuron_inverse.py [--sets 20] [--wrong 5] [--ranks 1 2 4]

The job is jobs/neuron_inverse.toml: twelve sites, starts off by 1.5. One line of JSON per data set (error over
posterior standard deviation of every constant, probability of the posterior predictive check), then sums: how
many sets have every constant within two standard deviations, how often the right model is called wrong. Then
the same data with a model whose leak is switched off, which the check has to flag. --ranks: the job by
`hpcpinn infer` under mpirun, and the largest difference of estimates over their standard deviations.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hpcpinn.parallel.device import prepare

prepare()

from under_mpi import under_mpi  # noqa: E402

from hpcpinn.inference.infer import checked, fit_once, posterior_of  # noqa: E402
from hpcpinn.io.metrics import read_metrics  # noqa: E402
from hpcpinn.parallel.transports import make_communicator  # noqa: E402
from hpcpinn.systems.cell.build.inverse import build_inverse, synthesiser, truth_of  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
JOB = ROOT / "jobs" / "neuron_inverse.toml"
LIMIT = 900.0
"""Of a job, s."""


def fitted(problem, table, truth: np.ndarray | None) -> dict:
    """The figures of one data set."""
    begun, busy = time.perf_counter(), time.process_time()
    fit, _ = fit_once(problem, table)
    posterior, check = posterior_of(problem, fit), checked(problem, fit, table)
    found = {
        "steps": int(fit.steps), "converged": bool(fit.converged), "misfit": float(np.mean(fit.rows**2)),
        "sd": posterior.sd.round(4).tolist(), "check": check.probability, "each": check.each,
        "called_wrong": check.model_is_wrong, "determined": posterior.determined.tolist(),
        "seconds": time.perf_counter() - begun, "core_seconds": time.process_time() - busy,
    }  # fmt: skip
    if truth is not None:
        found["error_over_sd"] = ((fit.z - truth) / posterior.sd).round(3).tolist()
    return found


def draws(sets: int, wrong: int, overrides: list[str]) -> None:
    """The right model on all sets, and the wrong one on some."""
    communicator = make_communicator("serial")
    config = load_config(JOB, overrides)
    problem = build_inverse(config, communicator, tuple(config.data.sites))
    made, truth = synthesiser(config, communicator, problem), truth_of(config, problem)
    print(json.dumps({"windows": len(problem.model.march.sequence.start), "truth": truth}), flush=True)
    z = np.log([truth[name] for name in problem.names])
    found = []
    for seed in range(sets):
        found.append(fitted(problem, made(seed), z))
        print(json.dumps({"seed": seed, **found[-1]}), flush=True)
    if found:
        errors = np.array([one["error_over_sd"] for one in found])
        within = {n: int(np.sum(np.abs(errors[:, i]) <= 2.0)) for i, n in enumerate(problem.names)}
        called = sum(one["called_wrong"] for one in found)
        print(json.dumps({"sets": sets, "within_2_sd": within, "right_model_called_wrong": called}), flush=True)
    if not wrong:
        return
    without_leak = load_config(JOB, [*overrides, "physics.constants.leak=0"])
    problem = build_inverse(without_leak, communicator, tuple(config.data.sites))
    lines = [fitted(problem, made(seed), None) for seed in range(wrong)]
    print(json.dumps({"leak_off": wrong, "flagged": sum(one["called_wrong"] for one in lines)}), flush=True)
    for line in lines:
        print(json.dumps(line), flush=True)


def on_ranks(counts: list[int], overrides: list[str]) -> None:
    """The whole command on several numbers of ranks."""
    estimates, spread = {}, np.ones(1)
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            result = Path(folder) / f"ranks{count}" / "result.h5"
            command = [sys.executable, "-m", "hpcpinn", "infer", str(JOB), "--output", str(result)]
            command += [word for text in overrides for word in ("--set", text)]
            begun = time.perf_counter()
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
            subprocess.run(under_mpi(count, command), check=True, env=environment, cwd=ROOT, timeout=LIMIT)
            metrics = read_metrics(result)
            parameters = metrics["parameters"]
            estimates[count] = np.log([one["estimate"] for one in parameters.values()])
            spread = np.array([one["sd_log"] for one in parameters.values()])
            print(json.dumps({"ranks": count, "seconds": time.perf_counter() - begun}), flush=True)
    first = estimates[counts[0]]
    worst = {n: float(np.abs((z - first) / spread).max()) for n, z in estimates.items()}
    print(json.dumps({"difference_over_sd": worst}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--wrong", type=int, default=5)
    parser.add_argument("--ranks", type=int, nargs="*", default=[])
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if arguments.sets or arguments.wrong:
        draws(arguments.sets, arguments.wrong, arguments.overrides)
    if arguments.ranks:
        on_ranks(arguments.ranks, arguments.overrides)


if __name__ == "__main__":
    main()
