"""The table of the run description for the axon: grown, at human size, myelinated."""

from typing import Annotated, Literal

from pydantic import Field

from hpcpinn.config.values import Finite, PositiveLength, Table
from hpcpinn.core.plausibility import QUANTITIES


class AxonConfig(Table):
    """What is made of the axon that a file has, or has not; parts that a rule makes are called so in results.

    Attributes:
        myelinate: Rule by which the axon becomes internodes, nodes of Ranvier and bare ends: `aberra` (internodes of
            100 diameters, 70 in terminal branches) or `nemo` (of 100 µm); as it is where left out. The membrane needs
            regions for them, such as `channels.set = "aberra-l23"`.
        length: Length of a straight axon that is grown in the place of none, or of a stub, µm.
        diameter: Diameter of a grown axon, µm.
        direction: Direction in which it grows from the soma, of any length.
        scale: `human` for a cell of a rat at the size of an adult human's: diameters of its neurites, area of its soma,
            length of its basal dendrites.
    """

    myelinate: Literal["aberra", "nemo"] | None = None
    length: Annotated[PositiveLength | None, QUANTITIES["axon"]] = None
    diameter: Annotated[PositiveLength, QUANTITIES["diameter of an axon"]] = 1.0
    direction: Annotated[tuple[Finite, Finite, Finite], Field(strict=False)] = (0.0, -1.0, 0.0)
    scale: Literal["human"] | None = None
