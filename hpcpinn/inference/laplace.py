"""Laplace's approximation of the posterior, and what the data can tell at all (Fisher information)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.special import chdtri, ndtri

_SINGULAR = 1e-13
"""Information below this part of the largest is none: round-off."""
_TAKES_PART = 1e-4
"""Share of a constant in a direction without information above which it is lost with it. Derivatives are good to
1e-6, which tilts such directions; and were the others wrong by ten e-folds, this one would be by 0.1 %."""


@dataclass(frozen=True)
class Posterior:
    """A normal distribution of the coordinates of constants: logarithms, or what they are counted in.

    Attributes:
        centre: Most probable coordinates, (p,).
        covariance: Covariance of the coordinates, prior included, (p, p); infinite variances where neither data nor
            prior say anything.
        data_sd: Standard deviations by the data alone (the Cramér-Rao bound), infinite where they say nothing.
        determined: Whether the data determine each constant, (p,).
    """

    centre: Float[ndarray, " p"]
    covariance: Float[ndarray, "p p"]
    data_sd: Float[ndarray, " p"]
    determined: Bool[ndarray, " p"]

    @property
    def sd(self) -> Float[ndarray, " p"]:
        """Standard deviations of the coordinates."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> Float[ndarray, "p p"]:
        """NaN with what has an infinite variance."""
        with np.errstate(invalid="ignore"):
            return self.covariance / np.outer(self.sd, self.sd)

    def interval(self, probability: float = 0.95) -> Float[ndarray, "p 2"]:
        """Central intervals of the coordinates."""
        reach = ndtri(0.5 + 0.5 * probability) * self.sd
        return np.stack([self.centre - reach, self.centre + reach], axis=1)


def laplace(
    centre: Float[ndarray, " p"],
    fisher: Float[ndarray, "p p"],
    precision: Float[ndarray, " p"],
    profile: Float[ndarray, "p 2"] | None = None,
    undetermined_above: float = 1.0,
) -> Posterior:
    """The posterior around its mode.

    Args:
        centre: Coordinates of the mode, (p,).
        fisher: Information of the data on the coordinates, (p, p).
        precision: Precisions of the priors, (p,); 0 for none.
        profile: Rise of the negative log likelihood of the data far below and above the mode, (p, 2): the information
            at the mode alone is deceived where the fit has followed the noise.
        undetermined_above: Standard deviation of a coordinate, by the data alone, above which its constant
            counts as undetermined.
    """
    data_sd = np.sqrt(np.diag(_inverse(fisher)))
    covariance = _inverse(fisher + np.diag(precision))
    determined = data_sd <= undetermined_above
    if profile is not None:
        determined &= profile.min(axis=1) > 0.5 * chdtri(1, 0.05)
    return Posterior(centre, covariance, data_sd, determined)


def _inverse(information: Float[ndarray, "p p"]) -> Float[ndarray, "p p"]:
    """The inverse; constants that take part in a direction without information get an infinite variance."""
    values, vectors = np.linalg.eigh(0.5 * (information + information.T))
    known = values > _SINGULAR * max(float(values.max(initial=0.0)), 1e-300)
    inverse: Float[ndarray, "p p"] = (vectors[:, known] / values[known]) @ vectors[:, known].T
    lost = np.any(np.abs(vectors[:, ~known]) > _TAKES_PART, axis=1)
    inverse[lost, :] = inverse[:, lost] = 0.0
    inverse[lost, lost] = np.inf
    return inverse
