"""What states of a cell depend on, as checkpoints keep it; light, so that it is known before anything is built."""

import json

from hpcpinn.config.inputs import without_names
from hpcpinn.io import checkpoint
from hpcpinn.morphology.cable import Cable
from hpcpinn.systems.cell.config.checks import following
from hpcpinn.systems.cell.config.schema import RunConfig

RESUMABLE = (
    "morphology", "axon", "physics", "buffer", "organelle", "voltage", "field", "placement", "stimulation", "clamp",
    "channels", "cable", "synapse", "flux", "pieces",
)  # fmt: skip
"""Tables that shape the state of every run; others do so where their windows or networks are used."""


def settings_of(config: RunConfig, cells_per_piece: int, pieces: Cable | None = None) -> dict[str, str]:
    """What must not change on resume, by key.

    Args:
        config: The run description.
        cells_per_piece: Number of output cells per piece.
        pieces: Pieces of the whole tree; None where they are not cut yet, and are left out.
    """
    by_networks = not config.is_long or config.by_networks
    names = {*RESUMABLE, *(("split", "population") if config.is_long else ())}
    names |= {"network", "training"} if by_networks else set()
    names |= {"schwarz", "window"} if config.window.kind != "split" else set()
    tables = config.model_dump(mode="json", include=names)
    tables["pieces"]["cells_per_piece"] = cells_per_piece
    tables.get("split", {}).pop("checkpoint_every", None)  # how often they are written shapes nothing
    if by_networks:
        tables["run"] = {"seed": config.run.seed}
    settings = checkpoint.fingerprint(without_names(tables, RunConfig), pieces)
    return settings | {checkpoint.FOLLOWING: json.dumps(following(config))}


def output_cells(config: RunConfig) -> int:
    """Output cells per piece: in long runs one where nothing is said."""
    is_given = not config.is_long or "cells_per_piece" in config.pieces.model_fields_set
    return config.pieces.cells_per_piece if is_given else 1
