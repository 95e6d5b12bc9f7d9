"""Written by scripts/describe_api.py from the tables of the run description: change them there."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict

from hpcpinn.systems.cell.front import (
    Axon,
    Buffer,
    Calcium,
    Channels,
    Clamp,
    Field,
    Flux,
    Learned,
    Morphology,
    Placement,
    Probe,
    Reticulum,
    Stimulation,
    Synapse,
    Traces,
    Voltage,
)
from hpcpinn.systems.square.front import Dopamine, Square

Keys = Mapping[str, Any]

class Experiment(TypedDict, total=False):
    duration: float | str | None
    output_interval: float | str
    output: str | PathLike[str]
    seed: int
    transport: Literal["auto", "serial", "mpi4jax", "mpi4py"]
    checkpoint_every: int
    probe_interval: float | str
    domain: Keys | Square
    morphology: Morphology | Keys
    axon: Axon | Keys
    physics: Calcium | Keys | Dopamine
    buffers: Sequence[Buffer | Keys]
    organelles: Sequence[Reticulum | Keys]
    voltage: Voltage | Keys
    field: Field | Keys
    placement: Placement | Keys
    stimulation: Stimulation | Keys
    clamps: Sequence[Clamp | Keys]
    channels: Channels | Keys
    cable: Keys
    synapses: Sequence[Synapse | Keys]
    fluxes: Sequence[Flux | Keys]
    probes: Sequence[Probe | str | Keys]
    network: Keys
    training: Keys
    pieces: Keys
    schwarz: Keys
    window: Keys
    split: Keys
    population: Keys
    learn: Sequence[Learned | str | Keys] | Sequence[str | Keys]
    data: Traces | Keys
    inference: Keys
    uq: Keys
    cells: int
    study: Keys
