"""The places of a cell in the head at which a run wants the field."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.physics.stimulation.head.placement import HeadPlacement
from hpcpinn.systems.cell.build.field import placement_of
from hpcpinn.systems.cell.build.membrane import compartments_of, membrane_of
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.cell.config.schema import RunConfig


def locations_of(config: RunConfig) -> tuple[HeadPlacement, Float[ndarray, "n 3"]]:
    """The map of a cell into the head, and the places there at which its field is wanted, mm.

    Raises:
        InputError: A cell that cannot be read, or whose place in the head is not said.
    """
    whole = cable_of(config)
    cable = compartments_of(config, whole, membrane_of(config)).cable
    placement = placement_of(config, cable)
    xyz = cable.xyz.reshape(-1, 3)
    first = np.sort(np.unique(xyz, axis=0, return_index=True)[1])
    return placement, placement.to_head(xyz[first])
