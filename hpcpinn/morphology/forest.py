"""Several cells as one: trees side by side, which every solver takes for a tree with many roots."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.morphology.compartments import Compartments

_OWN_NUMBERS = ("section", "node")
"""Arrays of a cable that count something of its own."""


def join_cables(cables: Sequence[Cable]) -> Cable:
    """The frusta of all cables, one cable after the other; sections keep their names.

    Args:
        cables: Cables of the cells, at least one.
    """
    if len(cables) == 1:
        return cables[0]
    sections: list[Section] = []
    for cable in cables:
        first = len(sections)
        sections += [replace(s, parent=s.parent + first if s.parent >= 0 else -1) for s in cable.sections]
    first_section = _first([len(cable.sections) for cable in cables])
    first_node = _first([cable.n_nodes for cable in cables])
    arrays = {
        f.name: np.concatenate([getattr(cable, f.name) for cable in cables])
        for f in fields(Cable)
        if f.name not in ("sections", *_OWN_NUMBERS)
    }
    return Cable(
        sections=tuple(sections),
        section=_renumbered([cable.section for cable in cables], first_section),
        node=_renumbered([cable.node for cable in cables], first_node),
        **arrays,
    )


def join_compartments(parts: Sequence[Compartments]) -> Compartments:
    """The compartments of all cells, then all their junctions.

    Args:
        parts: Compartments of the cells, at least one.
    """
    if len(parts) == 1:
        return parts[0]
    first = _first([part.count for part in parts])
    junctions = first[-1] + _first([part.n_points - part.count for part in parts])
    first_node = _first([part.cable.n_nodes for part in parts])
    first_section = _first([len(part.cable.sections) for part in parts])

    def moved(number: int) -> Int[ndarray, " points"]:
        """Where the points of one cell are among those of all."""
        part = parts[number]
        here = np.arange(part.n_points)
        place: Int[ndarray, " points"] = np.where(
            here < part.count, first[number] + here, junctions[number] + here - part.count
        )
        return place

    parent = np.full(sum(part.n_points for part in parts), -1)
    node = np.empty(len(parent), int)
    for number, part in enumerate(parts):
        places = moved(number)
        parent[places] = np.where(part.parent >= 0, places[part.parent], -1)
        node[places] = part.node + first_node[number]
    return Compartments(
        cable=join_cables([part.cable for part in parts]),
        section=_renumbered([part.section for part in parts], first_section),
        kind=np.concatenate([part.kind for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        area=np.concatenate([part.area for part in parts]),
        node=node,
        parent=parent,
        axial=points_of(parts, [part.axial for part in parts]),
        xyz=points_of(parts, [part.xyz for part in parts]),
    )


def points_of(parts: Sequence[Compartments], values: Sequence[Shaped[ndarray, "..."]]) -> Shaped[ndarray, "points ..."]:
    """Values at the points of every cell in the order of `join_compartments`."""
    compartments = [x[: part.count] for part, x in zip(parts, values, strict=True)]
    return np.concatenate([*compartments, *(x[part.count :] for part, x in zip(parts, values, strict=True))])


def _first(counts: Sequence[int]) -> Int[ndarray, " _"]:
    """Where the things of each part begin among those of all, and how many there are."""
    first: Int[ndarray, " _"] = np.r_[0, np.cumsum(counts)]
    return first


def _renumbered(numbers: Sequence[ndarray], first: Int[ndarray, " n"]) -> ndarray:
    return np.concatenate([own + begin for own, begin in zip(numbers, first[:-1], strict=True)])
