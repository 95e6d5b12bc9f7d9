"""``hpcpinn inspect``: what is in a morphology file."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.errors import InputError, OutputError, concerning
from hpcpinn.wording import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hpcpinn.systems.cell.inspection import Inspection

_MOST_REPAIRS = 8
"""Repairs that are listed one by one; ``--json`` gives all."""


def inspect(
    file: Annotated[str, typer.Argument(help="SWC file, or builtin:NAME.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    soma: Annotated[str, typer.Option(help="How the soma is read: neuron, arbor, literal.")] = "neuron",
    units: Annotated[str, typer.Option(help="Unit of the file: auto, um, nm, mm, 8nm, ...", metavar="UNIT")] = "auto",
    picture: Annotated[
        Path | None, typer.Option(help="Where to draw the cell; in results/ if left out.", metavar="PNG")
    ] = None,
) -> None:
    """Says what is in a morphology file.

    Counts, lengths, areas, repairs, and a picture of the cell.
    """
    from hpcpinn.morphology.soma import SOMA_MODES
    from hpcpinn.systems.cell.inspection import inspect as look_at
    from hpcpinn.units import length_per_unit

    if soma not in SOMA_MODES:
        raise InputError(f"--soma {soma}: '{soma}' is no way to read a soma; use one of {', '.join(SOMA_MODES)}")
    if units != "auto":
        with concerning(f"--units {units}"):
            length_per_unit(units)
    if picture is not None:
        from hpcpinn.morphology.meshes import morphology_path
        from hpcpinn.report.places import check_picture

        check_picture(picture, {"the morphology file": morphology_path(file)})
    cell = look_at(file, soma=soma, units=units)
    for warning in cell.tree.warnings:
        print(f"hpcpinn: warning: {cell.tree.path}: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps(cell.figures()))
    else:
        _print_report(cell)
    if picture is not None:
        _draw(cell, picture)
    elif not as_json:
        _draw_if_possible(cell, Path("results") / f"{Path(cell.tree.path).stem}.png")
    if not as_json:
        print(f"next: hpcpinn run {run_arguments(file, soma, units)}")


def run_arguments(file: str, soma: str, units: str) -> str:
    """What follows ``hpcpinn run`` for a cell as it was looked at, quoted for the shell.

    Args:
        file: Name of the file as it was typed.
        soma: Value of ``--soma`` as it was typed.
        units: Value of ``--units`` as it was typed.
    """
    words = [file]
    words += [] if units == "auto" else ["--units", units]
    words += [] if soma == "neuron" else ["--set", f"morphology.soma={soma}"]
    return shlex.join(words)


def _draw(cell: "Inspection", picture: Path) -> None:
    import numpy as np

    from hpcpinn.systems.cell.pictures.cell_outline import draw_cell

    repaired = [repair.swc_id for repair in cell.tree.repairs if repair.swc_id >= 0]
    marks = cell.tree.xyz[np.isin(cell.tree.id, repaired)]
    draw_cell(picture, cell.cable, title=Path(cell.tree.path).name, marks=marks)


def _draw_if_possible(cell: "Inspection", picture: Path) -> None:
    """A picture nobody asked for by name is no reason to fail."""
    try:
        _draw(cell, picture)
        print(f"picture: {picture}")
    except OutputError as error:
        print(f"hpcpinn: warning: {error}; choose another place with --picture", file=sys.stderr)


def _print_report(cell: "Inspection") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    figures = cell.figures()
    console.print(
        f"{cell.tree.path}: {counted(figures['points'], 'point')}, {counted(figures['sections'], 'section')}, "
        f"{counted(figures['branch_points'], 'branch point')}, read in {figures['units']}",
        markup=False,
    )
    console.print(
        f"length {figures['length_um']:.1f} um, area {figures['area_um2']:.1f} um2, "
        f"volume {figures['volume_um3']:.1f} um3"
    )
    console.print(f"soma: {figures['soma']}")
    _print_whole(_table(cell), console)
    if any(row.kind == "soma" and row.length > 0.0 for row in cell.by_kind()):
        console.print("the length at the top is that of all rows but the soma's")
    console.print(f"as a run takes it: {cell.merged.n_frusta} frusta of {cell.cable.n_frusta}")
    for change in cell.merging:
        console.print(f"  {change}", markup=False)
    _print_repairs(cell, console)


def _print_whole(table: "Table", console: "Console") -> None:
    """Prints a table in its full width: a terminal may break its lines, but no figure is cut short."""
    from rich.console import Console
    from rich.measure import Measurement

    wide = Measurement.get(console, console.options.update(max_width=1000), table).maximum
    Console(width=max(wide, console.width), highlight=False, markup=False).print(table)


def _table(cell: "Inspection") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("type", no_wrap=True)
    for heading in ("points", "sections", "length um", "area um2", "volume um3", "radius um"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in cell.by_kind():
        table.add_row(
            row.kind,
            str(row.points),
            "-" if row.kind == "soma" else str(row.sections),
            *(f"{value:.1f}" for value in (row.length, row.area, row.volume)),
            "-" if row.radius is None else "{:.3g} to {:.3g}".format(*row.radius),
        )
    if cell.gaps > 0.05:
        table.add_row("gaps at soma", "-", "-", f"{cell.gaps:.1f}", "-", "-", "-")
    return table


def _print_repairs(cell: "Inspection", console: "Console") -> None:
    repairs = cell.tree.repairs
    if not repairs:
        console.print("repairs: none needed")
        return
    console.print(f"repairs: {len(repairs)}")
    for repair in repairs[:_MOST_REPAIRS]:
        console.print(f"  {repair}", markup=False)
    if len(repairs) > _MOST_REPAIRS:
        console.print(f"  ... and {len(repairs) - _MOST_REPAIRS} more; --json lists all")
