"""Result files, checkpoints and metrics: plain arrays in and out."""

from hpcpinn.io.geometry import Box, Line, Points, Tree
from hpcpinn.io.read import Probes, Result, read
from hpcpinn.io.schema import Field

__all__ = ["Box", "Field", "Line", "Points", "Probes", "Result", "Tree", "read"]
