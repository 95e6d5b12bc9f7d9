"""A cell: an SWC file, a bundled cell or a networkx graph, and how it is read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hpcpinn.errors import InputError
from hpcpinn.parallel import launch
from hpcpinn.parallel.folders import TemporaryFolder
from hpcpinn.systems.cell.front import Axon, Morphology
from hpcpinn.wording import counted

if TYPE_CHECKING:
    import networkx as nx

    from hpcpinn.morphology.cable import Cable
    from hpcpinn.morphology.sites import Site
    from hpcpinn.parallel.communicator import Communicator
    from hpcpinn.report.shown import Picture


class Cell:
    """A cell to solve on.

    Attributes:
        morphology: The table of the run description that names its file and how that is read.
        graph: The graph that it was made from; None for a cell from a file.
        axon: What is made of its axon.
    """

    GRAPH: ClassVar[str] = "graph.json"
    """Stands for the file of a cell from a graph until it is written beside a result or a job."""

    def __init__(self, source: "str | os.PathLike[str] | nx.Graph", axon: Axon | None = None, **reading: Any) -> None:
        """Takes note of a cell; the file is read when it is needed.

        Args:
            source: An SWC file, ``builtin:NAME``, or a networkx graph as `hpcpinn.morphology.cable_from_networkx`
                reads it: nodes with ``x``, ``y``, ``z``, ``radius`` and ``type``, edges from parent to child.
            axon: What is made of its axon, such as ``Axon("aberra")``; it stays as it is where left out.
            reading: Keys of [morphology]: ``soma``, ``units``, ``merge_below``, ``er_fraction``, ``er_radius``.

        Raises:
            InputError: An unknown key, or a value that it cannot take.
        """
        self.graph: nx.Graph | None = None
        self.axon = Axon() if axon is None else axon
        if isinstance(source, (str, os.PathLike)):
            self.morphology = Morphology(source, **reading)
        else:
            self.graph, self.morphology = _graph(source), Morphology(self.GRAPH, **reading)

    @classmethod
    def from_networkx(cls, graph: "nx.Graph", **reading: Any) -> "Cell":
        """A cell from a graph: ``Cell(graph)`` under a name that says so.

        Raises:
            InputError: It is no graph, or a key of [morphology] is wrong.
        """
        return cls(_graph(graph), **reading)

    def to_networkx(self) -> "nx.DiGraph":
        """The cell as a graph of points, with Jaxley's attributes; `from_networkx` gives the same cell.

        Raises:
            InputError: The file is refused.
        """
        from hpcpinn.morphology.graph import cable_to_networkx

        return cable_to_networkx(self.cable)

    @cached_property
    def cable(self) -> "Cable":
        """The cell as a tree of frusta, as a run takes it.

        Raises:
            InputError: The file, or the graph, is refused, or its axon cannot be made as it shall be.
        """
        from hpcpinn.morphology.build import cable_of_graph
        from hpcpinn.systems.cell.build.morphology import how_merged, load_cable, with_axon

        if self.graph is not None:
            return with_axon(cable_of_graph(self.graph, **how_merged(self.morphology)), self.axon)
        return load_cable(self.morphology, self.axon)

    @property
    def sections(self) -> tuple[str, ...]:
        """Names of the sections, such as ``apic[12]``."""
        return tuple(section.name for section in self.cable.sections)

    def site(self, text: str) -> "Site":
        """The place that a site names, such as ``apic[12](0.5)`` or ``tip``.

        Raises:
            InputError: The cell has no such place.
        """
        from hpcpinn.morphology.sites import parse_site

        return parse_site(text, self.cable)

    def plot(self, picture: str | os.PathLike[str] | None = None) -> "Picture":
        """Draws the cell. Collective over all ranks, of which the first writes.

        Args:
            picture: File (png, pdf or svg); a temporary one that a notebook shows where left out.

        Raises:
            InputError: The cell cannot be read.
            OutputError: The picture cannot be written.
        """
        from hpcpinn.report.shown import Picture
        from hpcpinn.systems.cell.pictures.cell_outline import draw_cell

        communicator = _several_ranks()
        folder = TemporaryFolder(communicator) if picture is None else None
        path = Path(picture) if picture is not None else folder.path / "cell.png"  # type: ignore[union-attr]
        cable = self.cable  # what is wrong with it is said by all
        draw = partial(draw_cell, path, cable, title=self.name)
        draw() if communicator is None else communicator.on_root(draw)
        return Picture(path, folder)

    @property
    def name(self) -> str:
        """What it is called in pictures."""
        return "graph" if self.graph is not None else Path(self.morphology.file).name

    def tables(self) -> dict[str, Any]:
        """What it adds to a run description."""
        return self.morphology.tables() | (self.axon.tables() if self.axon.model_fields_set else {})

    def beside(self) -> "dict[str, CellGraph]":
        """The graph, which a description names as a file."""
        return {} if self.graph is None else {"morphology.file": CellGraph(self.graph)}

    def __repr__(self) -> str:
        if "cable" not in self.__dict__:
            return f"Cell({self.name!r})"
        cable = self.cable
        what = f"{counted(cable.n_neurite_sections, 'section')}, {counted(cable.n_frusta, 'frustum', 'frusta')}"
        return f"Cell({self.name!r}): {what}, {cable.length.sum():.4g} um"


def _several_ranks() -> "Communicator | None":
    """All ranks; None for one, which a picture needs no JAX for."""
    if launch.promised_size() == 1:
        return None
    from hpcpinn.parallel.device import prepare  # before JAX is loaded
    from hpcpinn.parallel.transports import make_communicator

    prepare()
    return make_communicator()


@dataclass(frozen=True, eq=False)
class CellGraph:
    """A graph that is written beside a job or a result.

    Attributes:
        graph: The graph.
    """

    graph: "nx.Graph"

    def write(self, beside: Path) -> Path:
        """Writes it: ``run.h5`` → ``run.cell.json``.

        Raises:
            OutputError: It cannot be written.
        """
        from hpcpinn.morphology.graph_file import write_graph

        file = beside.with_name(f"{beside.stem}.cell.json")
        write_graph(file, self.graph)
        return file


def cell_of(described: Any, beside: Mapping[str, Any]) -> Cell:
    """The cell of a description, with the objects that it names as files."""
    given, graph = described.morphology, beside.get("morphology.file")
    axon = Axon(**described.axon.model_dump(exclude_unset=True))
    return Cell(given.file if graph is None else graph.graph, axon, **given.model_dump(exclude={"file"}))


def _graph(source: Any) -> "nx.Graph":
    import networkx as nx

    if not isinstance(source, nx.Graph):
        raise InputError(
            f"hpcpinn.Cell: {type(source).__name__} is no cell; give an SWC file, builtin:NAME or a networkx graph"
        )
    return source
