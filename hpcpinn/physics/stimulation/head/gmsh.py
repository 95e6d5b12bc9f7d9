"""Meshes of gmsh with what is given on them: format 2, which SimNIBS writes, is read here, format 4 by meshio.

meshio 5.3.5 reads no file of format 2 that has data on surfaces and volumes, as heads have (nschloe/meshio#1257), and
takes data by their order instead of their element's number. The formats: http://gmsh.info/doc/texinfo/gmsh.html.
"""

import contextlib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from hpcpinn.errors import InputError, lacking
from hpcpinn.files import check_regular

TRIANGLE, TETRAHEDRON = "triangle", "tetra"
"""Kinds of elements, in meshio's words."""

FARTHEST = 1e9
"""Of coordinates, in whatever unit; more come from a damaged file."""
_KINDS = {
    1: "line", 2: TRIANGLE, 3: "quad", 4: TETRAHEDRON, 5: "hexahedron", 6: "wedge", 7: "pyramid", 8: "line3",
    9: "triangle6", 10: "quad9", 11: "tetra10", 15: "vertex",
}  # fmt: skip
"""Kinds of elements by gmsh's number."""
_NODES_OF = {1: 2, 2: 3, 3: 4, 4: 4, 5: 8, 6: 6, 7: 5, 8: 3, 9: 6, 10: 9, 11: 10, 15: 1}
"""Nodes of an element of each."""
_MOST_TAGS, _MOST_COMPONENTS = 16, 9
"""Of what is given on a mesh; more come from a damaged file."""
_TAGS = ("gmsh:physical", "gmsh:geometrical")
"""Where meshio keeps the labels of elements; the first that tells anything counts."""


@dataclass(frozen=True)
class Elements:
    """Elements of one kind.

    Attributes:
        corners: Nodes of every element, by their row among the points.
        tags: Label of every element; 0 for none.
        data: What is given for the elements, by name; not a number where one has none.
    """

    corners: Int[ndarray, "n k"]
    tags: Int[ndarray, " n"]
    data: Mapping[str, Float[ndarray, "n d"]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class GmshMesh:
    """A mesh.

    Attributes:
        points: Positions of the nodes.
        elements: Elements by kind.
        data: What is given for the nodes, by name.
    """

    points: Float[ndarray, "nodes 3"]
    elements: Mapping[str, Elements]
    data: Mapping[str, Float[ndarray, "nodes d"]]


def read_gmsh(path: Path, what: str = "field") -> GmshMesh:
    """A mesh with what is given on it.

    Args:
        path: A gmsh file (.msh), of format 2 or 4, binary or ASCII.
        what: What the file is, for messages.

    Raises:
        InputError: There is none, it is no such file, damaged or cut short; or meshio is wanted and not installed.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a gmsh file (.msh)")
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such {what} file; give a gmsh file (.msh) as SimNIBS writes it")
    try:
        return _read(path)
    except PermissionError as error:
        raise InputError(f"{path}: {error.strerror}; make it readable") from None
    except MemoryError:
        raise InputError(f"{path}: does not fit into memory, or is damaged; crop it to the tissue") from None


def _read(path: Path) -> GmshMesh:
    with path.open("rb") as file:
        start = file.read(4096)
        before, _, after = start.partition(b"$MeshFormat")
        if not after or b"\0" in before:
            raise InputError(f"{path}: is no gmsh file: it does not begin with $MeshFormat; give SimNIBS's .msh")
        file.seek(max(0, os.path.getsize(path) - 256))
        if not re.search(rb"\$End\w+\s*$", file.read()):  # SimNIBS begins no line for it after binary numbers
            raise InputError(f"{path}: is cut short: its last line ends no section ($End...); copy or write it again")
        if after.split()[:1] and after.split()[0].split(b".")[0] == b"2":
            file.seek(0)
            return _Format2(path, file).mesh()
    return _by_meshio(path)


@dataclass
class _Format2:
    """A file of format 2 while it is read."""

    path: Path
    file: BinaryIO
    order: str = ""  # of bytes; empty in text

    def mesh(self) -> GmshMesh:
        points, node_number = np.zeros((0, 3)), np.zeros(0, int)
        elements: dict[int, tuple[ndarray, ndarray, ndarray]] = {}
        of_elements: dict[str, tuple[ndarray, ndarray]] = {}
        of_nodes: dict[str, tuple[ndarray, ndarray]] = {}
        while line := self.file.readline():
            section = line.strip().decode("ascii", "replace")
            if not section.startswith("$") or section.startswith("$End"):
                if section:
                    raise self._damaged(f"{section[:40]!r} where a section is to begin")
                continue
            match section[1:]:
                case "MeshFormat":
                    self._format()
                case "Nodes":
                    node_number, points = self._nodes()
                case "Elements":
                    elements = self._elements()
                case "ElementData":
                    name, numbers, values = self._data()
                    of_elements[name] = (numbers, values)
                case "NodeData":
                    name, numbers, values = self._data()
                    of_nodes[name] = (numbers, values)
            self._to_end(section[1:])
        made = {}
        for kind, (numbers, tags, nodes) in elements.items():
            rows = _rows(node_number, nodes)
            if (rows < 0).any():
                raise self._damaged(f"an element has the node {nodes[rows < 0][0]}, and there is none of that number")
            given = {name: _spread(own, values, numbers) for name, (own, values) in of_elements.items()}
            made[_KINDS[kind]] = Elements(rows, tags, given)
        return GmshMesh(points, made, {name: _spread(own, v, node_number) for name, (own, v) in of_nodes.items()})

    def _format(self) -> None:
        words = self.file.readline().split()
        if len(words) != 3 or words[1] not in (b"0", b"1") or (words[1] == b"1" and words[2] != b"8"):
            raise self._damaged("its $MeshFormat is not '2.2 0 8' or '2.2 1 8'")
        if words[1] == b"1":
            one = self.file.read(4)
            self.order = {b"\1\0\0\0": "<", b"\0\0\0\1": ">"}.get(one, "")
            if not self.order:
                raise self._damaged("its $MeshFormat says binary, and no order of bytes follows")

    def _nodes(self) -> tuple[Int[ndarray, " n"], Float[ndarray, "n 3"]]:
        count = self._count("nodes")
        if self.order:
            rows = self._binary([("number", f"{self.order}i4"), ("x", f"{self.order}f8", (3,))], count, "$Nodes")
            return rows["number"].astype(int), rows["x"].astype(float)
        table = self._numbers(count, 4, "$Nodes")
        return table[:, 0].astype(int), table[:, 1:]

    def _elements(self) -> dict[int, tuple[ndarray, ndarray, ndarray]]:
        """Numbers, labels and nodes of elements by gmsh's number of their kind."""
        count = self._count("elements")
        found: dict[int, list[tuple[ndarray, ndarray, ndarray]]] = {}
        for kind, tags, rows in self._binary_blocks(count) if self.order else self._lines_of_elements(count):
            label = rows[:, 1] if tags else np.zeros(len(rows), int)
            found.setdefault(kind, []).append((rows[:, 0], label, rows[:, 1 + tags :]))
        return {
            kind: (
                np.concatenate([one[0] for one in blocks]),
                np.concatenate([one[1] for one in blocks]),
                np.concatenate([one[2] for one in blocks]),
            )
            for kind, blocks in found.items()
        }

    def _binary_blocks(self, count: int) -> "list[tuple[int, int, Int[ndarray, 'n k']]]":
        """Kind, number of labels, and rows of number, labels and nodes."""
        blocks, done = [], 0
        while done < count:
            kind, many, tags = (int(x) for x in self._binary(f"{self.order}i4", 3, "$Elements"))
            if kind not in _NODES_OF or many < 1 or not 0 <= tags <= 64:
                raise self._damaged(f"$Elements has a block of kind {kind}, {many} elements, {tags} labels")
            width = 1 + tags + _NODES_OF[kind]
            rows = self._binary(f"{self.order}i4", many * width, "$Elements").reshape(many, width)
            blocks.append((kind, tags, rows.astype(int)))
            done += many
        return blocks

    def _lines_of_elements(self, count: int) -> "list[tuple[int, int, Int[ndarray, 'n k']]]":
        sorted_: dict[tuple[int, int], list[list[int]]] = {}
        for line in islice(self.file, count):
            try:
                number, kind, tags, *rest = map(int, line.split())
            except ValueError:
                raise self._damaged(f"$Elements has the line {line[:40]!r}") from None
            if kind not in _NODES_OF or len(rest) != tags + _NODES_OF[kind]:
                raise self._damaged(f"$Elements has the line {line[:40]!r}")
            sorted_.setdefault((kind, tags), []).append([number, *rest])
        if sum(map(len, sorted_.values())) != count:
            raise self._damaged(f"$Elements ends before its {count} elements")
        return [(kind, tags, np.array(rows)) for (kind, tags), rows in sorted_.items()]

    def _data(self) -> tuple[str, Int[ndarray, " n"], Float[ndarray, "n d"]]:
        """Name of what is given, and numbers of elements or nodes with their values."""
        texts = [self.file.readline().decode("utf-8", "replace").strip().strip('"') for _ in range(self._few("tags"))]
        for _ in range(self._few("tags")):
            self.file.readline()  # the time
        wholes = [self._count("values") for _ in range(self._few("tags"))]
        if not texts or len(wholes) < 3 or wholes[1] > _MOST_COMPONENTS:
            raise self._damaged("a field without name or size")
        width, count = wholes[1], wholes[2]
        if self.order:
            kind = [("number", f"{self.order}i4"), ("x", f"{self.order}f8", (width,))]
            rows = self._binary(kind, count, f"the field {texts[0]!r}")
            return texts[0], rows["number"].astype(int), rows["x"].astype(float).reshape(count, width)
        table = self._numbers(count, 1 + width, f"the field {texts[0]!r}")
        return texts[0], table[:, 0].astype(int), table[:, 1:]

    def _few(self, what: str) -> int:
        count = self._count(what)
        if count > _MOST_TAGS:
            raise self._damaged(f"{count} {what} of a field")
        return count

    def _count(self, what: str) -> int:
        line = self.file.readline()
        try:
            return max(0, int(line))
        except ValueError:
            raise self._damaged(f"{line[:40]!r} where the number of {what} is to stand") from None

    def _binary(self, kind: object, count: int, where: str) -> Shaped[ndarray, " n"]:
        each = np.dtype(kind)  # type: ignore[call-overload]
        if count * each.itemsize > os.path.getsize(self.path) - self.file.tell():
            raise self._damaged(f"{where} ends before its {count} entries")
        found = np.fromfile(self.file, each, count)
        return np.asarray(found)

    def _numbers(self, count: int, width: int, where: str) -> Float[ndarray, "n k"]:
        lines = list(islice(self.file, count))
        try:
            table = np.array([line.split() for line in lines], dtype=float).reshape(len(lines), width)
        except ValueError:
            bad = next((line for line in lines if len(line.split()) != width), b"".join(lines[:1]))
            raise self._damaged(f"{where} has the line {bad[:40]!r}, and {width} numbers belong there") from None
        if len(lines) != count:
            raise self._damaged(f"{where} ends before its {count} entries")
        return table

    def _to_end(self, section: str) -> None:
        end = f"$End{section}".encode()
        for line in self.file:
            if line.strip() == end:
                return
        raise self._damaged(f"${section} has no end")

    def _damaged(self, why: str) -> InputError:
        return InputError(f"{self.path}: cannot be read as a gmsh file ({why}); it is damaged, copy or write it again")


def _rows(numbers: Int[ndarray, " n"], wanted: Int[ndarray, "..."]) -> Int[ndarray, "..."]:
    """Where numbers stand; −1 for those that are not there."""
    if not len(numbers):
        return np.full(wanted.shape, -1)
    order = np.argsort(numbers, kind="stable")
    place = np.searchsorted(numbers[order], wanted).clip(max=len(numbers) - 1)
    row = order[place]
    return np.where(numbers[row] == wanted, row, -1)


def _spread(
    own: Int[ndarray, " m"], values: Float[ndarray, "m d"], wanted: Int[ndarray, " n"]
) -> Float[ndarray, "n d"]:
    """Values in the order of other numbers; not a number where there is none."""
    if not len(own):
        return np.full((len(wanted), values.shape[1]), np.nan)
    row = _rows(own, wanted)
    return np.where((row >= 0)[:, None], values[row], np.nan)


def _by_meshio(path: Path) -> GmshMesh:
    try:
        import meshio
    except ImportError:
        raise lacking(f"reading {path.name}", ["meshio"], "tms") from None
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # meshio prints
            mesh = meshio.gmsh.read(str(path))
    except (PermissionError, MemoryError):
        raise
    except Exception as error:  # meshio raises whatever its parsers run into
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as a gmsh file ({reason}); it is damaged, copy or write it again"
        ) from None
    kinds: dict[str, list[int]] = {}
    for number, block in enumerate(mesh.cells):
        nodes = np.asarray(block.data)
        if nodes.size and not 0 <= nodes.min() <= nodes.max() < len(mesh.points):
            raise InputError(f"{path}: an element has a node that is not there; it is damaged, copy or write it again")
        kinds.setdefault(block.type, []).append(number)
    made = {}
    for kind, numbers in kinds.items():
        corners = np.concatenate([np.asarray(mesh.cells[number].data) for number in numbers]).astype(int)
        given = {
            name: np.concatenate([_columns(parts[number]) for number in numbers])
            for name, parts in mesh.cell_data.items()
        }
        tags = next((given[tag][:, 0] for tag in _TAGS if tag in given and given[tag].any()), np.zeros(len(corners)))
        data = {name: values for name, values in given.items() if name not in _TAGS}
        made[kind] = Elements(corners, tags.astype(int), data)
    of_nodes = {name: _columns(values) for name, values in mesh.point_data.items() if not name.startswith("gmsh:")}
    return GmshMesh(np.asarray(mesh.points, float), made, of_nodes)


def _columns(values: Shaped[ndarray, "..."]) -> Float[ndarray, "n d"]:
    array = np.asarray(values, float)
    return array.reshape(len(array), -1)
