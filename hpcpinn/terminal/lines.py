"""Sentences that a command ends with."""

from collections.abc import Sequence

from rich.console import Console


def print_verdict(lines: Sequence[tuple[str, str]], console: Console) -> None:
    """Sentences with what they are about; a label that repeats is said once."""
    said, width = "", max([10, *(len(label) + 1 for label, _ in lines)])
    for label, text in lines:
        console.print(f"{label if label != said else '':<{width}}{text}", soft_wrap=True, markup=False)
        said = label
