"""Tables of a run description that say what is inferred on a cell, and from which data."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from hpcpinn.config.declared import truth_table
from hpcpinn.config.shared import InferenceTable, ParameterTable
from hpcpinn.config.values import Count, File, Finite, Positive, PositiveTime, Seed, Table, Text, Time, several
from hpcpinn.core.plausibility import QUANTITIES
from hpcpinn.physics.constants import BufferConstants, CalciumConstants, Gate, Organelle
from hpcpinn.physics.membrane_constants import CableConstants, FieldConstants
from hpcpinn.systems.cell.config.learnable import PLAIN
from hpcpinn.systems.cell.config.stimulation import CurrentConfig


class CellParameterConfig(ParameterTable):
    """A constant of the cell that is to be inferred: its logarithm, or itself where it may have either sign.

    Attributes:
        name: Name of the constant in [physics.constants]; `vdcc_density.apic` for the density of channels on one type
            of neurite, `gates[0].half` for a constant of one gate of the channel, `buffers[0].total` for one of the
            first [[buffer]], `organelles[0].serca_max` for one of the [[organelle]]. Of the voltage, where a field or a
            clamp drives it: `cable.R_i`, `cable.C_m`, `cable.temperature`, `field.magnitude`, and of currents
            `channels.squid.sodium.conductance` or `.reversal`.
    """


class GateTruthConfig(truth_table(Gate)):  # type: ignore[misc]
    """What one gate of the calcium channel has in synthetic traces."""


class BufferTruthConfig(truth_table(BufferConstants)):  # type: ignore[misc]
    """What one buffer besides calbindin has in synthetic traces."""


class OrganelleTruthConfig(truth_table(Organelle)):  # type: ignore[misc]
    """What an organelle has in synthetic traces."""


class CableTruthConfig(truth_table(CableConstants)):  # type: ignore[misc]
    """What the cable equation has in synthetic traces."""


class FieldTruthConfig(truth_table(FieldConstants)):  # type: ignore[misc]
    """What the field has in synthetic traces."""


class CellTruthConfig(truth_table(CalciumConstants)):  # type: ignore[misc]
    """What synthetic traces are made with.

    Attributes:
        leak: Leak, µm/s; by default the one that balances rest.
        vdcc_density: Density of channels (ρ_V), 1/µm²; of one type of neurite as `vdcc_density.apic`.
        gates: Constants of the gates of the channel, one table for each; what is left out is the run's.
        buffers, organelles: Constants of every [[buffer]] and of the [[organelle]]; what is left out is the run's.
        cable, field, channels: Constants of the voltage, such as `cable = { R_i = 150.0 }`, `field = { magnitude =
            300.0 }`, `channels = { squid = { sodium = { conductance = 100.0 } } }`.
    """

    vdcc_density: Annotated[Positive | dict[str, Positive] | None, PLAIN["vdcc_density"]] = None
    gates: Annotated[tuple[GateTruthConfig, ...], several()] = ()
    buffers: Annotated[tuple[BufferTruthConfig, ...], several()] = ()
    organelles: Annotated[tuple[OrganelleTruthConfig, ...], several()] = ()
    cable: CableTruthConfig | None = None
    field: FieldTruthConfig | None = None
    channels: dict[str, dict[str, CurrentConfig]] | None = None

    @property
    def changes(self) -> dict[str, float]:
        """The values given, by the names of parameters (``vdcc_density.apic``, ``gates[0].half``)."""
        return _flat(self.model_dump(exclude_none=True))


def _flat(tree: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of tables within tables, by their whole names."""
    found: dict[str, float] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": x for inner, x in _flat(value).items()}
        elif isinstance(value, (list, tuple)):
            found |= {f"{name}[{n}].{inner}": x for n, one in enumerate(value) for inner, x in _flat(one).items()}
        else:
            found[name] = value
    return found


class CellDataConfig(Table):
    """Where traces come from: a file, or the model, a seed and noise.

    Attributes:
        file: CSV with the columns value, site, t, noise (free calcium in µM, or fluorescence with `indicator`;
            a site, ms), or HDF5 with these under `/observations`, such as the result of an inference. In a job
            file a relative path starts at the job file.
        indicator: Dissociation constant K_d (µM) of an indicator: seen is c/(c + K_d). None: free calcium.
        sites: Places where synthetic traces are made.
        first, last: First and last time of synthetic traces, ms; the last is the run's end where left out.
        interval: Time between two samples of synthetic traces, ms.
        noise: Standard deviation of their noise, in units of the largest excursion of its trace from rest.
        seed: Seed of the noise.
        truth: Constants they are made with where these are not the run's.
    """

    file: File | None = None
    indicator: Annotated[Positive | None, QUANTITIES["affinity of an indicator"]] = None
    sites: Annotated[tuple[Text, ...], several()] = ()
    first: Time = 1.0
    last: PositiveTime | None = None
    interval: Annotated[PositiveTime, QUANTITIES["interval of probes"]] = 1.0
    noise: Positive = 0.03
    seed: Seed = 0
    truth: CellTruthConfig = CellTruthConfig()


class CellUncertaintyConfig(Table):
    """How the posterior of a cell's constants is drawn from (``hpcpinn uq``).

    Attributes:
        draws: Number of draws from around Laplace's approximation; every one is a run, and weighted by the posterior.
        shape_most: Tails of the weights with a larger Pareto shape k cannot be relied on, and nothing is reported.
        effective_least: Nor is it with fewer effective draws than this.
    """

    draws: Annotated[int, Field(ge=50, le=10**6)] = 400
    shape_most: Positive = 0.7
    effective_least: Positive = 100.0


class CellInferenceConfig(InferenceTable):
    """How constants of a cell are inferred (``hpcpinn infer``).

    Attributes:
        check_level: The model is called wrong where data as far from it as these have a smaller probability.
        replicates: Replicated data sets of the check.
        band_interval: Time between two points of the predictive bands, ms.
    """

    tolerance: Positive = 1e-3
    max_steps: Count = 30
    check_level: Annotated[Finite, Field(gt=0, lt=1)] = 0.01
    replicates: Annotated[int, Field(ge=100, le=10**7)] = 4000
    band_interval: Annotated[PositiveTime, QUANTITIES["interval of probes"]] = 0.25
