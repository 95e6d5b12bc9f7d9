"""A forked dendrite for tests of inference: small enough to be quick."""

from pathlib import Path

from hpcpinn.config import RunConfig, load_config

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
