"""A row of the table of scripts/torture.py: what is done to results, how often, and whether all ended as it must."""

import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class CaseError(Exception):
    """A case did not end as it must."""


def must(is_so: bool, otherwise: str) -> None:
    """Ends a case that did not end as it must."""
    if not is_so:
        raise CaseError(otherwise)


def anywhere() -> str:
    """Why a row cannot be done here, of one that always can: nothing."""
    return ""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: Sentence on what is done.
        times: Number of times that it is done where nobody says.
        case: Function of a folder, random numbers and the number of the case; raises where it does not end as it must.
        is_quick: Whether a case takes less than a second.
        why_not: Function that says why it cannot be done here; empty where it can.
    """

    what: str
    times: int
    case: Callable[[Path, random.Random, int], None]
    is_quick: bool = False
    why_not: Callable[[], str] = anywhere


@dataclass(frozen=True)
class Batch:
    """Which cases of a row are done.

    Attributes:
        first: Number of the first.
        times: How many there are.
        seed: Seed of all of them.
        seconds: Wall time after which no other case is begun.
    """

    first: int
    times: int
    seed: int
    seconds: float


def done(name: str, row: Row, batch: Batch) -> int:
    """Does cases of a row and prints its line; how many did not end as they must."""
    reason = row.why_not()
    if reason:
        print(f"{name:<9} {row.what:<72} not here: {reason}", flush=True)
        return 0
    began, count, failed = time.monotonic(), 0, 0
    for number in range(batch.first, batch.first + batch.times):
        if time.monotonic() - began > batch.seconds:
            break
        folder = Path(tempfile.mkdtemp(prefix=f"torture-{name}-"))
        try:
            row.case(folder, random.Random(f"{name} {batch.seed} {number}"), number)
        except Exception as error:
            failed += 1
            said = f"{type(error).__name__}: {error}"
            print(f"{name} {number} (seed {batch.seed}): {said}; see {folder}", flush=True)
        else:
            shutil.rmtree(folder)
        count += 1
    took = time.monotonic() - began
    print(f"{name:<9} {row.what:<72} {count - failed:>4} of {count:<4} in {took:.0f} s", flush=True)
    return failed
