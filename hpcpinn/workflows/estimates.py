"""What every inference does with what it found: checks, priors, estimates and their figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.coordinates import Coordinates
from hpcpinn.errors import SolveError, concerning
from hpcpinn.inference.laplace import Posterior
from hpcpinn.io import places
from hpcpinn.io.estimates import Estimates
from hpcpinn.io.metrics import metrics_path

ANOTHER = "name another file with --output (run.output)"


class Parameter(Protocol):
    """A constant that is to be inferred, as run descriptions have it."""

    @property
    def prior(self) -> float | None: ...
    @property
    def prior_width(self) -> float: ...


def refuse_unusable_places(output: str, given: Mapping[str, Path | str | None], kind: str) -> None:
    """Finds out before the work starts that a result cannot, or must not, be written.

    Args:
        output: The result file.
        given: What was given as input, by what messages call it.
        kind: Of the result; an older one may be replaced.

    Raises:
        InputError: It is an input, a directory or a file of another kind, or cannot be made.
    """
    inputs = {name: Path(file) for name, file in given.items() if file is not None}
    with concerning("run", "output"):
        places.refuse_unusable(Path(output), inputs, ANOTHER, kind)
        places.refuse_unusable(metrics_path(output), inputs, f"the metrics go there: {ANOTHER}")


def prior_of(
    parameters: Sequence[Parameter], coordinates: Coordinates
) -> tuple[Float[ndarray, " p"], Float[ndarray, " p"]]:
    """Centre and precision of the priors of the coordinates; precision 0 where there is none."""
    given = np.array([p.prior is not None for p in parameters], bool)
    centre = coordinates.of([1.0 if p.prior is None else p.prior for p in parameters])
    widths = np.array([p.prior_width for p in parameters], float)
    return np.where(given, centre, 0.0), np.where(given, widths**-2.0, 0.0)


def refuse_unfinished(converged: bool, posterior: Posterior, steps: int, tolerance: float) -> None:
    """Finds out that an iteration has not come to an end, though the data determine all that is learned.

    Raises:
        SolveError: That is so.
    """
    if not converged and bool(np.all(posterior.determined)):
        raise SolveError(
            f"infer: not converged after {steps} steps (inference.tolerance = {tolerance:g}); "
            "raise inference.max_steps, or begin elsewhere with parameter.start"
        )


def estimates_of(
    posterior: Posterior,
    names: tuple[str, ...],
    units: tuple[str, ...],
    start: Float[ndarray, " p"],
    path: Float[ndarray, "S p"],
    config: str,
    coordinates: Coordinates,
) -> dict[str, Any]:
    """The fields of `Estimates`.

    Args:
        posterior: Of the constants' coordinates.
        names, units: Of the constants.
        start: Coordinates that the iteration began with.
        path: Coordinates after every step.
        config: The run description, JSON text.
        coordinates: How the constants were iterated on.
    """
    interval = coordinates.values(posterior.interval().T).T
    return {
        "names": names,
        "units": units,
        "start": coordinates.values(start),
        "estimate": coordinates.values(posterior.centre),
        "low": interval[:, 0],
        "high": interval[:, 1],
        "sd_log": posterior.sd,
        "data_sd_log": posterior.data_sd,
        "determined": posterior.determined,
        "covariance": posterior.covariance,
        "measure": np.array(coordinates.measure, float),
        "path": coordinates.values(path),
        "config": config,
    }


def known_truth(names: tuple[str, ...], truth: Mapping[str, float]) -> Float[ndarray, " p"]:
    """What synthetic data were made with, nan for constants whose truth is not known."""
    return np.array([truth.get(name, np.nan) for name in names], float)


def figures_of(estimates: Estimates, truth: Mapping[str, float]) -> dict[str, Any]:
    """The numbers of constants by name, for its file of metrics; an undetermined constant has no estimate."""
    figures = {}
    for i, name in enumerate(estimates.names):
        known = bool(estimates.determined[i])
        figures[name] = {
            "unit": estimates.units[i],
            "determined_by_data": known,
            "estimate": float(estimates.estimate[i]) if known else None,
            "interval_95": [float(estimates.low[i]), float(estimates.high[i])] if known else None,
            "sd_log": float(estimates.sd_log[i]),
            "data_sd_log": float(estimates.data_sd_log[i]),
            "truth": truth.get(name),
        }
    return figures
