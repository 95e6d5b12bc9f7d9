"""Written by scripts/describe_api.py from the tables of the run description: change them there."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from hpcpinn.config.given import Given
from hpcpinn.physics.membrane_tables import MembraneTable
from hpcpinn.systems.cell.config.axon import AxonConfig
from hpcpinn.systems.cell.config.inverse import CellDataConfig, CellParameterConfig, CellTruthConfig
from hpcpinn.systems.cell.config.schema import (
    BufferConfig,
    FluxConfig,
    GateConfig,
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
    CurrentConfig,
    FieldConfig,
    PlacementConfig,
    RegionConfig,
    StimulationConfig,
)

class Axon(Given, AxonConfig):
    def __init__(
        self,
        myelinate: Literal["aberra", "nemo"] | None = None,
        length: float | str | None = None,
        *,
        diameter: float | str = 1.0,
        direction: Sequence[float] = ...,
        scale: Literal["human"] | None = None,
    ) -> None: ...

class Buffer(Given, BufferConfig):
    def __init__(
        self,
        name: str,
        total: float,
        *,
        k_plus: float,
        k_minus: float,
        D: float,
        volume: Literal["cytosol", "er"] = "cytosol",
    ) -> None: ...

class Calcium(Given, PhysicsConfig):
    def __init__(
        self,
        preset: Literal["physical-N", "physical-L", "physical-T", "seed"] = "physical-N",
        *,
        b_tot: float | None = None,
        k_plus: float | None = None,
        k_minus: float | None = None,
        c_rest: float | None = None,
        c_o: float | None = None,
        pmca_max: float | None = None,
        pmca_K: float | None = None,
        ncx_max: float | None = None,
        ncx_K: float | None = None,
        time_unit: float | None = None,
        D_c: float | None = None,
        D_b: float | None = None,
        leak: float | None = None,
        j_release: float | None = None,
        release_duration: float | None = None,
        release_patch: float | str | None = None,
        vdcc_density: float | None = None,
        vdcc_permeability: float | None = None,
        z_ca: float | None = None,
        temperature: float | None = None,
        rest_voltage: float | None = None,
        ghk_sign: Literal["influx", "as_printed"] | None = None,
        gates: Sequence[GateConfig | Mapping[str, Any]] | None = None,
    ) -> None: ...

class Channels(Given, ChannelsConfig):
    def __init__(
        self,
        set: str = "squid",
        soma: str | None = None,
        axon: str | None = None,
        basal: str | None = None,
        apical: str | None = None,
        other: str = "passive",
        *,
        types: Mapping[str, str] = ...,
        region: Sequence[RegionConfig | Mapping[str, Any]] = ...,
        constants: Mapping[str, Mapping[str, CurrentConfig | Mapping[str, Any]]] = ...,
        declared: Mapping[str, MembraneTable | Mapping[str, Any]] = ...,
    ) -> None: ...

class Clamp(Given, ClampConfig):
    def __init__(
        self,
        site: str,
        start: float | str,
        duration: float | str,
        current: float,
    ) -> None: ...

class Field(Given, FieldConfig):
    def __init__(
        self,
        magnitude: float | None = None,
        direction: Sequence[float] = ...,
        *,
        polar: float | None = None,
        azimuth: float | None = None,
        file: str | PathLike[str] | None = None,
        locations: str | None = None,
        name: str = "E",
        tissue: Sequence[int] = ...,
        outside: Literal["refuse", "nearest"] = "refuse",
    ) -> None: ...

class Flux(Given, FluxConfig):
    def __init__(
        self,
        site: str,
        value: float,
        *,
        start: float | str = 0.0,
        duration: float | str = ...,
    ) -> None: ...

class Learned(Given, CellParameterConfig):
    def __init__(
        self,
        name: str,
        *,
        start: float | None = None,
        prior: float | None = None,
        prior_factor: float = 3.0,
        prior_sd: float | None = None,
    ) -> None: ...

class Morphology(Given, MorphologyConfig):
    def __init__(
        self,
        file: str | PathLike[str] = "builtin:pyramidal",
        *,
        soma: Literal["neuron", "arbor", "literal"] = "neuron",
        units: str = "auto",
        merge_below: float | str = 1.0,
        er_fraction: float = 0.0,
        er_radius: float | str = 0.0,
    ) -> None: ...

class Placement(Given, PlacementConfig):
    def __init__(
        self,
        position: Sequence[float] | None = None,
        axis: Sequence[float] | None = None,
        azimuth: float = 0.0,
        *,
        surface: str | None = None,
        surface_tag: int = 1002,
        depth: float = 0.0,
        cell_axis: Sequence[float] = ...,
    ) -> None: ...

class Probe(Given, ProbeConfig):
    def __init__(
        self,
        site: str,
        name: str | None = None,
    ) -> None: ...

class Reticulum(Given, OrganelleConfig):
    def __init__(
        self,
        rest: float = 250.0,
        *,
        D: float = 220.0,
        serca_max: float = 62.0,
        serca_K: float = 0.18,
        leak: float | None = None,
        name: Literal["er"] = "er",
    ) -> None: ...

class Stimulation(Given, StimulationConfig):
    def __init__(
        self,
        protocol: str | None = None,
        *,
        waveform: str | PathLike[str] | None = None,
        width: float | str | None = None,
        reversal: float | None = None,
        is_reversed: bool = False,
        start: float | str = 0.0,
        pulses: int = 1,
        bursts: int = 1,
        trains: int = 1,
        pulse_interval: float | str | None = None,
        burst_interval: float | str | None = None,
        train_interval: float | str | None = None,
    ) -> None: ...

class Synapse(Given, SynapseConfig):
    def __init__(
        self,
        site: str,
        start: float | str,
        *,
        flux: float | None = None,
        duration: float | str | None = None,
        patch: float | str | None = None,
        count: int = 1,
        interval: float | str | None = None,
    ) -> None: ...

class Traces(Given, CellDataConfig):
    def __init__(
        self,
        file: str | PathLike[str] | None = None,
        *,
        indicator: float | None = None,
        sites: Sequence[str] = ...,
        first: float | str = 1.0,
        last: float | str | None = None,
        interval: float | str = 1.0,
        noise: float = 0.03,
        seed: int = 0,
        truth: CellTruthConfig | Mapping[str, Any] = ...,
    ) -> None: ...

class Voltage(Given, VoltageConfig):
    def __init__(
        self,
        constant: float | str | PathLike[str] = -70.0,
        *,
        file: str | PathLike[str] | None = None,
        period: float | str | None = None,
    ) -> None: ...
