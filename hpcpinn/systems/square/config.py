"""The run description of a square (``domain.kind = "square"``): dopamine, forward and inverse.

Times in ms, lengths in µm, concentrations in µM. A key that means nothing on a square is unknown here.
"""

from typing import Annotated, Literal

from pydantic import Field

from hpcpinn.config.declared import changes_table, names_of, physics_table
from hpcpinn.config.shared import (
    InferenceTable,
    NetworkTable,
    PositiveParameterTable,
    RunTable,
    SchwarzTable,
    Tolerance,
    TrainingTable,
    WindowTable,
)
from hpcpinn.config.values import (
    Count,
    Description,
    File,
    Finite,
    Many,
    NonNegative,
    Positive,
    PositiveTime,
    Seed,
    Size,
    Table,
    Text,
    Time,
    several,
)
from hpcpinn.core.plausibility import QUANTITIES
from hpcpinn.physics.dopamine_constants import PRESETS, DopamineConstants


class SquareDomainConfig(Table):
    """What is solved on.

    Attributes:
        kind: Name of the system, as ``system`` says it.
        subdomains: Equal rectangles along x and y; the ranks share them.
    """

    kind: Literal["square"] = "square"
    subdomains: Annotated[tuple[Size, Size], Field(strict=False)] = (5, 5)


class DopamineConstantsConfig(changes_table(DopamineConstants, PRESETS)):  # type: ignore[misc]
    """Constants that differ from the preset; what is left out keeps the preset's value."""


class SquarePhysicsConfig(physics_table(DopamineConstantsConfig, PRESETS)):  # type: ignore[misc]
    """Which constants.

    Attributes:
        preset: Set of constants: one of the two published settings.
        constants: What differs from it.
    """


class SquareOutputConfig(RunTable):
    """How long, and what is written.

    Attributes:
        duration: Simulated time, ms; that of the preset's publication where left out.
        cells: Output cells along a side of a subdomain; a frame holds the values in their middles.
    """

    duration: Annotated[PositiveTime | None, QUANTITIES["duration of a run"]] = None  # type: ignore[assignment]
    output_interval: Annotated[PositiveTime, QUANTITIES["interval of output"]] = 0.5
    cells: Size = 12
    output: Text = "results/dopamine.h5"


class SquareNetworkConfig(NetworkTable):
    """The trunks along the axes, whose products are the features of a subdomain.

    Attributes:
        features_space: Features along each side of a subdomain; flat where the side lies on a wall.
        features_time: Features in time.
        scale: Largest wave number of the first layer on [−1, 1] for up to six features, more for more.
    """

    features_space: Annotated[int, Field(ge=4, le=24)] = 10
    features_time: Annotated[int, Field(ge=3, le=24)] = 9


class SquareTrainingConfig(TrainingTable):
    """How heads are trained.

    Attributes:
        points_space, points_time: Collocation points along a side and in time; by default two more
            than there are features.
    """

    points_space: Annotated[int | None, Field(ge=4, le=40)] = None
    points_time: Annotated[int | None, Field(ge=3, le=40)] = None


class SquareSchwarzConfig(SchwarzTable):
    """How subdomains agree: Robin traces on their common sides.

    Attributes:
        acceleration: ``anderson`` mixes the last sweeps.
        max_sweeps: Most sweeps per window.
    """

    acceleration: Literal["anderson", "none"] = "anderson"
    jump_tolerance: Tolerance = 1e-9
    max_sweeps: Count = 100


class SquareWindowConfig(WindowTable):
    """Time windows, short at first and longer as the field smooths.

    Attributes:
        growth: Largest ratio of the lengths of a window and the next.
        tolerance: Error estimate above which a window is rejected and retried, relative to the field.
    """

    first: PositiveTime = 0.3
    growth: Annotated[Finite, Field(gt=1)] = 1.6
    shortest: PositiveTime = 1e-3
    longest: PositiveTime = 20.0
    tolerance: Tolerance = 3e-4


class ParameterConfig(PositiveParameterTable):
    """A constant that is to be inferred, as its logarithm.

    Attributes:
        name: Name of the constant in [physics.constants].
        start: Value where the iteration begins; the preset's value where left out.
    """

    name: names_of(DopamineConstants)  # type: ignore[valid-type]


class DataConfig(Table):
    """Where observations come from: a file, or the closed form and a seed.

    Attributes:
        file: CSV with the columns value, x, y, t, noise in µM, µm, ms, µM (``x_um`` and so on say the
            same), or HDF5 with these under ``/observations``, such as the result of an inference. In a job
            file a relative path starts at the job file.
        count: Synthetic observations, at random places and times.
        noise: Standard deviation of their noise, in units of the release's peak C0.
        first, last: First and last time at which they are made, ms.
        seed: Seed of places, times and noise.
        truth: Constants they are made with where these are not the preset's.
    """

    file: File | None = None
    count: Many = 400
    noise: Positive = 0.02
    first: Time = 0.5
    last: PositiveTime = 18.0
    seed: Seed = 0
    truth: DopamineConstantsConfig = DopamineConstantsConfig()


class InferenceConfig(InferenceTable):
    """How constants are inferred (``hpcpinn infer``).

    Attributes:
        features: Features along each side of the square; the heads follow the equation exactly in time.
        undetermined_factor: Factor by which a constant is undetermined, too, that, so many times smaller or larger,
            fits the data as well (profile likelihood, 95 %).
    """

    features: Annotated[int, Field(ge=8, le=40)] = 30
    max_steps: Count = 200
    undetermined_factor: Annotated[Finite, Field(gt=1)] = 10.0


class UncertaintyConfig(Table):
    """How the posterior is drawn from (``hpcpinn uq``).

    Attributes:
        chains: Chains of the no-U-turn sampler; the ranks share them.
        warmup: Steps that adapt a chain, and are thrown away.
        draws: Draws that a chain keeps.
        acceptance: Acceptance rate that the step size is adapted to; closer to 1 for posteriors where chains
            diverge.
        rhat_most: Chains with a larger R-hat (rank-normalised) do not mix, and nothing is reported.
        ess_least: Nor is it with fewer effective draws than this per chain (bulk and tails).
    """

    chains: Annotated[int, Field(ge=2, le=10_000)] = 4
    warmup: Annotated[int, Field(ge=100, le=10**7)] = 1000
    draws: Annotated[int, Field(ge=4, le=10**7)] = 1000
    acceptance: Annotated[Finite, Field(gt=0, lt=1)] = 0.9
    rhat_most: Annotated[Finite, Field(gt=1)] = 1.01
    ess_least: Positive = 100.0


class StudyConfig(Table):
    """Estimates over many synthetic data sets (``hpcpinn uq --study``).

    Attributes:
        noise: Levels of noise, standard deviations in units of the release's peak C0; 0 for none.
        observations: Numbers of observations.
        draws: Data sets of every level and number: places, times and noise; the seed of the first is data.seed.
    """

    noise: Annotated[tuple[NonNegative, ...], several(min_length=1)] = (0.0, 0.01, 0.02, 0.05, 0.10)
    observations: Annotated[tuple[Many, ...], several(min_length=1)] = (100, 200, 400, 800, 1600)
    draws: Annotated[int, Field(ge=10, le=10**6)] = 100


class SquareConfig(Description):
    """A whole run description on a square."""

    system: Literal["square"] = "square"
    domain: SquareDomainConfig = SquareDomainConfig()
    physics: SquarePhysicsConfig = SquarePhysicsConfig()
    run: SquareOutputConfig = SquareOutputConfig()
    network: SquareNetworkConfig = SquareNetworkConfig()
    training: SquareTrainingConfig = SquareTrainingConfig()
    schwarz: SquareSchwarzConfig = SquareSchwarzConfig()
    window: SquareWindowConfig = SquareWindowConfig()
    parameter: Annotated[tuple[ParameterConfig, ...], several()] = ()
    data: DataConfig = DataConfig()
    inference: InferenceConfig = InferenceConfig()
    uq: UncertaintyConfig = UncertaintyConfig()
    study: StudyConfig = StudyConfig()
