"""What a run is described with: tables of the run description under short names, some keys by position.

Keys, defaults, units, limits and the words of errors are those of the tables, which declare them once. A time or a
length may be text with its unit (``"10 min"``, ``"0.5 mm"``), a file a `pathlib.Path`, a list an array. Signatures for
type checkers and editors stand in ``front.pyi``, which ``scripts/describe_api.py`` writes.
"""

from hpcpinn.config.given import Given
from hpcpinn.systems.cell.config.axon import AxonConfig
from hpcpinn.systems.cell.config.inverse import CellDataConfig, CellParameterConfig
from hpcpinn.systems.cell.config.schema import (
    BufferConfig,
    FluxConfig,
    MorphologyConfig,
    OrganelleConfig,
    PhysicsConfig,
    ProbeConfig,
    SynapseConfig,
    VoltageConfig,
)
from hpcpinn.systems.cell.config.stimulation import (
    ChannelsConfig,
    ClampConfig,
    FieldConfig,
    PlacementConfig,
    StimulationConfig,
)


class Calcium(Given, PhysicsConfig):
    """Calcium and its buffer on a cell: a preset, and the constants that differ from it.

    ``hp.Calcium("physical-L", pmca_max=12.0)``; the constants are keys of [physics.constants].
    """

    table, order, inside = "physics", ("preset",), "constants"


class Buffer(Given, BufferConfig):
    """A buffer besides calbindin, such as a dye: ``hp.Buffer("fluo4", 50.0, k_plus=236.0, k_minus=82.6, D=60.0)``."""

    table, order = "buffer", ("name", "total")


class Reticulum(Given, OrganelleConfig):
    """Calcium in the endoplasmic reticulum, which SERCA pumps fill: ``hp.Reticulum(serca_max=100.0)``."""

    table, order = "organelle", ("rest",)


class Morphology(Given, MorphologyConfig):
    """The cell's file and how it is read; `Cell` holds one."""

    table, order = "morphology", ("file",)


class Axon(Given, AxonConfig):
    """What is made of a cell's axon: ``hp.Axon("aberra")`` myelinates it, with a length it is grown first."""

    table, order = "axon", ("myelinate", "length")


class Synapse(Given, SynapseConfig):
    """One synaptic release, or a train of them; what is left out comes from the constants."""

    table, order = "synapse", ("site", "start")


class Flux(Given, FluxConfig):
    """A given calcium flux through a free end."""

    table, order = "flux", ("site", "value")


class Probe(Given, ProbeConfig):
    """A point that is recorded finely in time."""

    table, order = "probe", ("site", "name")


class Clamp(Given, ClampConfig):
    """A current into one compartment of the cable; the voltage is then solved."""

    table, order = "clamp", ("site", "start", "duration", "current")


class Field(Given, FieldConfig):
    """The induced electric field at its peak, uniform or sampled in space; the voltage is then solved."""

    table, order = "field", ("magnitude", "direction")


class Placement(Given, PlacementConfig):
    """How the cell lies in the head, for fields that are known there."""

    table, order = "placement", ("position", "axis", "azimuth")


class Stimulation(Given, StimulationConfig):
    """When the field is there: a protocol by its name, or trains of bursts of pulses; one pulse by default."""

    table, order = "stimulation", ("protocol",)


class Channels(Given, ChannelsConfig):
    """Ion channels: ``hp.Channels("aberra-l23", types={5: "myelin", 6: "unmyelinated", 7: "node"})``."""

    table, order = "channels", ("set", "soma", "axon", "basal", "apical", "other")


class Voltage(Given, VoltageConfig):
    """Membrane voltage that is known: ``hp.Voltage(-65.0)``, or a table, ``hp.Voltage("voltage.csv")``."""

    table, order, of_text = "voltage", ("constant",), "file"


class Learned(Given, CellParameterConfig):
    """A constant of the cell that is to be inferred."""

    table, order = "parameter", ("name",)


class Traces(Given, CellDataConfig):
    """Traces at sites of a cell from which constants are inferred: a file, or the model, a seed and noise."""

    table, order = "data", ("file",)


__all__ = [
    "Axon",
    "Buffer",
    "Calcium",
    "Channels",
    "Clamp",
    "Field",
    "Flux",
    "Learned",
    "Morphology",
    "Placement",
    "Probe",
    "Reticulum",
    "Stimulation",
    "Synapse",
    "Traces",
    "Voltage",
]
