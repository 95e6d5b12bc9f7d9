"""Numbers as people say them: lengths of time, counts, sizes; and the name that was meant by a wrong one."""

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def meant(word: str, known: Iterable[str]) -> str:
    """A question after the name that is most like a word; empty where none is near."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The name that is most like a word, whatever its case; empty where none is near."""
    by_small = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_small, n=1, cutoff=_NEAR)
    return by_small[near[0]] if near else ""


_NEAR = 0.66
"""Two letters of three in common: one that is wrong in the shortest names."""


def duration(seconds: float | None) -> str:
    """A length of wall time: ``0.4 s``, ``8 s``, ``3 min 20 s``, ``2 h 05 min``; ``?`` where nobody knows."""
    if seconds is None or math.isnan(seconds):
        return "?"
    if math.isinf(seconds):
        return "for ever"
    if seconds < 0.095:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds < 0.95 or round(seconds % 1.0, 1) not in (0.0, 1.0) else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60.0), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"
    return f"{hours / 24.0:.1f} days"


def biology(milliseconds: float, digits: int = 4) -> str:
    """A length of simulated time, or a moment in it: ``12.5 ms``, ``32 s``, ``37.5 min``."""
    factor, unit = unit_for(milliseconds)
    return f"{milliseconds / factor:.{digits}g} {unit}"


def spoken(milliseconds: float) -> str:
    """A length of simulated time, minutes and seconds apart: ``12.5 ms``, ``32 s``, ``37 min 4 s``, ``1 h 5 min``."""
    if abs(milliseconds) < 120e3:
        return biology(milliseconds, 6)
    minutes, seconds = divmod(round(milliseconds / 1e3), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)


def roughly(seconds: float) -> str:
    """A guess of wall time, as coarse as it is: ``7 s``, ``40 s``, ``46 min``, ``1 h 10 min``, ``3 days``."""
    if seconds < 95.0:
        return f"{max(1, round(seconds)) if seconds < 9.5 else 10 * round(seconds / 10.0)} s"
    minutes = round(seconds / 60.0)
    if minutes < 60:
        return f"{minutes} min"
    hours, tens = divmod(round(seconds / 600.0), 6)
    if hours < 10:
        return f"{hours} h {10 * tens} min" if tens else f"{hours} h"
    hours = round(seconds / 3600.0)
    return f"{hours} h" if hours < 48 else f"{round(hours / 24)} days"


def biology_of(now: float, total: float) -> str:
    """A moment within a length of simulated time, both in the unit of the length: ``12.5 of 50 ms``."""
    factor, unit = unit_for(total)
    return f"{amount_of(now / factor, total / factor)} {unit}"


def amount_of(now: float, total: float) -> str:
    """A part of an amount, to a hundredth or better: ``12.5 of 50``, ``0.03 of 1``, ``7 of 400``."""
    decimals = max(0, 2 - math.floor(math.log10(total))) if total > 0.0 else 2
    return f"{round(now, decimals):.10g} of {total:.4g}"


def unit_for(milliseconds: float) -> tuple[float, str]:
    """What a length of simulated time is told in: the unit's worth in ms, and its name: ``(1000.0, "s")``."""
    for factor, unit in ((60e3, "min"), (1e3, "s")):
        if abs(milliseconds) >= 2.0 * factor or (unit == "s" and abs(milliseconds) >= factor):
            return factor, unit
    return 1.0, "ms"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """``1 window``, ``2 windows``, ``no window``; `plural` where an s does not make it."""
    if count == 0:
        return f"no {noun}"
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def bytes_of(size: float) -> str:
    """A size: ``512 KiB``, ``6.0 MiB``, ``1.2 GiB``."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{max(1, round(size / 2**10))} KiB"


def listed(words: Sequence[str], most: int = 4) -> str:
    """``a, b and c``; of many the first ones and how many more."""
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def shortened(text: str, most: int = 60) -> str:
    """A text that a message can hold."""
    return text if len(text) <= most else f"{text[:most]}..."


def printable(text: str) -> str:
    """A text that can be drawn or written as UTF-8: of a file's name, bytes that are no text become U+FFFD.

    Where the locale is not UTF-8, Python takes the bytes of a good name for no text, too; they are read anew.
    """
    kept = _NO_BYTE.sub("\ufffd", text)
    return kept.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that do not even stand for a byte."""


def as_typed(word: object) -> str:
    """A path as a person types it behind a command: quoted for the shell where it must be."""
    return shlex.quote(str(word))
