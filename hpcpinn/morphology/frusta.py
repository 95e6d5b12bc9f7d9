"""From loose frusta to a cable: sections, names, storage order, distances."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.morphology.repair import SOMA

GROWN, MYELIN, UNMYELINATED, NODE = 1002, 1005, 1006, 1007
"""Kinds of what rules make of an axon (`hpcpinn.morphology.axon`): no SWC file has such types."""

KIND_NAMES = {
    1: "soma", 2: "axon", 3: "dend", 4: "apic",
    GROWN: "grown", MYELIN: "myelin", UNMYELINATED: "unmyelinated", NODE: "node",
}  # fmt: skip
"""NEURON's section names, and those of grown parts; other SWC types are called ``type7`` and so on."""

ROOT = 0
"""Node from which every frustum points away."""

SECOND_HALF = -1
"""Section number of the second half of a cylinder around the root."""


@dataclass(frozen=True)
class Frustum:
    """One truncated cone of a tree that is not sorted yet.

    Attributes:
        tail, head: Nodes (any distinct numbers; the root of the tree is node 0).
        xyz: Positions of both ends, µm. The start need not be where the parent ends: a
            neurite that is wired to the middle of the soma starts at its own first point.
        radius: Radii at both ends, µm.
        length: Axial length, µm.
        kind: SWC type.
        swc_id: SWC point id at the end.
        order: Position in the file; siblings and names follow it.
        er_radius: Radii of the endoplasmic reticulum at both ends, µm.
        section: Number of its section, `SECOND_HALF` for the second half of a cylinder around the
            root; None lets `assemble` find the sections.
    """

    tail: int
    head: int
    xyz: Float[ndarray, "2 3"]
    radius: tuple[float, float]
    length: float
    kind: int
    swc_id: int
    order: int
    er_radius: tuple[float, float] = (0.0, 0.0)
    section: int | None = None


def kind_name(kind: int) -> str:
    """``dend`` for 3, ``type7`` for 7."""
    return KIND_NAMES.get(kind, f"type{kind}")


def assemble(frusta: list[Frustum]) -> Cable:
    """Sorts frusta into sections, parents first, and numbers sections and nodes.

    Unless the frusta say where their sections are, a section ends at a branch point and where the
    type changes, and a soma goes on through points where only neurites leave it. Sections are
    stored depth-first, those at the root by type; they are numbered within their type in file
    order, as NEURON does.

    A soma drawn as one cylinder around the root is two halves, ``soma[0]`` and ``soma[0]b``:
    every frustum points away from the root, also here.

    Args:
        frusta: All frusta of one tree; one of them must start at node 0.
    """
    leaving: dict[int, list[Frustum]] = defaultdict(list)
    for frustum in sorted(frusta, key=lambda f: f.order):
        leaving[frustum.tail].append(frustum)

    runs: list[list[Frustum]] = []
    parents: list[int] = []
    at_root = sorted(leaving[ROOT], key=lambda f: f.kind)  # stable: file order within a type
    waiting = [(frustum, -1) for frustum in reversed(at_root)]
    while waiting:
        first, parent = waiting.pop()
        run, branches = _follow(first, leaving)
        waiting.extend((branch, len(runs)) for branch in reversed(branches))
        runs.append(run)
        parents.append(parent)
    return _cable(runs, parents)


def _follow(frustum: Frustum, leaving: dict[int, list[Frustum]]) -> tuple[list[Frustum], list[Frustum]]:
    """One section from its first frustum on, and the first frusta of the sections it carries."""
    run = [frustum]
    branches: list[Frustum] = []
    while True:
        outgoing = leaving[run[-1].head]
        if frustum.section is not None:
            own = [f for f in outgoing if f.section == frustum.section]
            branches.extend(f for f in outgoing if f.section != frustum.section)
            if not own:
                return run, branches
            run.extend(own)
            continue
        alike = [f for f in outgoing if f.kind == frustum.kind]
        goes_on = len(alike) == 1 and (len(outgoing) == 1 or frustum.kind == SOMA)
        branches.extend(f for f in outgoing if not (goes_on and f is alike[0]))
        if not goes_on:
            return run, branches
        run.append(alike[0])


def _cable(runs: list[list[Frustum]], parents: list[int]) -> Cable:
    rows = [frustum for run in runs for frustum in run]
    names = _names(runs)
    section = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    length = np.array([f.length for f in rows])
    number: dict[int, int] = {ROOT: 0}
    distance: dict[int, float] = {ROOT: 0.0}
    for f in rows:
        number[f.head] = len(number)
        distance[f.head] = distance[f.tail] + f.length
    return Cable(
        sections=tuple(
            Section(name, run[0].kind, parent) for name, run, parent in zip(names, runs, parents, strict=True)
        ),
        section=section,
        kind=np.array([f.kind for f in rows]),
        node=np.array([(number[f.tail], number[f.head]) for f in rows]),
        start=np.concatenate([np.cumsum([0.0] + [f.length for f in run[:-1]]) for run in runs]),
        length=length,
        radius=np.array([f.radius for f in rows], float),
        er_radius=np.array([f.er_radius for f in rows], float),
        xyz=np.array([f.xyz for f in rows], float),
        path=np.array([(distance[f.tail], distance[f.head]) for f in rows]),
        swc_id=np.array([f.swc_id for f in rows]),
    )


def _names(runs: list[list[Frustum]]) -> list[str]:
    """Names in the order of the runs; numbers within a type follow the file."""
    names = [""] * len(runs)
    count: dict[int, int] = defaultdict(int)
    twin = _second_half_of_soma(runs)
    for index in sorted(range(len(runs)), key=lambda index: runs[index][0].order):
        kind = runs[index][0].kind
        if index == twin:
            names[index] = "soma[0]b"
            continue
        names[index] = f"{kind_name(kind)}[{count[kind]}]"
        count[kind] += 1
    return names


def _second_half_of_soma(runs: list[list[Frustum]]) -> int | None:
    """Index of the second run of a soma that is a cylinder around the root, as long as wide."""
    if runs[0][0].section is not None:
        return next((k for k, run in enumerate(runs) if run[0].section == SECOND_HALF), None)
    somata = [k for k, run in enumerate(runs) if run[0].kind == SOMA]
    halves = [frustum for k in somata for frustum in runs[k]]
    if len(somata) != 2 or len(halves) != 2 or any(half.tail != ROOT for half in halves):
        return None
    sizes = np.array([(half.length, *half.radius) for half in halves])
    return somata[1] if np.allclose(sizes, sizes[0, 0], rtol=1e-9, atol=0.0) else None
