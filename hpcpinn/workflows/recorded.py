"""What a run on a cell records: its fields, and what it notes of every window."""

from hpcpinn.io.schema import SECONDS, Field, column
from hpcpinn.io.schema import WINDOWS as COMMON

CALCIUM = Field("calcium", "uM", "calcium, average over the cell", least=0.0, rest_share=1e-2)
CALBINDIN = Field("calbindin", "uM", "free buffer, average over the cell", least=0.0, rest_share=1e-4)
VOLTAGE = Field("voltage", "mV", "membrane voltage in the middle of the cell", rest_share=0.0, rest_floor=0.1)

FIELDS = (CALCIUM, CALBINDIN, VOLTAGE)
"""In the order in which they are written."""

WINDOWS = (
    *COMMON,
    column("newton_steps", "Newton steps", kind=int),
    column("sweeps", "Schwarz sweeps", kind=int),
    column("jump", "largest relative disagreement at interfaces"),
    column("balance", "calcium that is not accounted for, so far, relative"),
    column("seconds_train", "wall time of the solver", SECONDS),
    column("seconds_exchange", "wall time of the exchange between ranks", SECONDS),
    column("seconds_io", "wall time of output", SECONDS),
)
"""Columns of windows."""
