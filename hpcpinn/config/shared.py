"""Tables that a system can take into its description as they are, or add keys to."""

import math
from typing import Annotated, Literal

from pydantic import Field

from hpcpinn.config.values import Count, File, Finite, Positive, PositiveTime, Table, Text, several
from hpcpinn.core.plausibility import QUANTITIES


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
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
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
    tolerance: Annotated[Positive, QUANTITIES["tolerance"]] = 1e-6


class ParameterTable(Table):
    """A constant that is to be inferred: its logarithm where it is positive, itself where it may have either sign.

    Attributes:
        name: Name of the constant.
        start: Value where the iteration begins; the run's value where left out.
        prior: Median of a prior; none where left out.
        prior_factor: The prior says that a positive constant is within this factor of the median, 68 %.
        prior_sd: Standard deviation of the prior of a constant of either sign, in its own unit.
    """

    name: Text
    start: Finite | None = None
    prior: Finite | None = None
    prior_factor: Annotated[Finite, Field(gt=1)] = 3.0
    prior_sd: Positive | None = None

    def prior_width(self, measure: float) -> float:
        """Standard deviation of the prior of the logarithm, or of the constant over what it is counted in.

        Args:
            measure: What it is counted in; 0 for a logarithm.
        """
        return (self.prior_sd or math.inf) / measure if measure else math.log(self.prior_factor)


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
