"""What came of a run of cells, in plain words: what fired, how high calcium rose, and whether that can be.

Facts are computed from arrays into frozen dataclasses, which are the entry ``verdict`` of a run's metrics;
`lines_of_cells` makes sentences of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Num
from numpy import ndarray

from hpcpinn.io.below_zero import below_zero
from hpcpinn.io.extremes import Peak, peaks
from hpcpinn.physics.constants import CALCIUM
from hpcpinn.systems.cell.run_spec import RunSpec
from hpcpinn.systems.common.verdict import Accuracy, Verdict, lines_of, verdict_in
from hpcpinn.timestepping.firing import Rises
from hpcpinn.wording import biology, counted, listed

_NAMED = 4
"""Members of a population that are named one by one."""


@dataclass(frozen=True)
class Firing:
    """Action potentials of one cell: how often the voltage rose above 0 mV, outside pulses.

    Attributes:
        known: Whether there was a voltage to look at, all the time.
        why: Reason why there was no voltage to look at, where there was none.
        site: Place where they were counted: the soma, or the place nearest to the root.
        count: Number of action potentials at that place.
        first: Time at which anything fired first, anywhere, ms; None where nothing did.
        first_site: Place that fired first.
        most: The most at any place.
        sites: Number of places with any.
        places: Number of places that were looked at.
    """

    known: bool = False
    why: str = "nothing: the voltage is held"
    site: str = ""
    count: int = 0
    first: float | None = None
    first_site: str = ""
    most: int = 0
    sites: int = 0
    places: int = 0

    @property
    def any(self) -> bool:
        """Whether anything fired."""
        return self.most > 0


@dataclass(frozen=True)
class CellVerdict:
    """One cell of a run.

    Attributes:
        name: Name of a member of a population; empty where there is one cell.
        firing: Action potentials of the cell.
        calcium: How high calcium rose; None where nothing was written.
    """

    name: str
    firing: Firing
    calcium: Peak | None


@dataclass(frozen=True)
class CellsVerdict(Verdict):
    """What came of a run of one cell or several.

    Attributes:
        cells: One entry per member.
        field: Peak of the uniform field, V/m; None without one, or where members differ in it.
    """

    cells: tuple[CellVerdict, ...] = ()
    field: float | None = None


def held(voltage: float) -> Firing:
    """Nothing fires where the voltage is the same all the time, mV."""
    return Firing(why=f"nothing: the voltage is held at {voltage:g} mV")


def firing_of(
    found: Rises, name: Callable[[int], str], kinds: Int[ndarray, " P"], distance: Num[ndarray, " P"], soma: int = 1
) -> Firing:
    """What fired in a cell.

    Args:
        found: Action potentials by place.
        name: Function that names a place by its number.
        kinds: SWC types of the places.
        distance: Distance of every place from the root, or what grows with it: where there is no soma, they are
            counted at the nearest place.
        soma: SWC type of the soma.
    """
    if np.isnan(found.first).any():
        return Firing(why="not known: the run went on from a checkpoint that does not say what had fired before")
    in_soma = np.flatnonzero(kinds == soma)
    at = int(in_soma[len(in_soma) // 2]) if len(in_soma) else int(np.argmin(distance))
    earliest = int(np.argmin(found.first))
    fired = bool(found.count.any())
    return Firing(
        known=True,
        why="",
        site=_short(name(at)),
        count=int(found.count[at]),
        first=float(found.first[earliest]) if fired else None,
        first_site=_short(name(earliest)) if fired else "",
        most=int(found.count.max()),
        sites=int(np.count_nonzero(found.count)),
        places=len(kinds),
    )


def _short(site: str) -> str:
    """A place to three digits: compartments lie at such as 0.00980392."""
    return re.sub(r"\((\d*\.\d{4,})\)", lambda found: f"({float(found[1]):.3g})", site)


def cells_verdict_in(metrics: Mapping[str, Any]) -> CellsVerdict | None:
    """The verdict among the metrics of a run; None where there is none, or it is another version's."""
    stored, general = metrics.get("verdict"), verdict_in(metrics)
    try:
        return None if stored is None or general is None else CellsVerdict(
            accuracy=general.accuracy,
            left=general.left,
            impossible=general.impossible,
            cells=tuple(
                CellVerdict(
                    cell["name"], Firing(**cell["firing"]), None if cell["calcium"] is None else Peak(**cell["calcium"])
                )
                for cell in stored["cells"]
            ),
            field=stored["field"],
        )  # fmt: skip
    except (KeyError, TypeError):
        return None


def cells_of(path: str | Path, names: Sequence[str], firing: Sequence[Firing]) -> tuple[CellVerdict, ...]:
    """What came of every cell, with its calcium read from the finished result. Serial.

    Raises:
        InputError: The file is no result.
    """
    rises: Sequence[Peak | None] = peaks(path, CALCIUM) or [None] * len(firing)
    named = names or [""] * len(firing)
    return tuple(CellVerdict(*one) for one in zip(named, firing, rises, strict=True))


def impossible_in(result: Path, spec: RunSpec) -> tuple[str, ...]:
    """What a finished result holds that no cell could. Serial.

    Args:
        result: The result file.
        spec: What the run keeps of its description.

    Raises:
        InputError: The file is no result.
    """
    if spec.may_drain:
        return ()  # known to drain the cell, and asked for by name
    check = "check sign and size of what takes it out: flux.value, voltage, physics.constants"
    return tuple(f"{negative.words(*spec.units)}; {check}" for negative in below_zero(result))


def lines_of_cells(
    verdict: CellsVerdict, search: str = "", unit: str = "ms", concentration: str = "uM"
) -> list[tuple[str, str]]:
    """The verdict as sentences with what they are about.

    Args:
        verdict: The facts.
        search: What follows ``hpcpinn threshold`` for this run; empty where its job is not known.
        unit: Unit of time; empty in a dimensionless run.
        concentration: Unit of calcium; empty in a dimensionless run.
    """
    one = verdict.cells[0] if len(verdict.cells) == 1 else None
    lines = []
    if one is not None:
        lines.append(("fired", _fired(one.firing, verdict.field, search)))
        lines.append(("calcium", _rose(one.calcium, unit, concentration)))
    elif verdict.cells:
        lines.append(("fired", _fired_members(verdict, search)))
        lines.append(("calcium", _rose_members(verdict.cells, unit, concentration)))
    return lines + lines_of(verdict, lambda accuracy: judgement(accuracy, verdict.cells, concentration))


def judgement(accuracy: Accuracy, cells: Sequence[CellVerdict], concentration: str = "uM") -> str:
    """An error of calcium's change against its tolerance, in words; no warning where nothing changes.

    Args:
        accuracy: The error, relative to calcium's distance from rest.
        cells: Cells of the run.
        concentration: Unit of calcium; empty in a dimensionless run.
    """
    peaks = [cell.calcium for cell in cells if cell.calcium is not None]
    if accuracy.passes or not peaks or not all(peak.is_at_rest for peak in peaks):
        return accuracy.words
    most = max(peak.moved or 0.0 for peak in peaks)
    moves = f"moves by at most {most:.2g} {concentration}".rstrip()
    return f"calcium stays at rest ({moves}): its error is relative to next to nothing"


def _fired(firing: Firing, field: float | None, search: str) -> str:
    if not firing.known:
        return firing.why
    if not firing.any:
        at_field = f" at a field of {field:g} V/m" if field is not None else ""
        advice = f"; {_finds(search)} it" if field is not None else ""
        return f"nothing: no action potential at any of {counted(firing.places, 'place')}{at_field}{advice}"
    assert firing.first is not None
    first = f"first at {biology(firing.first)} at {firing.first_site}"
    everywhere = f"in {firing.sites} of {counted(firing.places, 'place')}"
    if not firing.count:
        most = counted(firing.most, "action potential")
        return f"not {firing.site}, but up to {most} elsewhere; {first}, {everywhere}"
    return f"{counted(firing.count, 'action potential')} at {firing.site}; {first}, {everywhere}"


def _finds(search: str) -> str:
    """``hpcpinn threshold my.toml finds the weakest field that fires``."""
    command = f"hpcpinn threshold {search}" if search else "hpcpinn threshold, given the job of the run,"
    return f"{command} finds the weakest field that fires"


def _fired_members(verdict: CellsVerdict, search: str) -> str:
    cells = verdict.cells
    firing = [cell for cell in cells if cell.firing.any]
    silent = [cell.name for cell in cells if not cell.firing.any]
    if not any(cell.firing.known for cell in cells):
        return cells[0].firing.why
    at_field = f" at a field of {verdict.field:g} V/m" if verdict.field is not None else ""
    if not firing:
        return f"none of {len(cells)} members{at_field}; {_finds(search)} one"
    counts = [
        f"{cell.name}: {counted(cell.firing.count, 'action potential')} at {cell.firing.site}"
        if cell.firing.count
        else f"{cell.name}: up to {counted(cell.firing.most, 'action potential')}, but not at {cell.firing.site}"
        for cell in firing
    ]
    said = f"{len(firing)} of {len(cells)} members{at_field} ({_semicolons(counts)})"
    return f"{said}; not {listed(silent, _NAMED)}" if silent else said


def _semicolons(parts: Sequence[str]) -> str:
    more = [f"{len(parts) - _NAMED} more"] if len(parts) > _NAMED else []
    return "; ".join([*parts[:_NAMED], *more])


def moment(time: float, unit: str) -> str:
    """A user time in words; `unit` as results have it, empty for none."""
    return biology(time) if unit == "ms" else f"{time:.4g} {unit}".rstrip()


def _rose(peak: Peak | None, unit: str, concentration: str) -> str:
    if peak is None:
        return "nothing was written of it"
    if peak.is_at_rest:
        moves = f"moves by at most {peak.moved or 0.0:.2g} {concentration}".rstrip()
        return f"stays at rest: {moves} (by {peak.looked})"
    if not peak.rise > 0.0:
        return f"nowhere above where it began (by {peak.looked})"
    rise = f"{peak.rise:.3g} {concentration}".rstrip()
    seen, how = _seen(peak, unit)
    return f"{seen} {rise} above rest, at {moment(peak.time, unit)} at {peak.site} ({how})"


def _seen(peak: Peak, unit: str) -> tuple[str, str]:
    """How sure the highest is, and what saw it: between frames, the cell is seen by probes alone."""
    frames, probes = peak.frames_every, peak.probes_every
    if frames is None or (probes is not None and frames <= probes * (1.0 + 1e-6)):
        return "up to", f"by {peak.looked}"
    if probes is None:
        return "highest seen", f"frames every {moment(frames, unit)}"
    if not peak.by_probe:
        return "highest seen", f"frames every {moment(frames, unit)}, probes every {moment(probes, unit)}"
    of_cell = f"frames of the whole cell every {moment(frames, unit)} may miss more elsewhere"
    return "highest seen", f"probe, every {moment(probes, unit)}; {of_cell}"


def _rose_members(cells: Sequence[CellVerdict], unit: str, concentration: str) -> str:
    ordered = sorted((c for c in cells if c.calcium is not None), key=lambda c: c.calcium.rise)  # type: ignore[union-attr]
    if not ordered:
        return "nothing was written of it"
    least, most = ordered[0], ordered[-1]
    assert least.calcium is not None
    said = f"most in {most.name}: {_rose(most.calcium, unit, concentration)}"
    return f"{said}; least in {least.name}: up to {least.calcium.rise:.3g} {concentration}".rstrip()
