"""The typed run description and how it is read from a job file."""

from hpcpinn.config.cells import config_from_json, load_config, load_with_origin, with_changes
from hpcpinn.config.jobs import bundled_job
from hpcpinn.config.load import Origin
from hpcpinn.config.schema import (
    FluxConfig,
    MorphologyConfig,
    NetworkConfig,
    OutputConfig,
    PhysicsConfig,
    PiecesConfig,
    ProbeConfig,
    RunConfig,
    SchwarzConfig,
    SynapseConfig,
    TrainingConfig,
    VoltageConfig,
    WindowConfig,
)

__all__ = [
    "FluxConfig",
    "MorphologyConfig",
    "NetworkConfig",
    "Origin",
    "OutputConfig",
    "PhysicsConfig",
    "PiecesConfig",
    "ProbeConfig",
    "RunConfig",
    "SchwarzConfig",
    "SynapseConfig",
    "TrainingConfig",
    "VoltageConfig",
    "WindowConfig",
    "bundled_job",
    "config_from_json",
    "load_config",
    "load_with_origin",
    "with_changes",
]
