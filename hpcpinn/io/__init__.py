"""Result files, checkpoints and metrics: plain arrays in and out."""

from hpcpinn.io.geometry import Box, Line, Points, Tree
from hpcpinn.io.read import Probes, Result, read
from hpcpinn.io.schema import Variable

__all__ = ["Box", "Line", "Points", "Probes", "Result", "Tree", "Variable", "read"]
