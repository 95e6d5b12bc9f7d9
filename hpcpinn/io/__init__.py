"""Result files, checkpoints and metrics: plain arrays in and out."""

from hpcpinn.io.read import Probes, Result, read

__all__ = ["Probes", "Result", "read"]
