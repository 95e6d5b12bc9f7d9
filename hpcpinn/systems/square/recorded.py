"""What a run on a square records: its field, and what it notes of every window."""

from hpcpinn.io.schema import SECONDS, Variable, column
from hpcpinn.io.schema import WINDOWS as COMMON

DOPAMINE = Variable("dopamine", "uM", "dopamine in the middle of the cell", least=0.0)

COLUMNS = (
    column("newton_steps", "Newton steps", kind=int),
    column("sweeps", "Schwarz sweeps", kind=int),
    column("jump", "largest relative disagreement at interfaces"),
    column("exact_error", "L2 distance from the closed form, relative"),
    column("seconds", "wall time, compilation included", SECONDS),
)
"""Columns of windows, besides those of every system."""

WINDOWS = (*COMMON, *COLUMNS)
"""All columns of windows."""
