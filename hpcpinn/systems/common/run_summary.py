"""What a run says of itself at the end, whatever was solved: what it took, its figures by name, what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hpcpinn.systems.common.verdict import Verdict


@dataclass(frozen=True)
class RunSummary:
    """What a run says of itself at the end; also in its file of metrics, all figures side by side.

    Attributes:
        result: The result file.
        duration: Simulated time, user units.
        figures: What was counted and measured, by name; each can be read as an attribute, too.
        ranks: Number of ranks.
        seconds: Wall time from the beginning of the set-up to the end.
        seconds_setup: Wall time before the first window was done (reading, partition, compilation); of a long run,
            before its first slot.
        memory_gib: Largest resident memory of a rank.
        output_mib: Size of the result file.
        time_unit: Unit of `duration`; empty for a dimensionless run.
        verdict: What came of it.
    """

    result: str
    duration: float
    figures: Mapping[str, Any]
    ranks: int
    seconds: float
    seconds_setup: float
    memory_gib: float
    output_mib: float
    time_unit: str = "ms"
    verdict: Verdict = field(kw_only=True)

    def __getattr__(self, name: str) -> Any:
        """A figure."""
        figures: Mapping[str, Any] = self.__dict__.get("figures", {})
        if name not in figures:
            raise AttributeError(f"{name!r}: no figure of this run; there are {', '.join(figures)}")
        return figures[name]

    def metrics(self) -> dict[str, Any]:
        """All of it, for the file of metrics."""
        whole = asdict(self)
        figures, verdict = whole.pop("figures"), whole.pop("verdict")
        return {**whole, **figures, "verdict": verdict}
