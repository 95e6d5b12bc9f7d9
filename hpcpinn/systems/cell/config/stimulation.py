"""Tables of the run description that make the voltage a thing to solve: field, pulses, clamps, membrane."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hpcpinn.config.declared import changes_table, whole_table
from hpcpinn.config.values import (
    File,
    FileOrName,
    Finite,
    Many,
    NonNegative,
    Positive,
    PositiveLength,
    PositiveTime,
    Table,
    Text,
    Time,
    several,
)
from hpcpinn.core.plausibility import QUANTITIES
from hpcpinn.physics.membrane_constants import CableConstants, Current, FieldConstants
from hpcpinn.physics.membrane_tables import MembraneTable

Angle = Annotated[Finite, Field(ge=-360.0, le=360.0)]
"""Degrees."""
Label = Annotated[int, Field(ge=0, le=10**6)]
"""Label of a tissue."""


class FieldConfig(whole_table(FieldConstants)):  # type: ignore[misc]
    """The induced electric field at its peak: uniform, or from a file.

    Attributes:
        direction: Direction of a uniform field, of any length: the end of a cable that it points to depolarises.
        polar: Angle between a uniform field and the cell's +y, degrees; in the place of `direction`.
        azimuth: Angle of a uniform field about +y by the right hand, degrees: 0 towards +x, 90 towards −z.
        file: Field from a file. In the head, in mm, where `[placement]` says how the cell lies: `.msh` of SimNIBS,
            `.nii` or `.nii.gz` of vectors, or, with `locations`, the `_E.csv` of get_fields_at_coordinates. Along the
            cell: CSV of samples, `x,y,z,Ex,Ey,Ez` in µm and V/m, or, with `locations`, `quasipotentials.txt` of
            NeMo-TMS. In a job file a relative path starts at the job file.
        locations: Places that the rows of `file` belong to: those that `hpcpinn locations` wrote, mm in the head, or
            `locs_all_seg.txt` of NeMo-TMS.
        name: Name of the field in a `.msh` file: vectors, V/m.
        tissue: Labels of the tissues of a `.msh` file in which the cell lies, the one that counts first where they
            meet: 2 is grey matter, 1 white matter.
        outside: What to do where a file does not know the field: `refuse` the run, or take that of the `nearest`
            place where it does.
    """

    direction: Annotated[tuple[Finite, Finite, Finite], Field(strict=False)] = (0.0, 1.0, 0.0)
    polar: Annotated[Finite, Field(ge=0.0, le=180.0)] | None = None
    azimuth: Angle | None = None
    file: File | None = None
    locations: File | None = None
    name: Text = "E"
    tissue: Annotated[tuple[Label, ...], several(min_length=1)] = (2,)
    outside: Literal["refuse", "nearest"] = "refuse"

    @property
    def is_given(self) -> bool:
        """Whether there is a field."""
        return self.magnitude is not None or self.file is not None

    @property
    def has_angles(self) -> bool:
        """Whether the direction of a uniform field is given by angles."""
        return self.polar is not None or self.azimuth is not None


class PlacementConfig(Table):
    """How the cell lies in the head, for fields that are known there; all lengths in mm, directions of any length.

    Attributes:
        position: Place in the head of the cell's root, which is its soma; with `surface` the root lies below the place
            of the surface that is nearest to this one.
        axis: Direction in the head of the cell's depth axis, out of the cortex; with `surface` its outward normal if
            left out.
        surface: Surface of the cortex with normals outwards: `.msh` (see `surface_tag`), `.gii`, `.stl`, or one of
            FreeSurfer.
        surface_tag: Label of the triangles of a `.msh` file: 1002 is the surface of grey matter.
        depth: How far the root lies below the surface, along its normal, mm.
        azimuth: Turn of the cell about that axis by the right hand, degrees; at 0 the depth axis was brought there by
            the smallest turn.
        cell_axis: Depth axis in the cell's frame, towards the pia.
    """

    position: Annotated[tuple[Finite, Finite, Finite] | None, Field(strict=False)] = None
    axis: Annotated[tuple[Finite, Finite, Finite] | None, Field(strict=False)] = None
    surface: File | None = None
    surface_tag: Label = 1002
    depth: NonNegative = 0.0
    azimuth: Angle = 0.0
    cell_axis: Annotated[tuple[Finite, Finite, Finite], Field(strict=False)] = (0.0, 1.0, 0.0)


class StimulationConfig(Table):
    """When the field is there: a protocol by its name, or trains of bursts of pulses; one pulse by default.

    Attributes:
        protocol: One of `hpcpinn protocols`, such as `iTBS600`; the numbers below are then its own.
        waveform: monophasic, biphasic, rectangular (ideal ones), magpro-monophasic, magpro-biphasic (fits to the pulses
            of a MagPro X100), or a CSV file `time_ms,value`; the protocol's own if left out. In a job file a relative
            path starts at the job file.
        width: Duration of the first phase of a rectangle, ms.
        reversal: Height of the second phase of a rectangle as a share of the first; 0: none, which no coil gives.
        is_reversed: Whether the current of the coil is turned round: every pulse has the other sign.
        start: Onset of the first pulse, ms.
        pulses: Pulses per burst.
        bursts: Bursts per train.
        trains: Trains.
        pulse_interval: Time from pulse to pulse within a burst, ms.
        burst_interval: Time from burst to burst within a train, ms.
        train_interval: Time from train to train, ms; without it they follow each other.
    """

    protocol: Text | None = None
    waveform: FileOrName | None = None
    width: Annotated[PositiveTime | None, QUANTITIES["width of a rectangle"]] = None
    reversal: Annotated[float | None, Field(ge=0.0, le=1.0)] = None
    is_reversed: bool = False
    start: Time = 0.0
    pulses: Many = 1
    bursts: Many = 1
    trains: Many = 1
    pulse_interval: Annotated[PositiveTime | None, QUANTITIES["interval of pulses"]] = None
    burst_interval: Annotated[PositiveTime | None, QUANTITIES["interval of bursts"]] = None
    train_interval: Annotated[PositiveTime | None, QUANTITIES["interval of trains"]] = None


class ClampConfig(Table):
    """A current into one compartment of the cable.

    Attributes:
        site: Place of the clamp.
        start: Time at which it begins, ms.
        duration: Time that it lasts, ms.
        current: Current, nA; positive depolarises.
    """

    site: Text
    start: Time
    duration: Annotated[PositiveTime, QUANTITIES["duration of a clamp"]]
    current: Annotated[Finite, QUANTITIES["current"]]


class CurrentConfig(changes_table(Current)):  # type: ignore[misc]
    """Constants of one current of a channel set that differ."""


def _as_text(types: object) -> object:
    """Keys of a table as TOML has them, also where Python gave numbers."""
    return {str(key): value for key, value in types.items()} if isinstance(types, Mapping) else types


SwcType = Annotated[str, Field(pattern=r"^[0-9]{1,6}$")]


class RegionConfig(Table):
    """A part of the cell and the membrane it has; a later one goes before an earlier one.

    Attributes:
        region: Region of the set such as ``node``, or of another, ``aberra-l23:node``, ``passive``.
        types: SWC types it is made of; all where left out.
        sections: Names of its sections such as ``axon[2]``; all where left out.
        beyond: Site beyond which it begins, seen from the soma, such as ``axon[0](0.5)``.
        distance: Nearest and farthest way from the soma along the tree, µm.
    """

    region: Text
    types: Annotated[tuple[Annotated[int, Field(ge=0, le=10**6)], ...], several()] = ()
    sections: Annotated[tuple[Text, ...], several()] = ()
    beyond: Text | None = None
    distance: Annotated[tuple[NonNegative, NonNegative] | None, Field(strict=False)] = None


class ChannelsConfig(Table):
    """Ion channels: a membrane by its name or file, and which of its regions every part of the cell has.

    Attributes:
        set: Membrane: `passive`, `squid`, `pospischil` (or `code`), `aberra-l23`, `aberra-l5`, `jarsky-ca1`, one of
            [channels.declared], or a file (TOML). In a job file a relative path starts at the job file.
        soma, axon, basal, apical: Membrane of that part where it is not that of the set: another set, such as
            `passive`, or a region, such as `aberra-l23:node`.
        other: Membrane of what has an SWC type of its own that is not in `types`.
        types: Regions of SWC types of their own, which mean something else in every file, such as
            `{ 5 = "myelin", 6 = "unmyelinated", 7 = "node" }`.
        region: Parts by type, section, site and distance, `[[channels.region]]`.
        constants: What differs in the sets, by set (and region) and current, such as
            `squid = { sodium = { conductance = 100.0 } }` or
            `"aberra-l23:node" = { NaTa_t = { conductance = 7000.0 } }`.
        declared: Membranes of one's own by name, written as a file of a membrane is.
    """

    set: FileOrName = "squid"
    soma: Text | None = None
    axon: Text | None = None
    basal: Text | None = None
    apical: Text | None = None
    other: Text = "passive"
    types: Annotated[dict[Annotated[str, Field(pattern=r"^[0-9]{1,6}$")], Text], BeforeValidator(_as_text)] = Field(
        default={}
    )
    region: Annotated[tuple[RegionConfig, ...], several()] = ()
    constants: dict[str, dict[str, CurrentConfig]] = Field(default={})
    declared: dict[str, MembraneTable] = Field(default={})

    @property
    def changes(self) -> dict[str, dict[str, dict[str, float]]]:
        """The constants that differ, by set, current and name."""
        return {
            name: {current: given.model_dump(exclude_none=True) for current, given in currents.items()}
            for name, currents in self.constants.items()
        }


class CableConfig(whole_table(CableConstants)):  # type: ignore[misc]
    """The cable equation and its steps.

    Attributes:
        d_lambda: Longest compartment, as a share of the length constant at 100 Hz.
        longest: Longest compartment, about, µm: a section of length L has at least 1 + 2 floor(L/longest).
        step: Longest step between pulses, ms.
        pulse_step: Longest step within pulses, ms.
        quiet_step: Longest step of long runs while the voltage hardly moves, ms.
        sample: Time between two voltages that are kept for the calcium, ms.
        scheme: Steps of second order, or of backward Euler, as NEURON takes them by default and published thresholds
            were found with.
    """

    d_lambda: Positive = 0.1
    longest: Annotated[PositiveLength | None, QUANTITIES["compartment"]] = None
    step: Annotated[PositiveTime, QUANTITIES["longest step"]] = 0.0125
    pulse_step: Annotated[PositiveTime, QUANTITIES["step in pulses"]] = 0.005
    quiet_step: Annotated[PositiveTime, QUANTITIES["step at rest"]] = 0.1
    sample: Annotated[PositiveTime, QUANTITIES["sample of the voltage"]] = 0.025
    scheme: Literal["trapezoidal", "euler"] = "trapezoidal"
