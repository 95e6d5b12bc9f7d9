"""``hpcpinn partition``: how a cell would be shared among ranks."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcpinn.wording import counted

if TYPE_CHECKING:
    from hpcpinn.systems.cell.partition import SharedCell

_MOST_ROWS = 16
"""Ranks up to which the table has a row for each."""


def partition(
    file: Annotated[str, typer.Argument(help="SWC file, or builtin:NAME.")],
    ranks: Annotated[int, typer.Option("-n", "--ranks", help="Number of ranks.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Where to draw the map; in results/ if left out.", metavar="PNG")
    ] = None,
    soma: Annotated[str, typer.Option(help="How the soma is read: neuron, arbor, literal.")] = "neuron",
    units: Annotated[str, typer.Option(help="Unit of the file: auto, um, nm, mm, 8nm, ...", metavar="UNIT")] = "auto",
) -> None:
    """Shows how a cell is shared among ranks.

    Balance, cuts, and a map.
    """
    from hpcpinn.morphology.meshes import morphology_path
    from hpcpinn.report.places import check_picture
    from hpcpinn.systems.cell.build.geometry import cut_cell
    from hpcpinn.systems.cell.config.reading import load_config
    from hpcpinn.systems.cell.partition import share_pieces

    given = {"file": file, "soma": soma, "units": units}
    overrides = [
        (value if key == "file" else f"--{key} {value}", f"morphology.{key}={json.dumps(value, ensure_ascii=False)}")
        for key, value in given.items()
    ]
    config = load_config(None, overrides)
    if picture is None and not as_json:
        picture = Path("results") / f"{Path(file.replace(':', '-')).stem}-{ranks}-ranks.png"
    if picture is not None:
        check_picture(picture, {"the morphology file": morphology_path(file)})
    pieces, warnings = cut_cell(config.morphology, config.pieces)
    cell = share_pieces(pieces, ranks)
    for warning in warnings:
        print(f"hpcpinn: warning: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps(cell.figures()))
    else:
        _print_table(cell)
    if picture is not None:
        _draw(cell, picture, title=f"{Path(file).name} on {counted(ranks, 'rank')}")
        if not as_json:
            print(f"map: {picture}")


def _print_table(cell: "SharedCell") -> None:
    from rich.console import Console
    from rich.table import Table

    figures: dict[str, Any] = cell.figures()
    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("rank", "pieces", "length um", "of the mean"):
        table.add_column(heading, justify="right")
    mean = figures["pieces"] / figures["ranks"]
    rows = list(enumerate(zip(figures["pieces_per_rank"], figures["length_um_per_rank"], strict=True)))
    for rank, (pieces, length) in rows[:_MOST_ROWS]:
        table.add_row(str(rank), str(pieces), f"{length:.1f}", f"{pieces / mean:.3f}")
    console.print(table)
    if len(rows) > _MOST_ROWS:
        console.print(f"... and {len(rows) - _MOST_ROWS} more ranks")
    console.print(
        f"{counted(figures['ranks'], 'rank')}, imbalance {figures['imbalance']:.3f} (largest share over the mean), "
        f"{counted(figures['subdomains'], 'connected subdomain')}",
        soft_wrap=True,
    )
    console.print(
        f"{counted(figures['cuts'], 'cut')} (places where ranks meet), "
        f"{counted(figures['interfaces'], 'interface')} (pairs of ranks that exchange traces)",
        soft_wrap=True,
    )
    if figures["subdomains"] > figures["ranks"]:
        console.print(
            f"some ranks own a second subdomain: with one connected share each, no partition of this tree "
            f"has an imbalance below {figures['connected_imbalance']:.3f}",
            soft_wrap=True,
        )
    if cell.n_pieces_of_run < figures["pieces"]:
        console.print(
            f"pieces cut finer to share them evenly: {cell.n_pieces_of_run} -> {figures['pieces']}; "
            "a run does so only where ranks outnumber pieces",
            soft_wrap=True,
        )


def _draw(cell: "SharedCell", picture: Path, title: str) -> None:
    from hpcpinn.systems.cell.pictures.cell_outline import round_soma
    from hpcpinn.systems.cell.pictures.partition_map import draw_partition

    cable, shares = cell.cable, cell.partition
    ends = cable.node.ravel()
    first = [int((ends == node).argmax()) for node in shares.cut_nodes]
    draw_partition(
        picture,
        xyz=cable.xyz,
        radius=cable.radius,
        owner=shares.owner,
        soma=round_soma(cable),
        cuts=cable.xyz.reshape(-1, 3)[first],
        neighbours=shares.neighbours,
        title=title,
    )
