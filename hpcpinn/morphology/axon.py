"""Axons that are grown and myelinated: internodes, nodes of Ranvier and bare ends in the place of traced axons.

Kinds of their own say in every result and picture that a rule has made these parts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.morphology.frusta import GROWN, MYELIN, NODE, UNMYELINATED, kind_name
from hpcpinn.morphology.repair import SOMA

AXON = 2
"""SWC type of a traced axon."""
REGIONS: Mapping[int, str] = MappingProxyType(
    {GROWN: "axon", MYELIN: "myelin", NODE: "node", UNMYELINATED: "unmyelinated"}
)
"""Regions of a membrane, by the kinds that rules make."""
STUB = 50.0
"""An axon that is shorter is a stub, µm: it ends before myelin would begin."""

Part = tuple[float, int]
"""End of a part of a section along it, µm, and its kind."""


@dataclass(frozen=True)
class AxonPiece:
    """A section of an axon, as rules see it.

    Attributes:
        length: Length of it, µm.
        diameter: Mean diameter of its first part, one of 1 + 2 floor(length/40 µm), µm: NEURON's at its start.
        is_first: Whether it begins at what is no axon.
        is_last: Whether nothing hangs on its end.
        kind: Kind of it: traced or grown.
    """

    length: float
    diameter: float
    is_first: bool
    is_last: bool
    kind: int


@dataclass(frozen=True)
class MyelinRule:
    """How an axon is myelinated.

    Attributes:
        parts: Function of a section: ends and kinds of what it becomes.
        diameters: Function of kind and diameters (µm) of a part: its new ones, of myelin the outer ones.
        source: Paper or program that it is from.
    """

    parts: Callable[[AxonPiece], list[Part]]
    diameters: Callable[[int, Float[ndarray, "..."]], Float[ndarray, "..."]]
    source: str


_NODE_LENGTH = 1.0
_BARE_START, _SHORTEST_INTERNODE, _THINNEST = 50.0, 20.0, 0.2
_PER_DIAMETER, _PER_DIAMETER_AT_ENDS = 100.0, 70.0
_G_RATIO, _G_BOUNDS = (0.6425, -1.778, 1.749, 0.1518), (0.4, 0.8)


def _aberra(piece: AxonPiece) -> list[Part]:
    """Internodes of 100 diameters (70 in terminal branches), nodes of 1 µm, nothing below 0.2 µm or too short."""
    if piece.is_first:
        if piece.length < _BARE_START + _SHORTEST_INTERNODE:
            return [(piece.length, piece.kind)]
        return [(_BARE_START, piece.kind), (piece.length - _NODE_LENGTH, MYELIN), (piece.length, NODE)]
    wanted = (_PER_DIAMETER_AT_ENDS if piece.is_last else _PER_DIAMETER) * piece.diameter
    count = int(piece.length / (wanted + _NODE_LENGTH)) or int(piece.length / (_SHORTEST_INTERNODE + _NODE_LENGTH))
    if piece.diameter < _THINNEST or count == 0:
        return [(piece.length, UNMYELINATED)]
    ends = piece.length / count * np.arange(1, count + 1)
    return [part for end in ends.tolist() for part in ((end - _NODE_LENGTH, MYELIN), (end, NODE))]


def _outer(kind: int, diameter: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Of myelin the diameter over the g-ratio of its size; all else keeps its own."""
    if kind != MYELIN:
        return diameter
    outer: Float[ndarray, "..."] = diameter / np.clip(np.polyval(_G_RATIO, diameter), *_G_BOUNDS)
    return outer


_NEMO_START, _NEMO_INTERNODE = 10.0, 100.0
_NEMO_DIAMETERS = {MYELIN: 1.0, NODE: 0.8, UNMYELINATED: 0.8}


def _nemo(piece: AxonPiece) -> list[Part]:
    """Internodes of 100 µm, nodes of 1 µm between them and before every branch point; short ends stay bare."""
    if piece.is_last and not piece.is_first and piece.length < _SHORTEST_INTERNODE:
        return [(piece.length, UNMYELINATED)]
    start = min(_NEMO_START, piece.length) if piece.is_first else 0.0
    parts = [(start, piece.kind)] if piece.is_first else []
    end = piece.length if piece.is_last else piece.length - _NODE_LENGTH
    at = start
    while end - at > _NEMO_INTERNODE + _NODE_LENGTH:
        parts += [(at + _NEMO_INTERNODE, MYELIN), (at + _NEMO_INTERNODE + _NODE_LENGTH, NODE)]
        at += _NEMO_INTERNODE + _NODE_LENGTH
    if end - at > _TOUCHING:
        parts.append((end, MYELIN))
    if not piece.is_last and piece.length - start > _TOUCHING:
        parts.append((piece.length, NODE))
    return parts


def _nemo_diameters(kind: int, diameter: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    return np.full_like(diameter, _NEMO_DIAMETERS[kind]) if kind in _NEMO_DIAMETERS else diameter


RULES: Mapping[str, MyelinRule] = MappingProxyType(
    {
        "aberra": MyelinRule(
            _aberra, _outer, "A. S. Aberra, A. V. Peterchev, W. M. Grill, J. Neural Eng. 15 (2018) 066023"
        ),
        "nemo": MyelinRule(_nemo, _nemo_diameters, "S. Shirinpour et al., Brain Stimul. 14 (2021) 1470 (NeMo-TMS)"),
    }
)
"""Rules by name; lengths and diameters are those of the public code of their authors."""

_COMPARTMENT = 40.0
"""Length by which that program cuts sections, µm."""
_TOUCHING = 1e-6
"""Ends this near to each other are one, µm."""


def axon_length(cable: Cable) -> float:
    """Length of the traced or grown axon of a cell, µm."""
    return float(cable.length[np.isin(cable.kind, (AXON, GROWN))].sum())


def myelinate(cable: Cable, rule: MyelinRule) -> Cable:
    """A cell whose axon is myelinated; all else stays as it is.

    Args:
        cable: The cell; its axon has type 2 or is grown.
        rule: Rule by which this is done.

    Raises:
        InputError: There is no axon.
    """
    runs = _runs(cable)
    if not runs:
        raise InputError("the cell has no axon (SWC type 2) that could be myelinated; grow one with axon.length")
    parts = {number: _checked(rule.parts(run), run) for number, run in runs.items()}
    cut = _cut(cable, parts)
    return _with_parts(cut, cable.sections, parts, rule.diameters)


def _runs(cable: Cable) -> dict[int, AxonPiece]:
    """Sections of the axon by number."""
    kinds = np.array([section.kind for section in cable.sections])
    parents = np.array([section.parent for section in cable.sections])
    length = np.bincount(cable.section, cable.length, len(kinds))
    found = {}
    for number in np.flatnonzero(np.isin(kinds, (AXON, GROWN))).tolist():
        parent = int(parents[number])
        found[number] = AxonPiece(
            float(length[number]),
            _diameter_at_start(cable, np.flatnonzero(cable.section == number)),
            is_first=parent < 0 or kinds[parent] not in (AXON, GROWN),
            is_last=not np.any(parents == number),
            kind=int(kinds[number]),
        )
    return found


def _diameter_at_start(cable: Cable, rows: Int[ndarray, " k"]) -> float:
    """Mean diameter of the first compartment of a section, as the published rule's program sees it, µm."""
    length, (start, end) = cable.length[rows], (2.0 * cable.radius[rows]).T
    reach = length.sum() / (1 + 2 * int(length.sum() / _COMPARTMENT))
    share = np.clip((reach - cable.start[rows]) / length, 0.0, 1.0)
    mean = start + 0.5 * share * (end - start)
    return float((share * length) @ mean / reach)


def _checked(parts: list[Part], piece: AxonPiece) -> list[Part]:
    """Parts of some length, the last of which ends where the section does."""
    ends = [end for end, _ in parts]
    assert ends == sorted(ends) and abs(ends[-1] - piece.length) < _TOUCHING
    kept = [
        (end, kind) for (end, kind), before in zip(parts, [0.0, *ends[:-1]], strict=True) if end - before > _TOUCHING
    ]
    return [*kept[:-1], (piece.length, kept[-1][1])]


def _cut(cable: Cable, parts: Mapping[int, Sequence[Part]]) -> Cable:
    """The cable cut at the ends of all parts."""
    cuts = []
    for section, start, length in zip(cable.section.tolist(), cable.start, cable.length, strict=True):
        marks = (np.array([end for end, _ in parts.get(section, ())]) - start) / length
        near = _TOUCHING / length
        cuts.append(marks[(marks > near) & (marks < 1.0 - near)])
    return cable.split(cuts)


def _with_parts(
    cut: Cable,
    sections: tuple[Section, ...],
    parts: Mapping[int, Sequence[Part]],
    diameters: Callable[[int, Float[ndarray, "..."]], Float[ndarray, "..."]],
) -> Cable:
    """The cable whose sections are the parts."""
    middle = cut.start + 0.5 * cut.length
    section, kind, start = np.zeros(cut.n_frusta, int), cut.kind.copy(), cut.start.copy()
    radius = cut.radius.copy()
    made: list[Section] = []
    last_of: dict[int, int] = {-1: -1}
    names: Counter[int] = Counter()
    for number, old in enumerate(sections):
        rows = np.flatnonzero(cut.section == number)
        pieces = parts.get(number, [(np.inf, old.kind)])
        before, parent = 0.0, last_of[old.parent]
        for end, own in pieces:
            here = rows[(middle[rows] > before) & (middle[rows] <= end)]
            section[here], kind[here], start[here] = len(made), own, cut.start[here] - before
            radius[here] = 0.5 * diameters(own, 2.0 * cut.radius[here]) if number in parts else cut.radius[here]
            name = old.name if number not in parts else f"{kind_name(own)}[{names[own]}]"
            names[own] += number in parts
            made.append(Section(name, own, parent))
            parent, before = len(made) - 1, end
        last_of[number] = parent
    return replace(cut, sections=tuple(made), section=section, kind=kind, start=start, radius=radius)


def grow(cable: Cable, length: float, diameter: float, direction: Float[ndarray, " 3"] | Sequence[float]) -> Cable:
    """A cell with a straight axon in the place of none, or of a stub.

    Args:
        cable: The cell.
        length: Length of the axon, µm.
        diameter: Diameter of the axon, µm.
        direction: Direction in which it grows from the soma, of any length.

    Raises:
        InputError: The cell has an axon, or the direction is none.
    """
    there = axon_length(cable)
    if there >= STUB:
        raise InputError(
            f"the cell has an axon of {there:.0f} um, and axon.length is for one that has none or a stub below "
            f"{STUB:g} um; leave axon.length out"
        )
    along = np.asarray(direction, float)
    if along.shape != (3,) or not np.all(np.isfinite(along)) or not np.any(along):
        raise InputError(f"axon.direction {list(direction)}: give three numbers that are not all zero")
    bare = _without(cable, cable.kind == AXON)
    soma = np.flatnonzero(bare.kind == SOMA)
    size = float(bare.radius[soma].max()) if len(soma) else 0.0
    unit = along / np.linalg.norm(along)
    begin = bare.xyz[0, 0] + size * unit
    added = {
        "section": [len(bare.sections)], "kind": [GROWN], "node": [[0, bare.n_nodes]], "start": [0.0],
        "length": [length], "radius": [[0.5 * diameter] * 2], "er_radius": [[0.0, 0.0]],
        "xyz": [[begin, begin + length * unit]], "path": [[0.0, length]], "swc_id": [-1],
    }  # fmt: skip
    arrays: dict[str, Shaped[ndarray, "..."]] = {
        name: np.concatenate([getattr(bare, name), np.asarray(own)]) for name, own in added.items()
    }
    name = f"{kind_name(GROWN)}[0]"
    return Cable(sections=(*bare.sections, Section(name, GROWN, -1)), **arrays)


def _without(cable: Cable, rows: Bool[ndarray, " F"]) -> Cable:
    """The cable without some whole sections, at the ends of which nothing else hangs."""
    if not np.any(rows):
        return cable
    kept = np.flatnonzero(~rows)
    used = np.unique(cable.section[kept])
    number = {int(old): new for new, old in enumerate(used)} | {-1: -1}
    nodes, node = np.unique(cable.node[kept], return_inverse=True)
    if nodes[0] != 0 or any(cable.sections[old].parent not in number for old in used):
        raise InputError("the stub of an axon carries other neurites, and cannot be replaced; leave axon.length out")
    sections = tuple(replace(cable.sections[old], parent=number[cable.sections[old].parent]) for old in used)
    arrays = {
        one.name: getattr(cable, one.name)[kept]
        for one in fields(cable)
        if one.name not in ("sections", "section", "node")
    }
    section: Int[ndarray, " F"] = np.searchsorted(used, cable.section[kept])
    return Cable(sections=sections, section=section, node=node.reshape(-1, 2), **arrays)


AREA_OF_SOMA, DIAMETER_OF_AXON, DIAMETER_OF_APICAL, DIAMETER_OF_BASAL, LENGTH_OF_BASAL = (
    2.453,
    2.453,
    1.876,
    1.946,
    1.17,
)
"""Adult human over rat (A. S. Aberra et al., Brain Stimul. 13 (2020) 175)."""


def to_human(cable: Cable) -> Cable:
    """A cell of a rat at the size of an adult human's: diameters of neurites, area of the soma, length of basal ones.

    The soma grows about its middle; what is wired to it stays where it is. Basal dendrites grow from where they begin.
    """
    factor = np.ones(cable.n_frusta)
    for kind, own in ((AXON, DIAMETER_OF_AXON), (3, DIAMETER_OF_BASAL), (4, DIAMETER_OF_APICAL)):
        factor[cable.kind == kind] = own
    round_soma = np.sqrt(AREA_OF_SOMA)
    factor[cable.kind == SOMA] = round_soma
    longer = np.ones(cable.n_frusta)
    longer[cable.kind == 3], longer[cable.kind == SOMA] = LENGTH_OF_BASAL, round_soma
    return _stretched(replace(cable, radius=cable.radius * factor[:, None]), longer)


def _stretched(cable: Cable, factor: Float[ndarray, " F"]) -> Cable:
    """The cable with longer frusta; what hangs on their ends moves along."""
    xyz, path, start = cable.xyz.copy(), cable.path.copy(), cable.start.copy()
    moved: dict[int, Float[ndarray, " 3"]] = {int(cable.node[0, 0]): np.zeros(3)}
    way: dict[int, float] = {int(cable.node[0, 0]): 0.0}
    within: dict[int, float] = {}
    for f, (tail, head) in enumerate(cable.node.tolist()):
        shift = moved[tail]
        along = factor[f] * (cable.xyz[f, 1] - cable.xyz[f, 0])
        xyz[f, 0] = cable.xyz[f, 0] + shift
        xyz[f, 1] = xyz[f, 0] + along
        path[f] = way[tail], way[tail] + factor[f] * cable.length[f]
        start[f] = within.get(int(cable.section[f]), 0.0)
        within[int(cable.section[f])] = start[f] + factor[f] * cable.length[f]
        moved[head], way[head] = xyz[f, 1] - cable.xyz[f, 1], path[f, 1]
    return replace(cable, xyz=xyz, path=path, start=start, length=cable.length * factor)
