"""What every inference does with what it found: priors, estimates and their figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.coordinates import Coordinates
from hpcpinn.core.parameters import REAL, Bounds
from hpcpinn.errors import SolveError
from hpcpinn.inference.forward_model import ForwardModel
from hpcpinn.inference.gauss_newton import Prior
from hpcpinn.inference.laplace import Posterior
from hpcpinn.io.estimates import Estimates
from hpcpinn.io.observations import Observations
from hpcpinn.wording import counted


def prior_of(priors: Sequence[tuple[float | None, float]], coordinates: Coordinates) -> Prior:
    """The priors of the coordinates; precision 0 where there is none.

    Args:
        priors: Median of every constant, None for no prior, and standard deviation of its coordinate.
        coordinates: Coordinates of the constants.
    """
    given = np.array([median is not None for median, _ in priors], bool)
    centre = coordinates.of([1.0 if median is None else median for median, _ in priors])
    widths = np.array([width for _, width in priors], float)
    return Prior(np.where(given, centre, 0.0), np.where(given, widths**-2.0, 0.0))


def check_finished(converged: bool, posterior: Posterior, steps: int, tolerance: float) -> None:
    """Finds out that an iteration has not come to an end, though the data determine all that is learned.

    Raises:
        SolveError: That is so.
    """
    if not converged and bool(np.all(posterior.determined)):
        raise SolveError(
            f"infer: not converged after {steps} steps (inference.tolerance = {tolerance:g}); "
            "raise inference.max_steps, or begin elsewhere with parameter.start"
        )


def check_finite(
    model: ForwardModel,
    z: Float[ndarray, " p"],
    rows: Float[ndarray, " N"],
    jacobian: Float[ndarray, "N p"],
    observations: Observations,
) -> None:
    """Finds out that a model predicts what is no number, with which nothing can be inferred.

    Args:
        model: The model.
        z: Coordinates of its constants.
        rows, jacobian: Misfits over noise there, and their derivatives.
        observations: The data.

    Raises:
        SolveError: That is so.
    """
    what, wrong = "what the model predicts is", ~np.isfinite(rows)
    if not wrong.any():
        what, wrong = "the slopes of what the model predicts are", ~np.isfinite(jacobian).all(axis=1)
    if not wrong.any():
        return
    values = zip(model.names, model.coordinates.values(z), model.units, strict=True)
    constants = ", ".join(f"{name} = {value:.6g}{'' if unit == '1' else f' {unit}'}" for name, value, unit in values)
    first = int(np.flatnonzero(wrong)[0])
    place = ", ".join(f"{name} = {column[first]}" for name, column in observations.at.items())
    raise SolveError(
        f"infer: {what} not finite at {constants}, for {np.count_nonzero(wrong)} of "
        f"{counted(len(wrong), 'observation')} (the first: {place}); begin elsewhere with parameter.start, or mend the "
        "model"
    )


def estimates_of(
    posterior: Posterior,
    model: ForwardModel,
    start: Float[ndarray, " p"],
    path: Float[ndarray, "S p"],
    truth: Mapping[str, float],
) -> dict[str, Any]:
    """The fields of `Estimates`, but for the run description.

    Args:
        posterior: Posterior of the constants' coordinates.
        model: Model whose constants they are.
        start: Coordinates that the iteration began with.
        path: Coordinates after every step.
        truth: What synthetic data were made with, as far as it is known.
    """
    coordinates = model.coordinates
    interval = coordinates.values(posterior.interval().T).T
    return {
        "names": model.names,
        "units": model.units,
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
        "truth": np.array([truth.get(name, np.nan) for name in model.names], float),
    }


def outside(estimates: Estimates, bounds: Mapping[str, Bounds]) -> Iterator[str]:
    """Estimates that data determine and that their constants cannot have, one sentence each."""
    for i, name in enumerate(estimates.names):
        value, unit = float(estimates.estimate[i]), estimates.units[i]
        allowed = bounds.get(name, REAL)
        if np.isfinite(value) and value not in allowed and estimates.determined[i]:
            yield f"{name} = {value:.4g}{'' if unit == '1' else f' {unit}'}, which must be {allowed}"


def figures_of(estimates: Estimates) -> dict[str, Any]:
    """The numbers of constants by name, for a file of metrics; an undetermined constant has no estimate."""
    figures = {}
    for i, name in enumerate(estimates.names):
        known, truth = bool(estimates.determined[i]), float(estimates.truth[i])
        figures[name] = {
            "unit": estimates.units[i],
            "determined_by_data": known,
            "estimate": float(estimates.estimate[i]) if known else None,
            "interval_95": [float(estimates.low[i]), float(estimates.high[i])] if known else None,
            "sd_log": float(estimates.sd_log[i]),
            "data_sd_log": float(estimates.data_sd_log[i]),
            "truth": truth if np.isfinite(truth) else None,
        }
    return figures
