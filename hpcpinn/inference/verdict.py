"""What came of an inference, in plain words: what is known of the constants, whether the model fits, what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io.estimates import Estimates
from hpcpinn.wording import counted, listed

MISFIT_MOST = 1.5
"""Mean square of what the model misses over the noise, above which it fits badly."""


@dataclass(frozen=True)
class InferenceVerdict:
    """What came of an inference.

    Attributes:
        determined, undetermined: Constants that the data determine, and those they do not.
        holds_truth: Constants whose interval holds what synthetic data were made with, and
        misses_truth: the others; both are empty for data of one's own.
        misfit: Mean square of what the model misses over the noise.
        fits: Whether the misfit is about 1 or less.
        model_is_wrong: Whether the model could hardly have made the data; None where that was not checked.
        probability: Probability of data as far from the model as these, by that check.
        left: Further things that are to be known, sentences.
        outside: Estimates outside the bounds of their constants, sentences.
    """

    determined: tuple[str, ...]
    undetermined: tuple[str, ...]
    holds_truth: tuple[str, ...]
    misses_truth: tuple[str, ...]
    misfit: float
    fits: bool
    model_is_wrong: bool | None = None
    probability: float | None = None
    left: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Sentences with what they are about."""
        n, known = len(self.determined) + len(self.undetermined), len(self.determined)
        lines = [("known", f"the data determine {known} of {counted(n, 'constant')}")]
        if self.holds_truth or self.misses_truth:
            held, total = len(self.holds_truth), len(self.holds_truth) + len(self.misses_truth)
            missed = f"; not that of {listed(self.misses_truth)}" if self.misses_truth else ""
            of = f"{held} of {counted(total, 'interval')} (95 %)"
            lines.append(("truth", f"{of} hold what the data were made with{missed}"))
        verb, missed = ("pass", "as far as noise goes") if self.fits else ("warn", "by more than noise explains")
        square = f"mean square over that of the noise {self.misfit:.2f}"
        lines.append(("fit", f"{verb}: the model misses the data {missed} ({square})"))
        if self.model_is_wrong is not None:
            verb, could = ("warn", "could hardly") if self.model_is_wrong else ("pass", "could well")
            lines.append(("model", f"{verb}: it {could} have made these data (probability {self.probability:.2g})"))
        lines += [("bounds", f"warn: {sentence}") for sentence in self.outside]
        open_ = (f"not determined by the data: {listed(self.undetermined)}",) if self.undetermined else ()
        return lines + [("unsolved", sentence) for sentence in (*open_, *self.left) or ("nothing",)]


def inference_verdict(
    estimates: Estimates,
    misfit: float,
    *,
    intervals: Sequence[Sequence[float]] | Float[ndarray, "p 2"] | None = None,
    model_is_wrong: bool | None = None,
    probability: float | None = None,
    left: Sequence[str] = (),
    outside: Sequence[str] = (),
) -> InferenceVerdict:
    """What came of an inference.

    Args:
        estimates: What was inferred, with what synthetic data were made with.
        misfit: Mean square of what the model misses over the noise.
        intervals: 95 % intervals of the constants, of draws; by default those of the estimates.
        model_is_wrong, probability, left, outside: Further parts of the verdict, as of `InferenceVerdict`.
    """
    truth = {n: float(x) for n, x in zip(estimates.names, estimates.truth, strict=True) if isfinite(x)}
    bounds = zip(estimates.low, estimates.high, strict=True) if intervals is None else intervals
    within = {name: (float(low), float(high)) for name, (low, high) in zip(estimates.names, bounds, strict=True)}
    known = dict(zip(estimates.names, map(bool, estimates.determined), strict=True))
    # Of what the data leave open there is an interval only where draws made one.
    asked = [n for n in estimates.names if n in truth and (known[n] or intervals is not None)]
    holds = tuple(n for n in asked if within[n][0] <= truth[n] <= within[n][1])
    return InferenceVerdict(
        determined=tuple(n for n in estimates.names if known[n]),
        undetermined=tuple(n for n in estimates.names if not known[n]),
        holds_truth=holds,
        misses_truth=tuple(n for n in asked if n not in holds),
        misfit=misfit,
        fits=bool(misfit <= MISFIT_MOST),
        model_is_wrong=model_is_wrong,
        probability=probability,
        left=tuple(left),
        outside=tuple(outside),
    )
