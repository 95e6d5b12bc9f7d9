"""What a march has counted: the same for all that is solved, plain numbers that a checkpoint can hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hpcpinn.marching.march import Step


@dataclass(frozen=True)
class Stats:
    """Sums, and largest values, over the accepted windows.

    Attributes:
        windows: Number of accepted windows.
        rejected: Number of tries that were rejected.
        error: Largest error estimate of a window.
        sums: Figures that are added up, by name (`Attempt.notes`, and wall times ``seconds_...``).
        largest: Figures of which the largest counts, by name (`Attempt.largest`).
    """

    windows: int = 0
    rejected: int = 0
    error: float = 0.0
    sums: Mapping[str, float] = field(default_factory=dict)
    largest: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The sum, or the largest value, of this name; 0 before the first window."""
        return self.sums[name] if name in self.sums else self.largest.get(name, 0)

    def and_window(self, step: Step[Any]) -> "Stats":
        """With one more window."""
        attempt = step.attempt
        counted = replace(
            self,
            windows=self.windows + 1,
            rejected=self.rejected + step.rejected,
            error=max(self.error, attempt.error),
            largest={**self.largest, **{k: max(self.largest.get(k, v), v) for k, v in attempt.largest.items()}},
        )
        return counted.plus(attempt.notes).plus({"seconds_solve": step.seconds})

    def plus(self, figures: Mapping[str, float]) -> "Stats":
        """With figures added to the sums."""
        return replace(self, sums={**self.sums, **{k: self.sums.get(k, 0) + v for k, v in figures.items()}})

    def scalars(self) -> dict[str, float]:
        """As a checkpoint keeps it."""
        counts = {"windows": self.windows, "rejected": self.rejected, "error": self.error}
        named = {"sum": self.sums, "largest": self.largest}
        return counts | {f"{kind}_{name}": value for kind, some in named.items() for name, value in some.items()}

    @classmethod
    def restored(cls, scalars: Mapping[str, Any]) -> "Stats":
        """What `scalars` gave."""

        def named(kind: str) -> dict[str, float]:
            return {key.removeprefix(kind): value for key, value in scalars.items() if key.startswith(kind)}

        counts = int(scalars["windows"]), int(scalars["rejected"]), float(scalars["error"])
        return cls(*counts, named("sum_"), named("largest_"))
