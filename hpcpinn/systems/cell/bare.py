"""Cells in the place of a whole job: an SWC file, a bundled cell, or a graph in Python."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcpinn.config.jobs import DEFAULT
from hpcpinn.morphology.meshes import PREFIX, builtin_names

if TYPE_CHECKING:
    from hpcpinn.systems.cell.cell import Cell


class BareCell:
    """How a cell is taken for a whole job (`hpcpinn.core.front.Bare`)."""

    kind = "a cell"
    key = "morphology.file"
    base = DEFAULT
    accepted = f"for a cell give the path of an SWC file, {PREFIX}NAME or a networkx graph"

    def is_one(self, typed: Path) -> bool:
        """Whether an SWC file (there or not) or a bundled cell was typed."""
        if str(typed).startswith(PREFIX) or typed.suffix.lower() == ".swc":
            return True
        return typed.suffix.lower() != ".toml" and typed.is_file() and _reads_as_swc(typed)

    def part(self, given: Any) -> "Cell | None":
        """The cell of a graph or of a file, which need not be there; None for a bare word that names no cell."""
        from hpcpinn.systems.cell.cell import Cell

        if isinstance(given, str) and given.isidentifier():
            return Cell(given) if given in builtin_names() or Path(given).exists() else None
        is_graph = hasattr(given, "nodes") and hasattr(given, "edges")
        return Cell(given) if is_graph or isinstance(given, (str, os.PathLike)) else None


BARE = BareCell()


def _reads_as_swc(file: Path) -> bool:
    """Whether the first line that is no comment holds the seven numbers of a point."""
    try:
        with file.open("rb") as stream:
            lines = stream.read(65536).decode("ascii", errors="replace").splitlines()
        point = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
        return len([float(word) for word in point.split("#")[0].replace(",", " ").split()]) >= 7
    except (OSError, ValueError):
        return False
