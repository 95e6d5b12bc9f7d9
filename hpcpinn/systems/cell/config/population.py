"""The table of the run description for populations: many cells, fields and parameter sets in one run."""

from typing import Annotated

from pydantic import Field

from hpcpinn.config.values import Changes, File, Finite, Table, Text, several
from hpcpinn.core.plausibility import QUANTITIES

SHARED_BUT = (
    "cable.R_i",
    "cable.C_m",
    "channels.set",
    "channels.soma",
    "channels.axon",
    "channels.basal",
    "channels.apical",
    "channels.other",
    "field.azimuth",
    "field.direction",
    "field.file",
    "field.magnitude",
    "field.polar",
    "physics.constants.vdcc_density",
    "physics.constants.vdcc_permeability",
    "placement.azimuth",
)
"""Keys in which the members of a population may differ; all else they share."""

Direction = Annotated[tuple[Finite, Finite, Finite], Field(strict=False)]


class ParameterSet(Table):
    """One set of parameters of a population.

    Attributes:
        name: What pictures and files call it; its numbers where left out.
        set: What differs from the rest of the run description, such as ``{"cable.R_i" = 150.0}``.
    """

    set: Annotated[dict[str, float | str], Changes()]
    name: Text | None = None


class PopulationConfig(Table):
    """Members of one run, in split windows: every cell with every magnitude, direction and set of parameters.

    Attributes:
        cells: Morphology files, or ``builtin:NAME``. In a job file relative paths start at the job file.
        magnitudes: Magnitudes of the field, V/m.
        directions: Directions of the field.
        parameters: Sets of parameters, tables of their own: ``[[population.parameters]]``.
    """

    cells: Annotated[tuple[File, ...], several()] = ()
    magnitudes: Annotated[tuple[Finite, ...], several(), QUANTITIES["field"]] = ()
    directions: Annotated[tuple[Direction, ...], several()] = ()
    parameters: Annotated[tuple[ParameterSet, ...], several()] = ()

    @property
    def is_given(self) -> bool:
        """Whether there is more than the one cell of the run description."""
        return bool(self.cells or self.magnitudes or self.directions or self.parameters)
