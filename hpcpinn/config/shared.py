"""Tables that a system can take into its description as they are, or add keys to."""

import math
from typing import Annotated, Literal

from pydantic import Field

from hpcpinn.config.values import Count, File, Finite, Positive, PositiveTime, Seed, Size, Table, Text, several
from hpcpinn.core.plausibility import QUANTITIES

Tolerance = Annotated[Positive, QUANTITIES["tolerance"]]
"""A relative error that is still accepted."""


class RunTable(Table):
    """How long, and what is written.

    Attributes:
        duration: Simulated time, ms.
        output_interval: Time between two frames, ms.
        output: Result file, relative to the working directory. It replaces an older result or an empty file, and
            nothing else.
        seed: Seed of every random number in the run.
        transport: Way in which ranks exchange arrays; ``auto`` takes mpi4jax under mpirun, nothing with one rank.
        checkpoint_every: Windows from one checkpoint to the next.
    """

    duration: Annotated[PositiveTime, QUANTITIES["duration of a run"]] = 50.0
    output_interval: Annotated[PositiveTime, QUANTITIES["interval of output"]] = 1.0
    output: Text = "results/run.h5"
    seed: Seed = 0
    transport: Literal["auto", "serial", "mpi4jax", "mpi4py"] = "auto"
    checkpoint_every: Count = 20


class WindowTable(Table):
    """Time windows.

    Attributes:
        first: Length of the first window, ms.
        shortest: A window that fails at this length ends the run, ms.
        longest: No window is longer, ms.
        tolerance: Error estimate above which a window is rejected and retried.
    """

    first: PositiveTime = 0.1
    shortest: PositiveTime = 1e-6
    longest: PositiveTime = 5.0
    tolerance: Tolerance = 1e-6


class NetworkTable(Table):
    """The trunk, of whose features solutions are combinations.

    Attributes:
        activation: Activation of the hidden layers.
        layers: Number of hidden layers.
        scale: Largest wave number of the first layer on [−1, 1].
    """

    activation: Literal["sine", "tanh"] = "sine"
    layers: Size = 1
    scale: Positive = 2.2


class TrainingTable(Table):
    """How trunk and heads are trained.

    Attributes:
        trainer: Least squares on the heads, Levenberg-Marquardt on trunk and heads, or a first-order baseline.
        newton_tolerance: Relative update at which Gauss-Newton stops.
        newton_max: Largest number of Gauss-Newton steps per window.
        steps: Steps of the first-order trainers per window.
        learning_rate: First learning rate of `adam`.
    """

    trainer: Literal["least-squares", "levenberg-marquardt", "adam", "lbfgs"] = "least-squares"
    newton_tolerance: Tolerance = 1e-8
    newton_max: Count = 4
    steps: Count = 10_000
    learning_rate: Positive = 1e-3


class SchwarzTable(Table):
    """How subdomains agree.

    Attributes:
        order: Order of a sweep: red and black in turn, or all at once.
        jump_tolerance: Relative interface jump at which sweeps stop.
        max_sweeps: Most sweeps per Newton step.
    """

    order: Literal["red-black", "additive"] = "red-black"
    jump_tolerance: Tolerance = 1e-5
    max_sweeps: Count = 8


class PositiveParameterTable(Table):
    """A positive constant that is to be inferred, as its logarithm.

    Attributes:
        name: Name of the constant.
        start: Value where the iteration begins; the run's value where left out.
        prior: Median of a log-normal prior; none where left out.
        prior_factor: Factor of the median within which the prior says that the constant is, 68 %.
    """

    name: Text
    start: Positive | None = None
    prior: Positive | None = None
    prior_factor: Annotated[Finite, Field(gt=1)] = 3.0

    def prior_width(self, measure: float = 0.0) -> float:
        """Standard deviation of the prior of the logarithm."""
        return math.log(self.prior_factor)


class ParameterTable(PositiveParameterTable):
    """A constant that is to be inferred: its logarithm where it is positive, itself where it may have either sign.

    Attributes:
        prior: Median of a prior, log-normal for a positive constant, normal for another; none where left out.
        prior_factor: Factor of the median within which the prior says that a positive constant is, 68 %.
        prior_sd: Standard deviation of the prior of a constant of either sign, in its own unit.
    """

    start: Finite | None = None
    prior: Finite | None = None
    prior_sd: Positive | None = None

    def prior_width(self, measure: float = 0.0) -> float:
        """Standard deviation of the prior of the logarithm, or of the constant over what it is counted in.

        Args:
            measure: Step that the constant is counted in; 0 for a logarithm.
        """
        return (self.prior_sd or math.inf) / measure if measure else super().prior_width()


Parameters = Annotated[tuple[ParameterTable, ...], several()]
"""The list [[parameter]]."""


class DataTable(Table):
    """Observations.

    Attributes:
        file: CSV with the columns value, noise and the places and times that the system names. In a job file a
            relative path starts at the job file.
    """

    file: File | None = None


class InferenceTable(Table):
    """How constants are inferred.

    Attributes:
        tolerance: Step of the coordinates, in standard deviations, at which the iteration stops.
        max_steps: Most Gauss-Newton steps.
        undetermined_above: A coordinate whose standard deviation from the data alone is above this is reported as
            undetermined.
    """

    tolerance: Positive = 1e-6
    max_steps: Count = 100
    undetermined_above: Positive = 1.0
