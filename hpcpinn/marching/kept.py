"""Whether a checkpoint holds all that the next window depends on: it is read again once."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcpinn.core.system import Attempt, Packed
from hpcpinn.errors import InputError
from hpcpinn.marching.checkpoints import Q, Reached, state_in
from hpcpinn.marching.controller import next_length
from hpcpinn.marching.march import ROUNDING, Step, next_stop

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

_DEEPEST = 8
"""Levels of a state that are looked at; one that holds itself has no end."""


def check_kept(
    path: Path,
    communicator: "Communicator",
    reached: Reached[Q],
    settings: Mapping[str, str],
    who: str,
    last: Step[Q] | None = None,
) -> None:
    """Refuses a state that a checkpoint does not give back. Collective over all ranks.

    What is packed again must be the same to the last bit. A part of the state that comes back otherwise without being
    packed may be of no account: one window from both tells, the next one, and at the end of a run the last one again,
    or what is left of the only one when half of it is done.

    Args:
        path: The checkpoint, just written.
        communicator: All ranks.
        reached: State of the march, and what belongs to it.
        settings: Values that states depend on, as in `hpcpinn.marching.checkpoints.save`.
        who: Name of the system that packs, for messages.
        last: The window that led to the state; None where that is not known.

    Raises:
        InputError: On all ranks: something is lost.
    """
    problem, state = reached.problem, reached.state
    packed, error = problem.pack(state), None
    try:
        again = state_in(path, communicator, problem, settings)
        repacked = problem.pack(again)
    except Exception as raised:
        error = InputError(f"{who}: unpack cannot take what pack gives ({type(raised).__name__}: {raised})")
    communicator.agree(error)
    name = differing_name(packed, repacked)
    if name is not None:
        error = InputError(f"{who}: pack gives another {name!r} after unpack(pack(state)); let them keep every bit")
    communicator.agree(error)
    if state.time < problem.stops[-1] * (1.0 - ROUNDING):
        length = next_length(problem.rule, reached.plan, state.time, next_stop(problem.stops, state.time))
    elif last is not None:
        state, length = last.before, last.attempt.length
        if not last.number:  # a start may have by itself what a pack loses: the second half of the only window
            half = problem.attempt(state, 0.5 * length, None)
            state, length = half.after, length - half.length
        again = problem.unpack(problem.pack(state))
    else:
        return
    lost = next((place for place in communicator.share(differing_place(state, again)) if place is not None), None)
    if lost is None:
        return
    one, other = problem.attempt(state, length, None), problem.attempt(again, length, None)
    if not _same_window(problem, one, other):
        error = InputError(
            f"{who}: pack loses {lost.removeprefix('.') or 'something'} of a state, on which the next window depends: "
            "a run that is killed could not go on; let pack keep it"
        )
    communicator.agree(error)


def differing_name(one: Packed, other: Packed) -> str | None:
    """Name of an entry that is not the same to the last bit, or that only one has; None where all are."""
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]]
    pairs = [(one.arrays, other.arrays), (one.scalars, other.scalars)]
    for mine, theirs in pairs:
        for name in [*mine, *theirs]:
            if name not in mine or name not in theirs or not _same(mine[name], theirs[name]):
                return name
    return None


def not_finite(packed: Packed) -> str | None:
    """Name of an entry with a number that is not finite; None where all are."""
    packings: list[Mapping[str, Any]] = [packed.scalars, packed.arrays]
    for name, value in (entry for packing in packings for entry in packing.items()):
        values = np.asarray(value)
        if values.dtype.kind in "fc" and not np.isfinite(values).all():
            return name
    return None


def differing_place(one: Any, other: Any, place: str = "", depth: int = 0) -> str | None:
    """Where two states differ, such as ``.cells[0].calcium``; None where nothing that can be compared does."""
    if one is other or depth > _DEEPEST or callable(one):
        return None
    if one is None or other is None or isinstance(one, str | bytes):
        is_same = type(one) is type(other) and bool(one == other)
        return None if is_same else place
    if isinstance(one, bool | int | float | complex | np.generic) or hasattr(one, "__array__"):
        return None if _same(one, other) else place
    if type(one) is not type(other):
        return place
    for name, mine, theirs in _parts(one, other):
        found = differing_place(mine, theirs, place + name, depth + 1)
        if found is not None:
            return found
    return None


def _parts(one: Any, other: Any) -> Iterable[tuple[str, Any, Any]]:
    """Parts of two objects of one type, with what is put behind the name of the whole."""
    if is_dataclass(one):
        names = [field.name for field in fields(one)]
    elif hasattr(one, "_fields"):
        names = list(one._fields)
    elif isinstance(one, Mapping):
        keys = [*one, *(key for key in other if key not in one)]
        return [(f"[{key!r}]", one.get(key), other.get(key)) for key in keys]
    elif isinstance(one, tuple | list):
        longest = max(len(one), len(other))
        padded = [[*values, *[None] * (longest - len(values))] for values in (one, other)]
        return [(f"[{number}]", *pair) for number, pair in enumerate(zip(*padded, strict=True))]
    else:
        names = list(getattr(one, "__dict__", {}))
    return [(f".{name}", getattr(one, name, None), getattr(other, name, None)) for name in names]


def _same(one: Any, other: Any) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "biufc" and a.dtype == b.dtype:
        return a.tobytes() == b.tobytes()
    return bool(np.array_equal(a, b))


def _same_window(problem: Any, one: Attempt[Any, Any], other: Attempt[Any, Any]) -> bool:
    return _same(one.error, other.error) and differing_name(problem.pack(one.after), problem.pack(other.after)) is None
