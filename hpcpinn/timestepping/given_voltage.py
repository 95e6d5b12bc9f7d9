"""A voltage that is given, not solved: constant, or a table over time that may repeat. Times in ms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse


@dataclass(frozen=True)
class GivenVoltage:
    """V(t) at some sites, linear in time, carried to the compartments of the voltage.

    Attributes:
        times: Times of the rows, increasing.
        values: Voltage at the sites, mV, (T, sites).
        weights: Weights of the sites in every compartment, (P, sites); rows add up to one.
        period: Time after which the table begins again; None where it does not.
    """

    times: Float[ndarray, " T"]
    values: Float[ndarray, "T sites"]
    weights: sparse.csr_matrix
    period: float | None = None

    def at(self, times: Sequence[float] | Float[ndarray, " n"]) -> Float[ndarray, "n P"]:
        """The voltage at times, mV; where a period ends, that of the next one's beginning."""
        phase = np.asarray(times, float)
        if self.period is not None:
            phase = np.maximum(0.0, phase - self.period * np.floor(phase / self.period + 1e-9))
        at_sites = np.stack([np.interp(phase, self.times, column) for column in self.values.T])
        return np.asarray((self.weights @ at_sites).T)

    def taken(self, compartments: Int[ndarray, " n"]) -> "GivenVoltage":
        """The same on some compartments only."""
        return replace(self, weights=self.weights[compartments])

    @property
    def never_repeats(self) -> bool:
        """Whether what it does at one time it does at no other."""
        return len(self.times) > 1 and self.period is None


def join_given(parts: Sequence[GivenVoltage]) -> GivenVoltage:
    """One table on the compartments of several cells, one cell after the other."""
    return replace(parts[0], weights=sparse.vstack([part.weights for part in parts]).tocsr())
