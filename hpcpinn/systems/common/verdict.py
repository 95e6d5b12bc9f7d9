"""What came of a run, whatever was solved: how far to trust it, what is missing, and what cannot be.

Facts are frozen dataclasses, which are the entry ``verdict`` of a run's metrics; `lines_of` makes sentences of them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsFloat

from hpcpinn.errors import SolveError


@dataclass(frozen=True)
class Accuracy:
    """An error against what was asked for.

    Attributes:
        error: Relative.
        tolerance: What it should be at most.
        of: What the error is of, in words.
        key: The key of the run description that sets the tolerance.
        advice: What helps where it is exceeded.
    """

    error: float
    tolerance: float
    of: str
    key: str

    advice: str = "lower the tolerance and run again"

    @property
    def passes(self) -> bool:
        """Whether the error is a number within the tolerance."""
        return bool(self.error <= self.tolerance)

    @property
    def words(self) -> str:
        """``pass: error 2.4e-04, tolerance 1e-03 (window.tolerance): the estimate over the run``."""
        if not math.isfinite(self.error):
            return f"warn: error {self.error}, no number, so nothing is known of {self.of}; {self.advice}"
        said = f"error {self.error:.1e}, tolerance {self.tolerance:.0e} ({self.key}): {self.of}"
        return f"pass: {said}" if self.passes else f"warn: {said}; {self.advice}"


@dataclass(frozen=True)
class Verdict:
    """What came of a run.

    Attributes:
        accuracy: Errors against tolerances.
        left: What was left unsolved or is to be known, sentences.
        impossible: What cannot be, sentences: such a run has failed, though it came to its end.
    """

    accuracy: tuple[Accuracy, ...]
    left: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()


def wrong_accuracy(given: Any) -> str:
    """Why this is no accuracy, in words that follow ``accuracy gives``; empty where it is one."""
    right = "hpcpinn.systems.common.verdict.Accuracy(error, tolerance, of, key)"
    if not isinstance(given, Accuracy):
        return f"a {type(given).__name__}, not a {right}"
    for name, kind in (("error", SupportsFloat), ("tolerance", SupportsFloat), ("of", str), ("key", str)):
        value = getattr(given, name)
        if not isinstance(value, kind):
            return f"{name} = {value!r}, which is no {'text' if kind is str else 'number'} as in {right}"
    return ""


def wrong_verdict(given: Any) -> str:
    """Why this is no verdict, in words that follow ``verdict gives``; empty where it is one."""
    right = "hpcpinn.systems.common.verdict.Verdict(accuracy=(...), left=(...), impossible=(...))"
    if not isinstance(given, Verdict):
        return f"a {type(given).__name__}, not a {right}"
    if not isinstance(given.accuracy, tuple | list):
        return f"accuracy = {given.accuracy!r}, which is no tuple of Accuracy"
    for name in ("left", "impossible"):
        sentences = getattr(given, name)
        if not isinstance(sentences, tuple | list) or not all(isinstance(one, str) for one in sentences):
            return f"{name} = {sentences!r}, which is no tuple of sentences"
    return next((wrong for wrong in map(wrong_accuracy, given.accuracy) if wrong), "")


def verdict_in(metrics: Mapping[str, Any]) -> Verdict | None:
    """The verdict among the metrics of a run; None where there is none, or it is another version's."""
    stored = metrics.get("verdict")
    try:
        return None if stored is None else Verdict(
            accuracy=tuple(Accuracy(**accuracy) for accuracy in stored["accuracy"]),
            left=tuple(stored["left"]),
            impossible=tuple(stored.get("impossible", ())),  # older versions did not look
        )  # fmt: skip
    except (KeyError, TypeError):
        return None


def check_possible(verdict: Verdict, result: str) -> None:
    """Ends a run whose solution no cell could have; on every rank, as all have the verdict.

    Raises:
        SolveError: There is such a thing.
    """
    if verdict.impossible:
        raise SolveError(f"{result}: {verdict.impossible[0]}")


def _in_words(accuracy: Accuracy) -> str:
    return accuracy.words


def lines_of(verdict: Verdict, judged: Callable[[Accuracy], str] = _in_words) -> list[tuple[str, str]]:
    """The verdict as sentences with what they are about.

    Args:
        verdict: The facts.
        judged: An error against its tolerance, in words.
    """
    errors = dict.fromkeys(judged(accuracy) for accuracy in verdict.accuracy)
    unsolved = (*verdict.impossible, *verdict.left) or ("nothing",)
    return [*(("error", words) for words in errors), *(("unsolved", sentence) for sentence in unsolved)]
