"""Cells as graphs in a file: networkx's node-link JSON, every number to its last bit."""

import json
from pathlib import Path
from typing import Any

import networkx as nx

from hpcpinn.errors import InputError, OutputError
from hpcpinn.files import check_regular

SUFFIX = ".json"
"""Of files that hold a graph and no SWC points."""

NAME = "node"
"""Key of the name of a node in files that are written here."""


def read_graph(path: Path) -> nx.Graph:
    """The graph of a file.

    Args:
        path: Node-link JSON, as `write_graph` or networkx's ``node_link_data`` make it.

    Raises:
        InputError: It cannot be read, or is no such thing.
    """
    check_regular(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that is there") from None
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}); give an SWC file, or a graph as node-link JSON") from None
    try:
        edges = "links" if "links" in document else "edges"
        own = all(NAME in node for node in document["nodes"])  # networkx would call it id, which is the type here
        return nx.node_link_graph(document, edges=edges, name=NAME if own else "id")
    except (AttributeError, KeyError, TypeError, nx.NetworkXError) as error:
        raise InputError(
            f"{path}: holds no graph ({type(error).__name__}: {error}); networkx's node_link_data makes one"
        ) from None


def write_graph(path: Path, graph: nx.Graph) -> None:
    """Writes a graph so that `read_graph` gives the same cell.

    Args:
        path: File; its directory is made.
        graph: Nodes that are neither numbers nor text are numbered in their order.

    Raises:
        OutputError: The file cannot be written.
    """
    if not all(isinstance(node, (int, str)) for node in graph):
        graph = nx.convert_node_labels_to_integers(graph, first_label=1)
    text = json.dumps(nx.node_link_data(graph, edges="edges", name=NAME), default=_number)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the cell cannot be written ({error.strerror}); name another place") from None


def _number(value: Any) -> Any:
    """NumPy's scalars as Python's own."""
    if hasattr(value, "item"):
        return value.item()
    raise InputError(f"a graph with {value!r} ({type(value).__name__}) cannot be written; give numbers and text")
