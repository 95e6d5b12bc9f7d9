"""From a run description to the field at its peak: read, placed, and its quasipotential along the cell."""

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.inputs import is_taken
from hpcpinn.errors import InputError, concerning
from hpcpinn.morphology import Cable
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.morphology.directions import direction_of
from hpcpinn.physics.stimulation.field import ElectricField, quasipotential, read_field, uniform_field
from hpcpinn.physics.stimulation.head.at_locations import is_headless, read_at_locations
from hpcpinn.physics.stimulation.head.mesh_file import read_mesh_field
from hpcpinn.physics.stimulation.head.nemo_tms import SegmentPotentials, read_segment_potentials
from hpcpinn.physics.stimulation.head.placed import HeadField, PlacedField
from hpcpinn.physics.stimulation.head.placement import HeadPlacement, turn
from hpcpinn.physics.stimulation.head.surface import read_surface
from hpcpinn.physics.stimulation.head.voxels import read_voxel_field
from hpcpinn.systems.cell.config.schema import RunConfig


def peak_quasipotential(config: RunConfig, cells: Compartments, magnitude: float) -> Float[ndarray, " points"]:
    """ψ of the field's peak at all points, mV (EQUATIONS §2).

    Args:
        config: The run description.
        cells: The points.
        magnitude: Magnitude of the field, V/m, or the factor of one from a file.

    Raises:
        InputError: A direction or a file that cannot be used.
    """
    field = field_of(config, cells.cable)
    with _concerning_the_field(config):
        psi = _along(cells.cable, field)
    field.warn_of_guesses(cells.cable, magnitude)
    return np.asarray(magnitude * psi[cells.node])


def unit_quasipotential(config: RunConfig, cells: Compartments) -> Float[ndarray, " points"]:
    """ψ of a field of magnitude 1, or of one from a file as it is, at all points, mV.

    Raises:
        InputError: A direction or a file that cannot be used.
    """
    field = field_of(config, cells.cable)
    with _concerning_the_field(config):
        psi: Float[ndarray, " points"] = _along(cells.cable, field)[cells.node]
    return psi


def _along(cable: Cable, field: ElectricField | SegmentPotentials) -> Float[ndarray, " nodes"]:
    """ψ at every node of a cable, mV; zero at the root."""
    return field.quasipotential(cable) if isinstance(field, SegmentPotentials) else quasipotential(cable, field)


def field_of(config: RunConfig, cable: Cable) -> ElectricField | SegmentPotentials:
    """The field at its peak in the cell's frame, or its ψ; of one from a file before `field.magnitude` scales it.

    Args:
        config: The run description.
        cable: The cell.

    Raises:
        InputError: An unusable direction or file, or a cell whose place in the head is not said.
    """
    given = config.field
    if given.file is None:
        with _concerning_the_field(config):
            along = given.direction if given.polar is None else direction_of(given.polar, given.azimuth or 0.0)
            return uniform_field(1.0, along)
    file, name = Path(given.file).expanduser(), given.file.lower()
    with _concerning_the_field(config):
        if is_taken(file):  # a table in the cell's frame, whatever it is called
            return read_field(given.file)
        places = None if given.locations is None else Path(given.locations).expanduser()
        if name.endswith(".txt"):
            return read_segment_potentials(file, places)
        in_head: HeadField | None = None
        if name.endswith(".msh"):
            in_head = read_mesh_field(file, given.name, given.tissue)
        elif name.endswith((".nii", ".nii.gz")):
            in_head = read_voxel_field(file)
    if in_head is not None:
        return PlacedField(in_head, placement_of(config, cable), given.outside)
    if places is None and not is_headless(file):
        with _concerning_the_field(config):
            return read_field(given.file)
    placement = placement_of(config, cable)
    with _concerning_the_field(config):
        return read_at_locations(file, places, placement, given.outside)


def placement_of(config: RunConfig, cable: Cable) -> HeadPlacement:
    """The map between the cell and the head.

    Args:
        config: The run description.
        cable: The cell; its root is what is placed.

    Raises:
        InputError: Where the cell lies, or how it is turned, is not said or cannot be used.
    """
    given = config.placement
    if given.position is None:
        raise InputError(
            "placement.position: not given, and the field is known in the head; say where in it the cell's root lies: "
            "[x, y, z] in mm, and placement.axis, where its +y points, out of the cortex",
            ("placement", "position"),
        )
    if given.axis is None and given.surface is None:
        raise InputError(
            "placement.axis: not given; say where the cell's depth axis (+y) points in the head, out of the cortex, or "
            "give placement.surface, whose normal it then is",
            ("placement", "axis"),
        )
    position, axis = np.array(given.position, float), np.array(given.axis or (0.0, 0.0, 0.0), float)
    if given.surface is not None:
        with concerning("placement", "surface"):
            place, normal = read_surface(Path(given.surface).expanduser(), given.surface_tag).foot(position)
        position, axis = place - given.depth * normal, normal if given.axis is None else axis
    with concerning("placement", "axis"):
        rotation = turn(given.cell_axis, axis.tolist(), given.azimuth)
    return HeadPlacement(cable.xyz[0, 0].copy(), position, rotation)


def _concerning_the_field(config: RunConfig) -> AbstractContextManager[None]:
    given = config.field
    return concerning("field", "file" if given.file is not None else "direction" if given.polar is None else "polar")
