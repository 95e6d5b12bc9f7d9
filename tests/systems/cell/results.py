"""Result files made by hand, for tests that need a result but no run."""

from pathlib import Path

import numpy as np

from hpcpinn.io.geometry import Tree
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.systems.cell import recorded
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.coupled_setup import WholeCell

WINDOW = {
    "start": 0.0, "length": 1.0, "newton_steps": 2, "sweeps": 4, "jump": 1e-6, "error_estimate": 1e-4,
    "balance": 1e-6, "rejected": 0, "seconds_train": 0.5, "seconds_exchange": 0.125, "seconds_io": 0.25,
}  # fmt: skip
"""Three of them make a run."""


def write_result(
    path: Path,
    config: RunConfig,
    cell: WholeCell,
    c: np.ndarray | None = None,
    b: np.ndarray | None = None,
    frames: int | None = None,
) -> Path:
    """A result of the run description with the given cell averages (T, N); zeros by default."""
    run, parts = config.run, config.pieces.cells_per_piece
    count = round(run.duration / run.output_interval) + 1 if frames is None else frames
    header = ResultHeader(
        system="cell",
        geometry=Tree(cell.pieces.cable, np.zeros(cell.pieces.cable.n_frusta, int), parts),
        fields=recorded.fields_of(cell.constants),
        windows=recorded.WINDOWS,
        probes=cell.probes,
        config=config.to_json(),
    )
    nothing = np.zeros(header.n_values)
    writer = ResultWriter(path, make_communicator("serial"), header)
    for i in range(count):
        fields = {
            "calcium": nothing if c is None else c[i],
            "calbindin": nothing if b is None else b[i],
            "voltage": nothing,
        }
        writer.frame(i * run.output_interval, fields)
    samples = np.arange(0.0, run.duration + 1e-9, run.probe_interval)
    zeros = np.zeros((len(samples), len(cell.probes)))
    writer.probes(samples, dict.fromkeys(("calcium", "calbindin", "voltage"), zeros))
    writer.windows([WINDOW] * 3)
    writer.close()
    return path
