"""The typed run description and how it is read from a job file."""

from hpcpinn.config.jobs import bundled_job
from hpcpinn.config.load import (
    Origin,
    config_from_json,
    load_any,
    load_config,
    load_with_origin,
    square_from_json,
    with_changes,
)
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
from hpcpinn.config.square import SquareConfig

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
    "SquareConfig",
    "SynapseConfig",
    "TrainingConfig",
    "VoltageConfig",
    "WindowConfig",
    "bundled_job",
    "config_from_json",
    "load_any",
    "load_config",
    "load_with_origin",
    "square_from_json",
    "with_changes",
]
