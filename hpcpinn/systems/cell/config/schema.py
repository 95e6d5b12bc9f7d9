"""The run description: every key a job file may hold, its default, its unit and its limits.

One class per TOML table. Times in ms (dimensionless for the preset `seed`), lengths in µm,
concentrations in µM, potentials in mV; times and lengths may also be written with a unit,
``duration = "10 min"``. `hpcpinn.config.load_config` reads a job file and the ``--set``
overrides of the command line into a `RunConfig`; whatever is wrong ends in one `InputError`.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from hpcpinn.config.declared import changes_table, physics_table, whole_table
from hpcpinn.config.shared import NetworkTable, RunTable, SchwarzTable, Tolerance, TrainingTable, WindowTable
from hpcpinn.config.values import (
    Count,
    Description,
    File,
    Finite,
    Length,
    LengthUnit,
    Many,
    NonNegative,
    PositiveLength,
    PositiveTime,
    Potential,
    Size,
    Table,
    Text,
    Time,
    TimeOrForever,
    several,
)
from hpcpinn.core.plausibility import QUANTITIES
from hpcpinn.physics.constants import PRESETS, BufferConstants, CalciumConstants, Gate, Organelle
from hpcpinn.systems.cell.config.axon import AxonConfig
from hpcpinn.systems.cell.config.inverse import (
    CellDataConfig,
    CellInferenceConfig,
    CellParameterConfig,
    CellUncertaintyConfig,
)
from hpcpinn.systems.cell.config.population import PopulationConfig
from hpcpinn.systems.cell.config.splitting import SplitConfig
from hpcpinn.systems.cell.config.stimulation import (
    CableConfig,
    ChannelsConfig,
    ClampConfig,
    FieldConfig,
    PlacementConfig,
    StimulationConfig,
)


class DomainConfig(Table):
    """What is solved on.

    Attributes:
        kind: Name of the system, as ``system`` says it.
    """

    kind: Literal["cell"] = "cell"


class MorphologyConfig(Table):
    """The cell and how its file is read.

    Attributes:
        file: SWC file, or ``builtin:NAME`` for a cell that comes with hpcpinn. In a job file a
            relative path starts at the job file.
        soma: How soma points become cable: as NEURON reads them, as Arbor does, or literally.
        units: Unit of the file's coordinates: ``um``, ``nm``, ``mm``, ``cm``, ``m``, or a number with one of
            these, such as ``8nm`` for voxels of 8 nm; ``auto`` takes µm and warns where that looks wrong.
        merge_below: Chains of frusta shorter than this are merged (µm; 0: never).
        er_fraction, er_radius: Radius of the endoplasmic reticulum,
            er_fraction · radius + er_radius (µm).
    """

    file: File = "builtin:pyramidal"
    soma: Literal["neuron", "arbor", "literal"] = "neuron"
    units: LengthUnit = "auto"
    merge_below: Annotated[Length, QUANTITIES["merging"]] = 1.0
    er_fraction: Annotated[NonNegative, Field(lt=1)] = 0.0
    er_radius: Annotated[Length, QUANTITIES["radius of the reticulum"]] = 0.0


class GateConfig(whole_table(Gate)):  # type: ignore[misc]
    """One gate of a user's own channel; its keys are those of `hpcpinn.physics.constants.Gate`."""


class ConstantsConfig(changes_table(CalciumConstants, PRESETS)):  # type: ignore[misc]
    """Constants that differ from the preset; what is left out keeps the preset's value.

    Attributes:
        gates: Gates of the channel, all of them.
    """

    gates: Annotated[tuple[GateConfig, ...] | None, several()] = None


class PhysicsConfig(physics_table(ConstantsConfig, PRESETS)):  # type: ignore[misc]
    """Which constants.

    Attributes:
        preset: Set of constants: physical with calcium channels of type N, L or T, or `seed`.
        constants: What differs from it.
    """

    @property
    def changes(self) -> dict[str, Any]:
        """The constants that differ from the preset, as keywords of `CalciumConstants.replace`."""
        changes: dict[str, Any] = self.constants.changes
        return changes


class BufferConfig(whole_table(BufferConstants)):  # type: ignore[misc]
    """A buffer besides calbindin, such as a dye; free and bound to calcium it diffuses alike.

    Attributes:
        name: Name of its free part in results and pictures: small letters, digits and underscores.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class OrganelleConfig(whole_table(Organelle)):  # type: ignore[misc]
    """An organelle along the cable that holds calcium: a species of its own, `er_calcium`, which SERCA pumps fill.

    Attributes:
        name: Name of the volume, the endoplasmic reticulum: its radius is that of `morphology.er_fraction` and
            `er_radius`.
    """

    name: Literal["er"] = "er"


class VoltageConfig(Table):
    """Membrane voltage: one value everywhere and always, or a table over time and sites.

    Neither is read where a field or a clamp drives the voltage: it is then solved on the cable.

    Attributes:
        constant: Voltage everywhere and always, mV (−500 to 500); not read where `file` is given.
        file: CSV or HDF5 table in mV. In a job file a relative path starts at the job file.
        period: The table's voltage from 0 to here repeats until the run ends, ms; without it the table
            covers the run.
    """

    constant: Annotated[Potential, QUANTITIES["potential at rest"]] = -70.0
    file: File | None = None
    period: PositiveTime | None = None


class SynapseConfig(Table):
    """One synaptic release, or a train of them; what is left out comes from the constants.

    Attributes:
        site: Place of the synapse, such as ``apic[12](0.5)``.
        start: Time of the (first) release, ms.
        flux: Peak of j_SYN, µM·µm/s.
        duration: How long it lasts, falling linearly to zero, ms.
        patch: Length of cable that takes part, µm: all that is nearest to the site along the tree, across forks.
        count: Releases, one after the other.
        interval: Time from one release to the next, ms.
    """

    site: Text
    start: Time
    flux: Annotated[Finite | None, QUANTITIES["flux of a release"]] = None
    duration: Annotated[PositiveTime | None, QUANTITIES["duration of a release"]] = None
    patch: Annotated[PositiveLength | None, QUANTITIES["patch"]] = None
    count: Many = 1
    interval: Annotated[PositiveTime | None, QUANTITIES["interval of releases"]] = None

    @property
    def onsets(self) -> tuple[float, ...]:
        """When every release begins, ms."""
        return tuple(self.start + number * (self.interval or 0.0) for number in range(self.count))


class FluxConfig(Table):
    """A given calcium flux J through a free end, D ∂c/∂s (inward) = J.

    Attributes:
        site: A free end: of a section (``soma``, ``dend[3]``), a tip (``tip:apic``), or the position of
            one (``dend[3](1)``); other positions are refused.
        value: J, µM·µm/s, positive inwards.
        start: Time at which it begins, ms.
        duration: How long it lasts, ms.
    """

    site: Text
    value: Annotated[Finite, QUANTITIES["flux through an end"]]
    start: Time = 0.0
    duration: Annotated[TimeOrForever, QUANTITIES["duration of a flux"]] = math.inf


class ProbeConfig(Table):
    """A point that is recorded every `run.probe_interval`.

    Attributes:
        site: Place of the probe.
        name: Name in pictures and files; the site itself where left out.
    """

    site: Text
    name: Text | None = None

    @property
    def label(self) -> str:
        """What pictures and files call the probe."""
        return self.name or self.site


class OutputConfig(RunTable):
    """How long, and what is written.

    Attributes:
        output_interval: Time between two frames of the whole cell, ms. Long runs add one at the end of every train.
        probe_interval: Time between two samples of the probes, ms.
        checkpoint_every: Windows between checkpoints.
    """

    probe_interval: Annotated[PositiveTime, QUANTITIES["interval of probes"]] = 0.1
    checkpoint_every: Count = 10


class NetworkConfig(NetworkTable):
    """The trunk.

    Attributes:
        trunk: Products of features of space and of time (``separable``), or one network of both.
        features: About how many features: degrees of freedom per piece and species.
    """

    trunk: Literal["separable", "joint"] = "separable"
    features: Annotated[int, Field(ge=4, le=1000)] = 28


class TrainingConfig(TrainingTable):
    """How trunk and heads are trained.

    Attributes:
        collocation: Choice of the points where the equation is asked to hold.
        points_space, points_time: Collocation points per piece and window; by default two more
            than the trunk has features of space and of time.
        alpha: Weight of the equation against the data in the loss of the first-order trainers.
    """

    collocation: Literal["gauss", "random", "residual-adaptive"] = "gauss"
    points_space: Annotated[int | None, Field(ge=2, le=1000)] = None
    points_time: Annotated[int | None, Field(ge=2, le=1000)] = None
    newton_tolerance: Tolerance = 1e-5
    newton_max: Count = 12
    alpha: Annotated[Finite, Field(gt=0, lt=1)] = 0.5


class PiecesConfig(Table):
    """How sections are cut into pieces.

    Attributes:
        max_length: Longest piece, µm.
        source_length: Longest piece at a source or radius jump, µm.
        growth: Largest ratio of neighbouring lengths on the way from one to the other.
        cells_per_piece: Output cells per piece.
    """

    max_length: Annotated[PositiveLength, QUANTITIES["piece"]] = 20.0
    growth: Annotated[Finite, Field(gt=1)] = 2.0
    source_length: Annotated[PositiveLength, QUANTITIES["piece"]] = 0.5
    cells_per_piece: Size = 4


class SchwarzConfig(SchwarzTable):
    """How pieces agree.

    Attributes:
        transmission: What crosses an interface.
        acceleration: ``stars`` solves at whole nodes, ``tree`` also at all nodes of the tree at once
            where one sweep over stars is not enough (both with ``robin``; ``tree`` is the default
            there); ``anderson`` mixes the last sweeps over pieces.
    """

    transmission: Literal["robin", "dirichlet-neumann"] = "robin"
    acceleration: Literal["tree", "stars", "anderson", "none"] | None = None

    @property
    def chosen_acceleration(self) -> str:
        """The acceleration, also where none is given."""
        best = "tree" if self.transmission == "robin" else "anderson"
        return self.acceleration or best


class WindowConfig(WindowTable):
    """Time windows.

    Attributes:
        kind: ``coupled`` windows solve everything at once, ``split`` ones (table [split]) are for
            long protocols; ``mixed``: coupled for a while after pulses and releases, split between.
        first: Length of the first window and of the first one after a source switches, ms.
        tolerance: Error estimate above which a window is rejected and retried, relative to the largest
            excursion so far, or to 5 % of the species' scale where that is larger.
    """

    kind: Literal["coupled", "split", "mixed"] = "coupled"
    shortest: PositiveTime = 1e-3
    tolerance: Tolerance = 1e-3


class RunConfig(Description):
    """A whole run description of a cell."""

    system: Literal["cell"] = "cell"
    domain: DomainConfig = DomainConfig()
    morphology: MorphologyConfig = MorphologyConfig()
    axon: AxonConfig = AxonConfig()
    physics: PhysicsConfig = PhysicsConfig()
    buffer: Annotated[tuple[BufferConfig, ...], several()] = ()
    organelle: Annotated[tuple[OrganelleConfig, ...], several()] = ()
    voltage: VoltageConfig = VoltageConfig()
    field: FieldConfig = FieldConfig()
    placement: PlacementConfig = PlacementConfig()
    stimulation: StimulationConfig = StimulationConfig()
    clamp: Annotated[tuple[ClampConfig, ...], several()] = ()
    channels: ChannelsConfig = ChannelsConfig()
    cable: CableConfig = CableConfig()
    synapse: Annotated[tuple[SynapseConfig, ...], several()] = ()
    flux: Annotated[tuple[FluxConfig, ...], several()] = ()
    probe: Annotated[tuple[ProbeConfig, ...], several()] = ()
    run: OutputConfig = OutputConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    pieces: PiecesConfig = PiecesConfig()
    schwarz: SchwarzConfig = SchwarzConfig()
    window: WindowConfig = WindowConfig()
    split: SplitConfig = SplitConfig()
    population: PopulationConfig = PopulationConfig()
    parameter: Annotated[tuple[CellParameterConfig, ...], several()] = ()
    data: CellDataConfig = CellDataConfig()
    inference: CellInferenceConfig = CellInferenceConfig()
    uq: CellUncertaintyConfig = CellUncertaintyConfig()

    @property
    def solves_voltage(self) -> bool:
        """Whether a field or a clamp drives the voltage, which is then solved on the cable."""
        return bool(self.field.is_given or self.clamp)

    @property
    def is_long(self) -> bool:
        """Whether it is run slot by slot, as long protocols are: in split windows, at least in part."""
        return self.window.kind != "coupled"

    @property
    def by_networks(self) -> bool:
        """Whether calcium of a long run is followed at the nodes of networks, and not on cells."""
        return self.window.kind == "mixed" or self.split.diffusion == "networks"
