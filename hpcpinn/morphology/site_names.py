"""What a wrong name of a place may have meant, and what a cell has, in one line."""

import re
from collections import defaultdict
from collections.abc import Iterable
from difflib import get_close_matches

GRAMMAR = "soma, root, apic[12](0.5), point:123, xyz:1,2,3 or tip:apic"

LONGEST_NUMBER = 18
"""Digits; longer ones name no section and no point, and are no numbers to compare."""

_LONGEST_SHOWN = 60
_STEMS = {
    "dend": ("dendrite", "dendrites", "basal", "basal_dendrite", "basal_dendrites"),
    "apic": ("apical", "apical_dendrite", "apical_dendrites"),
    "axon": ("axons", "axonal"),
    "soma": ("somata", "body", "cell_body"),
}
_OTHER_NAMES = {other: stem for stem, others in _STEMS.items() for other in others}
_PARTS = re.compile(r"(?P<tip>tip\W*)?(?P<stem>[a-z_ ]*[a-z_])\W*(?P<number>\d*)")


def shown(text: str) -> str:
    """A user's text as a message can hold it: one line, not endless."""
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return line if len(line) <= _LONGEST_SHOWN else line[: _LONGEST_SHOWN - 3] + "..."


def suggestion(wanted: str, names: Iterable[str]) -> str:
    """Near names for one that the cell does not have, and how places are written.

    Args:
        wanted: What was asked for.
        names: Sections of the cell.
    """
    numbers = section_numbers(names)
    close = near_names(wanted, numbers)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    stem = wanted.partition("[")[0]
    if "[" in wanted and stem in numbers:
        there = sorted(numbers[stem])
        run = f"{stem}[] runs from {stem}[{there[0]}] to {stem}[{there[-1]}]"
        return f"no section {shown(wanted)}; {run}; {meant}".rstrip("; ")
    return f"{f'{meant}Write' if close else 'no such place; write'} {GRAMMAR}; this cell has {_inventory(numbers)}"


def near_names(wanted: str, numbers: dict[str, set[int]]) -> list[str]:
    """Up to three places of the cell that a name may have meant: other cases and words for a type, typing errors."""
    parts = _PARTS.search(wanted.strip().lower())
    if parts:
        word = parts["stem"].strip().replace(" ", "_")
        stem = _OTHER_NAMES.get(word, word)
        if stem in numbers:
            if parts["tip"]:
                return [f"tip:{stem}"]
            if stem == "soma" and not parts["number"]:
                return ["soma"]
            number = int(parts["number"] or 0) if len(parts["number"]) <= LONGEST_NUMBER else max(numbers[stem])
            nearest = min(numbers[stem], key=lambda there: (abs(there - number), there))
            return [f"{stem}[{nearest}]"]
    known = [f"{stem}[{number}]" for stem, there in numbers.items() for number in sorted(there)]
    return get_close_matches(wanted[:_LONGEST_SHOWN], [*known, "soma", "root", "tip"], n=3, cutoff=0.5)


def section_numbers(names: Iterable[str]) -> dict[str, set[int]]:
    """Numbers of the sections of every type; the second half of a soma is no section to users."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        stem, _, rest = name.partition("[")
        if rest.endswith("]"):
            numbers[stem].add(int(rest[:-1]))
    return dict(numbers)


def _inventory(numbers: dict[str, set[int]]) -> str:
    """``soma[0], 38 dend (dend[0] to [37])``: all types of a cell."""
    return ", ".join(
        f"{stem}[{min(there)}]" if len(there) == 1 else f"{len(there)} {stem} ({stem}[{min(there)}] to [{max(there)}])"
        for stem, there in numbers.items()
    )
