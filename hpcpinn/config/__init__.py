"""The typed run description and how it is read from a job file."""

from hpcpinn.config.load import bundled_job, config_from_json, load_config
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
]
