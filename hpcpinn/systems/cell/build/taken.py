"""What a run takes of files that are too large to be kept whole."""

from pathlib import Path

import numpy as np

from hpcpinn.config.inputs import input_names
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.physics.stimulation.field import as_table
from hpcpinn.physics.stimulation.head.nemo_tms import SegmentPotentials
from hpcpinn.physics.stimulation.head.surface import read_surface
from hpcpinn.systems.cell.build.field import field_of
from hpcpinn.systems.cell.build.membrane import compartments_of, membrane_of
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.cell.build.population import members_of
from hpcpinn.systems.cell.config.schema import RunConfig


def taken(described: RunConfig, key: str) -> bytes | None:
    """A file in the place of a large one, of which a run takes the same.

    Of a field these are its vectors along the cells, of a surface the triangle above them.

    Args:
        described: The run description.
        key: Dotted key of the file.

    Returns:
        Contents of the file; None where the run needs all of it.
    """
    if key == "placement.surface" and described.placement.position is not None:
        given = described.placement
        surface = read_surface(Path(input_names(described)[key]).expanduser(), given.surface_tag)
        return surface.taken_at(np.array(given.position, float)).encode()
    if not key.endswith("field.file") or described.parameter:  # what is learned may move the places
        return None
    file, found = input_names(described)[key], []
    for one in members_of(described):
        if one.config.field.file == file:
            cable = _compartments(one.config).cable
            xyz, field = np.unique(cable.xyz.reshape(-1, 3), axis=0), field_of(one.config, cable)
            if isinstance(field, SegmentPotentials):
                return None  # potentials, of which there are no vectors
            found.append(np.hstack([xyz, field(xyz)]))
    rows = np.unique(np.concatenate(found), axis=0)
    if len(np.unique(rows[:, :3], axis=0)) < len(rows):
        return None  # members lie differently in the head, and see different fields in one place of their own frames
    return as_table(rows[:, :3], rows[:, 3:]).encode()


def _compartments(config: RunConfig) -> Compartments:
    return compartments_of(config, cable_of(config), membrane_of(config))
