"""Whether a system that others bring, and what it builds, is what `hpcpinn.core.system` says: told at once, by name."""

import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcpinn.errors import InputError

if TYPE_CHECKING:
    from hpcpinn.core.system import Attempt, Problem, System
    from hpcpinn.io.geometry import Geometry, ProbePoint
    from hpcpinn.parallel.communicator import Communicator

PROTOCOL = "see hpcpinn.core.system and docs/extend.md"
"""Where a person reads what is missing."""

OF_PROBLEM = ("fields", "geometry", "rule", "stops", "times", "start", "attempt", "observe", "pack", "unpack")
"""Members without which nothing can be marched and written."""


def check_system(system: Any, place: str) -> None:
    """Refuses what is no system.

    Args:
        system: What was brought.
        place: Place where it comes from, for messages.

    Raises:
        InputError: It is a class, or a member is missing or is something else.
    """
    if isinstance(system, type):
        raise InputError(f"{place}: SYSTEM is the class {system.__name__}; write SYSTEM = {system.__name__}()")
    wrong = next(iter(_wrong_of_system(system)), None)
    if wrong is not None:
        raise InputError(f"{place}: the system ({type(system).__name__}) {wrong}; {PROTOCOL}")


def _wrong_of_system(system: Any) -> Iterable[str]:
    from hpcpinn.config.values import Description

    missing = [name for name in ("name", "summary", "tables", "build") if not hasattr(system, name)]
    if missing:
        yield f"has no {', '.join(missing)}"
        return
    for name in ("name", "summary"):
        given = getattr(system, name)
        if not (isinstance(given, str) and given.strip()):
            yield f"has {name} = {given!r}, which is no text"
    tables = system.tables
    if not (isinstance(tables, type) and issubclass(tables, Description)):
        yield f"has tables = {tables!r}, which is no class of hpcpinn.config.values.Description"
    elif "run" not in tables.model_fields:
        yield "has tables without run, such as run: RunTable = RunTable() (hpcpinn.config.shared)"
    if not callable(system.build):
        yield f"has build = {system.build!r}, which cannot be called"


def built(system: "System", described: Any, communicator: "Communicator") -> "Problem":
    """The problem that a description means, if it is one. Collective over all ranks.

    Raises:
        InputError: A member is missing or is something else; or the system refuses the description.
    """
    problem = system.build(described, communicator)
    wrong = next(iter(_wrong_of_problem(problem)), None)
    error = None if wrong is None else InputError(f"{blamed(system, problem)} {wrong}; {PROTOCOL}")
    communicator.agree(error)
    return problem


def blamed(system: "System", problem: Any) -> str:
    """What the system built, and where that is written, at the beginning of a message."""
    kind = type(problem)
    module = sys.modules.get(kind.__module__)
    place = getattr(module, "__file__", None) or kind.__module__
    return f"{place}: the problem of the system {system.name!r} ({kind.__name__})"


def _wrong_of_problem(problem: Any) -> Iterable[str]:
    from hpcpinn.io.geometry import Geometry
    from hpcpinn.io.schema import Variable
    from hpcpinn.marching.controller import WindowRule

    # a property of the class is not asked here: what it raises would pass for a member that is missing
    missing = [name for name in OF_PROBLEM if not (hasattr(type(problem), name) or hasattr(problem, name))]
    if missing:
        yield f"has no {', '.join(missing)}"
        return
    fields = problem.fields
    if not (isinstance(fields, tuple | list) and fields and all(isinstance(one, Variable) for one in fields)):
        yield f"has fields = {fields!r}, which are not hpcpinn.io.schema.Variable, one or more"
        return
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        yield f"has two fields of one name: {', '.join(names)}"
    if not isinstance(problem.geometry, Geometry):
        yield f"has geometry = {problem.geometry!r}, which is none of hpcpinn.io.geometry"
    if not isinstance(problem.rule, WindowRule):
        yield f"has rule = {problem.rule!r}, which is no hpcpinn.marching.controller.WindowRule"
        return
    stops = np.asarray(problem.stops, float)
    if stops.ndim != 1 or not (np.diff(stops, prepend=0.0) > 0.0).all():
        yield f"has stops = {stops}, which are no times after 0 that increase"
        return
    yield from _wrong_times(problem, "times")
    if getattr(problem, "probes", ()):
        needed = ("sample_times",) if hasattr(problem, "record") else ("sample_times", "sample")
        missing = [name for name in needed if not hasattr(problem, name)]
        if missing:
            yield f"has probes and no {', '.join(missing)}"
            return
        yield from _wrong_times(problem, "sample_times")
        yield from _wrong_probes(problem.geometry, problem.probes)


def _wrong_probes(geometry: "Geometry", probes: Iterable[Any]) -> Iterable[str]:
    from hpcpinn.io.geometry import Points, ProbePoint, ProbeSite, Tree

    if isinstance(geometry, Points):
        yield "has probes on Points, which are written as they are; leave probes out and let times be as fine as needed"
        return
    wanted = ProbeSite if isinstance(geometry, Tree) else ProbePoint
    for probe in probes:
        if not isinstance(probe, wanted):
            yield f"has the probe {probe!r} on a {geometry.kind}, where a hpcpinn.io.geometry.{wanted.__name__} belongs"
        elif isinstance(probe, ProbePoint):
            yield from _wrong_point(geometry, probe)
        elif isinstance(geometry, Tree) and probe.piece not in range(geometry.cable.n_frusta):
            yield (
                f"has the probe {probe.name!r} on piece {probe.piece!r} of a tree of {geometry.cable.n_frusta}; "
                f"let it be a whole number from 0 to {geometry.cable.n_frusta - 1}"
            )
        elif not -1e-9 <= probe.fraction <= 1.0 + 1e-9:
            yield f"has the probe {probe.name!r} at fraction {probe.fraction:g} of its piece; let it be from 0 to 1"


def _wrong_point(geometry: "Geometry", probe: "ProbePoint") -> Iterable[str]:
    axes = tuple(reversed(geometry.axes))
    if np.shape(probe.at) != (len(axes),):
        yield f"has the probe {probe.name!r} at {probe.at}; let it be ({', '.join(axes)}{',' * (len(axes) == 1)}) in µm"
        return
    for name, place in zip(axes, probe.at, strict=True):
        line = np.asarray(getattr(geometry, name), float)
        half = 0.5 * float(np.max(np.abs(np.diff(line)), initial=0.0))  # middles of cells, as `nearest` has them
        least, most = float(line.min()) - half, float(line.max()) + half
        if len(line) > 1 and not least - 1e-9 * abs(least) <= place <= most + 1e-9 * abs(most):
            yield (
                f"has the probe {probe.name!r} at {name} = {place:g}, outside of its {geometry.kind} "
                f"from {least:g} to {most:g}"
            )


def _wrong_times(problem: "Problem", name: str) -> Iterable[str]:
    rule, times = problem.rule, np.asarray(getattr(problem, name), float)
    end = rule.since + float(np.asarray(problem.stops)[-1:].sum()) / rule.unit
    late = 1e-8 * max(abs(end), abs(end - rule.since))
    if times.ndim != 1 or not len(times) or not (np.diff(times) > 0.0).all():
        yield f"has {name} = {times}, which are no times that increase"
    elif abs(times[0] - rule.since) > late and name == "times":
        yield f"has times that begin at {times[0]:g}; let the first be {rule.since:g}, where the run begins"
    elif times[-1] > end + late:
        yield f"has {name} up to {times[-1]:g}, beyond the end of the run at {end:g} (stops)"


def check_begun(who: str, state: Any, resumed: bool) -> None:
    """Refuses a state that does not know where it is, or begins elsewhere than at 0.

    Args:
        who: What made it, as `blamed` says it.
        state: State at which the march begins.
        resumed: Whether it comes from a checkpoint.

    Raises:
        InputError: As above; on all ranks, as they have the same time.
    """
    member = "unpack" if resumed else "start"
    time = _time(who, member, state)
    if not resumed and time != 0.0:
        raise InputError(f"{who} has a start at time = {time:g}; let it be 0 (a run from later has rule.since)")


def check_after(who: str, begin: float, attempt: "Attempt[Any, Any]") -> None:
    """Refuses an accepted window whose end is not where its length says.

    Args:
        who: What solved it, as `blamed` says it.
        begin: Internal time of its start.
        attempt: The window.

    Raises:
        InputError: As above; on all ranks, as they have the same time.
    """
    time, end = _time(who, "attempt (after)", attempt.after), begin + attempt.length
    if not abs(time - end) <= 1e-9 * max(abs(end), abs(attempt.length)):
        raise InputError(
            f"{who} has an attempt from {begin:g} of length {attempt.length:g} with after.time = {time:g}; "
            f"let it be {end:g}"
        )


def _time(who: str, member: str, state: Any) -> float:
    try:
        return float(state.time)
    except (AttributeError, TypeError, ValueError):
        raise InputError(
            f"{who} gives with {member} a {type(state).__name__} without a number time; {PROTOCOL}"
        ) from None


def wrong_frames(values: Any, names: Iterable[str], count: int, size: int) -> str | None:
    """What is wrong with frames by field, in words that follow ``observe gives``; None where nothing is.

    Args:
        values: Values by name of the field.
        names: Names of the fields.
        count: Number of times.
        size: Number of values of a field at a time.
    """
    if not isinstance(values, Mapping):
        return f"{type(values).__name__}, not values by name of the field"
    for name in values:
        if name not in names:
            return f"{name!r}, which is none of the fields {', '.join(names)}"
    for name, of_field in values.items():
        shape = np.shape(of_field)
        if not shape or shape[0] != count or math.prod(shape) != count * size:
            return (
                f"{name!r} of shape {shape}; let it have a row for each of {count} times, with {size} values in a row"
            )
    return None


def no_number(times: Any, values: Mapping[str, Any], inside: Any = None) -> str | None:
    """What is not finite in frames whose shapes are right, in words that follow ``observe gives``; None: nothing.

    Args:
        times: User times of the frames, (n,).
        values: Values by name of the field, a row for each time.
        inside: Values of a row that count, booleans; None: all. NaN outside the mask of a box says: nothing here.
    """
    for name, of_field in values.items():
        if not np.size(of_field):
            continue
        rows = np.isfinite(np.reshape(of_field, (len(times), -1)))
        fine = (rows if inside is None else rows[:, inside]).all(axis=1)
        if not fine.all():
            return f"{name!r} with a value that is not finite at time {times[int(np.argmin(fine))]:g}"
    return None
