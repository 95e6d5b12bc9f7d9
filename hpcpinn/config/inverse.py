"""Tables of a run description that say what is inferred on a cell, and from which data."""

from typing import Annotated

from pydantic import Field

from hpcpinn.config.values import Count, Finite, Positive, PositiveTime, Table, Text, Time


class CellParameterConfig(Table):
    """A constant of the cell that is to be inferred, as its logarithm.

    Attributes:
        name: Which constant of [physics.constants]: diffusion, binding, pumps, leak, release, or density of
            channels, `vdcc_density.apic` for that of one type of neurite.
        start: Where the iteration begins; the run's value where left out.
        prior: Median of a log-normal prior; none where left out.
        prior_factor: The prior says that the constant is within this factor of the median, 68 %.
    """

    name: Text
    start: Positive | None = None
    prior: Positive | None = None
    prior_factor: Annotated[Finite, Field(gt=1)] = 3.0


class CellTruthConfig(Table):
    """What synthetic traces are made with.

    Attributes:
        D_c, D_b: Diffusion of calcium and calbindin, µm²/s.
        b_tot: Total calbindin, µM.
        k_plus, k_minus: Binding and unbinding, 1/(µM s) and 1/s.
        c_rest, c_o: Calcium at rest and outside, µM.
        pmca_max, pmca_K, ncx_max, ncx_K: Of the pumps, µM·µm/s and µM.
        leak: µm/s; by default the one that balances rest.
        vdcc_density: Of the channels, 1/µm²; of one type of neurite as `vdcc_density.apic`.
        vdcc_permeability: Of a channel, µm³/s.
        j_release: Peak flux of all synaptic releases, µM·µm/s.
    """

    D_c: Positive | None = None
    D_b: Positive | None = None
    b_tot: Positive | None = None
    k_plus: Positive | None = None
    k_minus: Positive | None = None
    c_rest: Positive | None = None
    c_o: Positive | None = None
    pmca_max: Positive | None = None
    pmca_K: Positive | None = None
    ncx_max: Positive | None = None
    ncx_K: Positive | None = None
    leak: Positive | None = None
    vdcc_density: Positive | dict[str, Positive] | None = None
    vdcc_permeability: Positive | None = None
    j_release: Positive | None = None

    @property
    def changes(self) -> dict[str, float]:
        """The values given, by the names of parameters (``vdcc_density.apic``)."""
        found: dict[str, float] = {}
        for name, value in self.model_dump(exclude_none=True).items():
            found |= {f"{name}.{kind}": x for kind, x in value.items()} if isinstance(value, dict) else {name: value}
        return found


LEARNABLE = tuple(CellTruthConfig.model_fields)
"""Constants of [physics.constants] that can be inferred; the density also by type of neurite."""


class CellDataConfig(Table):
    """Where traces come from: a file, or the model, a seed and noise.

    Attributes:
        file: CSV with the columns value, site, t, noise (free calcium in µM, or fluorescence with `indicator`;
            a site, ms), or HDF5 with these under `/observations`, such as the result of an inference. In a job
            file a relative path starts at the job file.
        indicator: Dissociation constant K_d (µM) of an indicator: seen is c/(c + K_d). None: free calcium.
        sites: Where synthetic traces are made.
        first, last: First and last time of synthetic traces, ms; the last is the run's end where left out.
        interval: Between two samples of them, ms.
        noise: Standard deviation of their noise, in units of the largest excursion of its trace from rest.
        seed: Of the noise.
        truth: Constants they are made with where these are not the run's.
    """

    file: Text | None = None
    indicator: Positive | None = None
    sites: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    first: Time = 1.0
    last: PositiveTime | None = None
    interval: PositiveTime = 1.0
    noise: Positive = 0.03
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    truth: CellTruthConfig = CellTruthConfig()


class CellInferenceConfig(Table):
    """How constants of a cell are inferred (``hpcpinn infer``).

    Attributes:
        tolerance: Step of the logarithms, in standard deviations, at which the iteration stops.
        max_steps: Most Gauss-Newton steps.
        undetermined_above: A logarithm whose standard deviation from the data alone is above this is
            reported as undetermined.
        check_level: The model is called wrong where data as far from it as these have a smaller probability.
        replicates: Replicated data sets of the check.
        band_interval: Between two times of the predictive bands, ms.
    """

    tolerance: Positive = 1e-3
    max_steps: Count = 30
    undetermined_above: Positive = 1.0
    check_level: Annotated[Finite, Field(gt=0, lt=1)] = 0.01
    replicates: Annotated[int, Field(ge=100)] = 4000
    band_interval: PositiveTime = 0.25
