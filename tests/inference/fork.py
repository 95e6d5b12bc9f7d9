"""A forked dendrite for tests of inference: small enough to be quick."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hpcpinn.inference.forward_model import seen, solve
from hpcpinn.inference.infer import Inference, infer
from hpcpinn.inference.problem import InverseProblem
from hpcpinn.io.inputs import Destination
from hpcpinn.io.observations import Observations
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.build.inverse import build_inverse, prepared, synthesiser
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.config.schema import RunConfig

JOBS = Path(__file__).resolve().parents[2] / "jobs"
NAMES = ("D_c", "pmca_max", "vdcc_density.dend", "vdcc_density.apic")
SITES = ("dend[0](0.5)", "dend[1](0.7)", "dend[1](0.8)", "dend[1](0.9)", "apic[0](0.6)")
SMALL = [
    f"morphology.file={JOBS / 'neuron_fork.swc'}",
    f"voltage.file={Path(__file__).with_name('action_potential.csv')}",
    "synapse=[{site='dend[1](0.8)', start=0.5, duration=5.0, flux=400.0}]",
    "parameter=[{name='D_c', start=150.0}, {name='pmca_max', start=12.0}, {name='vdcc_density.dend', start=4.0}, "
    "{name='vdcc_density.apic', start=6.0}]",
    f"data.sites={list(SITES)}",
    "data.interval=0.5",
    "data.truth={vdcc_density={dend=6.0, apic=4.0}}",
    "window.tolerance=3e-2",
    "run.duration=6.0",
]
"""Until just after an action potential, at 4 ms."""


def small(*more: str) -> RunConfig:
    return load_config(None, [*SMALL, *more])


def exactly(config: RunConfig, problem: InverseProblem, share: float = 1e-4) -> Observations:
    """Traces of a description with noise of 1e-14, said to be good to a share of their excursion."""
    traces = synthesiser(config, SerialCommunicator(), problem)(0)
    return replace(traces, noise=traces.noise / 1e-14 * share)


def inferred(config: RunConfig) -> Inference:
    """As `hpcpinn infer` does it on one rank."""
    problem, observed = prepared(config, SerialCommunicator())
    return infer(problem, observed, SerialCommunicator(), output=Destination(config.run.output))


def inverse(config: RunConfig, sites: tuple[str, ...] = SITES) -> InverseProblem:
    return build_inverse(config, SerialCommunicator(), sites)


def check_slopes(problem: InverseProblem, traces: Observations) -> None:
    """Derivatives at the start are those of differences."""
    at, z = problem.model.at(traces), problem.start
    slope = seen(problem.model, problem.at_start, at).slope
    for i, step in enumerate(1e-3 * np.eye(len(z))):
        ahead, behind = (seen(problem.model, solve(problem.model, z + s), at).value for s in (step, -step))
        differences = (ahead - behind) / 2e-3
        assert np.abs(slope[:, i] - differences).max() < 1e-5 * np.abs(differences).max(), problem.names[i]
