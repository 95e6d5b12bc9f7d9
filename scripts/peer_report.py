"""bench_peers.py's tables, what they say of the goal, and its picture."""

from dataclasses import dataclass, field
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COARSE = 1e-5
"""Tolerance of the truth and its check in a smoke run."""
TIMES_FASTER, LOOSE, TIGHT = 10.0, 1e-2, 1e-3
"""The goal: so many times as fast as the fastest peer with at most the first error, ourselves at most the second."""
OURS = "split windows"
PEERS = ("NEURON, fixed step", "NEURON, CVODE", "Arbor")
STYLES = {
    "split windows": ("C3", "o-"),
    "split windows, no motif reuse": ("C3", "o--"),
    "classical splitting": ("C1", "s-"),
    "finite volumes": ("C7", "^-"),
    "NEURON, fixed step": ("C0", "v-"),
    "NEURON, CVODE": ("C0", "D-"),
    "Arbor": ("C2", "P-"),
}


@dataclass(frozen=True)
class Row:
    """One program with one setting on one cell.

    Attributes:
        compartments: Of the cell.
        program, label: Which.
        biology: Seconds over which the error was measured.
        relative: L2 error of c − c_rest over tree and time.
        largest: Error over the excursion, outside the soma.
        seconds: Wall clock per second of biology; ours with the coarse windows, the error estimate, and frames kept
            every 10 ms.
        seconds_windows_alone: Ours only.
        setup: Seconds before the steady state: building, compiling, first periods.
        parts: Seconds per second of biology of every part by itself.
        solved: Periods of those whose voltage was solved and not reused.
        windows: Per period.
    """

    compartments: int
    program: str
    label: str
    biology: float
    relative: float
    largest: float
    seconds: float = float("nan")
    seconds_windows_alone: float | None = None
    setup: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    solved: int | None = None
    windows: int | None = None


def _number(value: float | None, form: str = ".3g") -> str:
    return "" if value is None else format(value, form)


def markdown(rows: list[Row]) -> str:
    """The table; times in seconds of wall clock per second of biology."""
    lines = [
        "| compartments | program | setting | s per s | windows alone | rel. L2 error | largest error | biology / s "
        "| set-up / s |",
        "|---:|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        cells = [
            str(r.compartments), r.program, r.label, _number(r.seconds), _number(r.seconds_windows_alone),
            f"{r.relative:.1e}", f"{r.largest:.1e}", f"{r.biology:g}", _number(r.setup, ".0f"),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def part_table(rows: list[Row]) -> str:
    """Where the time of our runs goes; every part in a compiled loop of its own, s per s of biology."""
    lines = ["Parts, s per s of biology (voltage and influx are spent in periods that are solved, not reused):"]
    for r in rows:
        if r.parts:
            each = ", ".join(f"{name} {seconds:.3g}" for name, seconds in r.parts.items())
            lines.append(f"- {r.compartments}, {r.program}, {r.label}: {each}")
    return "\n".join(lines)


def goals(rows: list[Row]) -> list[str]:
    """What the rows say of the goal, one line per cell and comparison."""
    said = []
    for compartments in sorted({r.compartments for r in rows}):
        here = [r for r in rows if r.compartments == compartments]
        mine = _fastest([r for r in here if r.program == OURS and "one core" not in r.label], TIGHT)
        for limit in (LOOSE, TIGHT):
            peer = _fastest([r for r in here if r.program in PEERS], limit)
            if mine is None or peer is None:
                who = "none of ours" if mine is None else "no peer"
                said.append(f"{compartments} compartments: {who} reaches {TIGHT if mine is None else limit:g}")
                continue
            ratio = peer.seconds / mine.seconds
            verdict = "reached" if ratio >= TIMES_FASTER else "missed"
            said.append(
                f"{compartments} compartments: {mine.label} {mine.seconds:.3g} s/s at {mine.relative:.1e}; fastest "
                f"peer at {limit:g} or better: {peer.program}, {peer.label}, {peer.seconds:.3g} s/s at "
                f"{peer.relative:.1e}: {ratio:.1f} times as fast ({TIMES_FASTER:g} is {verdict})"
            )
        for mapped in (r for r in here if r.program == OURS):
            same = [r for r in here if r.label == mapped.label]
            for other in same:
                if other.program != OURS:
                    ratio = other.seconds / mapped.seconds
                    said.append(f"{compartments} compartments, {mapped.label}: {other.program} takes {ratio:.2f} times "
                                f"as long, error {other.relative:.1e} against {mapped.relative:.1e}")  # fmt: skip
    return said


def _fastest(rows: list[Row], limit: float) -> Row | None:
    good = [r for r in rows if r.relative <= limit]
    return min(good, key=lambda r: r.seconds) if good else None


def draw(rows: list[Row], file: Path) -> None:
    """Error against time, one panel per cell."""
    sizes = sorted({r.compartments for r in rows})
    figure, axes = pyplot.subplots(1, len(sizes), figsize=(6.4 * len(sizes), 4.8), layout="constrained",
                                   sharey=True, squeeze=False)  # fmt: skip
    for panel, compartments in zip(axes[0], sizes, strict=True):
        for program, (colour, style) in STYLES.items():
            own = [
                r for r in rows
                if r.compartments == compartments and r.program == program and "one core" not in r.label
            ]  # fmt: skip
            own.sort(key=lambda r: r.relative)
            if own:
                panel.loglog(
                    [r.seconds for r in own], [r.relative for r in own], style, color=colour, markersize=5,
                    label=program,
                )  # fmt: skip
            for r in own if program in PEERS else ():
                panel.annotate(r.label.removeprefix("atol "), (r.seconds, r.relative), xytext=(5, 3),
                               textcoords="offset points", fontsize=6, color=colour)  # fmt: skip
        panel.axhline(TIGHT, color="0.6", linestyle=":", linewidth=0.8)
        panel.set(title=f"{compartments} compartments", xlabel="wall clock per second of biology (s)")
        panel.grid(alpha=0.2)
    axes[0, 0].set(ylabel="relative L2 error of calcium above rest")
    handles = {label: line for panel in axes[0] for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
