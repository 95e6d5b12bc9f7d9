"""Who is told how work goes: what is being done, and how much of it."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class ProgressDisplay(Protocol):
    """Told by whatever works, on every rank; the first one shows it (`hpcpinn.terminal.progress`)."""

    def doing(self, what: str, total: float = 0.0, unit: str = "") -> None:
        """A part of the work begins.

        Args:
            what: Words for the work, such as "solving".
            total: Amount at which it is done; 0 where nobody knows.
            unit: Unit of amounts: "ms" for simulated time, what is counted ("draws"), or nothing.
        """

    def done(self, amount: float, detail: str = "") -> None:
        """So much of it is done, with what a person may want to know besides."""

    def tell(self, label: str, text: str) -> None:
        """Something to know that stays, with what it is about."""


class NoProgress:
    """Shows nothing."""

    def doing(self, what: str, total: float = 0.0, unit: str = "") -> None:
        """Does nothing."""

    def done(self, amount: float, detail: str = "") -> None:
        """Does nothing."""

    def tell(self, label: str, text: str) -> None:
        """Does nothing."""


NO_PROGRESS = NoProgress()
"""For callers that show nothing."""
