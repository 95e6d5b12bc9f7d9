"""Interfaces: which ends of which pieces meet, and the rule that turns what ends send into what they receive.

Every piece is a Schwarz subdomain; the partition only says which rank computes it. An end receives
a combination of value and slope and sends another one (`EdgeRows`). At a node what is sent, o, by
the ends i that meet there give what they receive next,

    g_i = a_i N₁ + b_i N₂ + c_i o_i + s_i,      N_k = Σ_j w_kj o_j,

where the weights depend on the transmission condition and on the cross-sections of the volume that a species lives in
(axis G, of length 1 where all live in the same). All sums run over the ends of a node in
the order of the whole tree, so the iterates are the same on any number of ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from hpcpinn.domain.elimination_plan import TreePlan, plan_tree
from hpcpinn.morphology.cable import Cable
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.exchange import ExchangePlan, plan_exchange
from hpcpinn.physics.constants import CYTOSOL
from hpcpinn.training.local import EdgeRows, distinct

ROBIN_RECEIVE, ROBIN_SEND = (1.0, 1.0), (1.0, -1.0)
VALUE, SLOPE = (1.0, 0.0), (0.0, 1.0)


class TransmissionRule(NamedTuple):
    """The node rule for a rank's ends.

    Attributes:
        entry_slot: Slot (local end or ghost) of every entry of the node sums, (n_entries,).
        entry_node: Local node of every entry, ascending, (n_entries,).
        entry_weight: w₁ and w₂, (n_entries, 2, G).
        end_node: Local node of every local end, (P, ends).
        coefficient: a, b, c of every local end, (P, ends, 3, G).
        source_weight: Slope-type gain of a flux given at the end's node, 1/area, (P, ends, G).
    """

    entry_slot: Int[Array, " E"]
    entry_node: Int[Array, " E"]
    entry_weight: Float[Array, "E 2 G"]
    end_node: Int[Array, "P ends"]
    coefficient: Float[Array, "P ends 3 G"]
    source_weight: Float[Array, "P ends G"]

    @property
    def is_inner(self) -> Bool[Array, "P ends"]:
        """Whether an end meets others, by Robin's rule."""
        return self.coefficient[:, :, 0, 0] != 0.0


@dataclass(frozen=True)
class Interfaces:
    """A rank's view of the interfaces.

    Attributes:
        rows: Weights of value and flux in what every local end receives and sends.
        rule: Node rule.
        plan: Messages between ranks, slot by slot.
        n_ghosts: Ghost slots after the 2P local ones.
        n_nodes: Local nodes.
        relaxation: Share of the new value taken at every end, (P, ends).
        tree: Plan of the elimination in tree solves, which need Robin's rule; None where there are none.
    """

    rows: EdgeRows
    rule: TransmissionRule
    plan: ExchangePlan
    n_ghosts: int
    n_nodes: int
    relaxation: Float[Array, "P ends"]
    tree: TreePlan | None = None

    def of_species(self, number: int) -> "Interfaces":
        """Those of one species alone; `number` may be that of any where all live in the same volume."""
        rule = self.rule
        if rule.entry_weight.shape[-1] == 1:
            return self
        one = slice(number, number + 1)
        own = rule._replace(**{name: getattr(rule, name)[..., one] for name in _BY_VOLUME})
        tree = self.tree and self.tree._replace(weight=self.tree.weight[..., one])
        return replace(self, rule=own, tree=tree)


_BY_VOLUME = ("entry_weight", "coefficient", "source_weight")


class _EndTables(NamedTuple):
    """Per end of the whole domain: what `EdgeRows`, `TransmissionRule` and `Interfaces` hold of the local ones."""

    receive: Float[np.ndarray, "E 2"]
    send: Float[np.ndarray, "E 2"]
    weight: Float[np.ndarray, "E 2 G"]
    coefficient: Float[np.ndarray, "E 3 G"]
    source: Float[np.ndarray, "E G"]
    relaxation: Float[np.ndarray, " E"]


_BY_END_AND_VOLUME = ("weight", "coefficient", "source")


def _end_tables(
    ends_at: Int[np.ndarray, "F ends"], areas: Float[np.ndarray, "F ends G"], transmission: str
) -> _EndTables:
    """The tables of a transmission condition; ends in the order of the pieces."""
    each = [_of_volume(ends_at.ravel(), areas[..., g].ravel(), transmission) for g in range(areas.shape[-1])]
    by_volume = {name: np.stack([getattr(one, name) for one in each], axis=-1) for name in _BY_END_AND_VOLUME}
    return each[0]._replace(**by_volume)


def _of_volume(node: Int[np.ndarray, " E"], area: Float[np.ndarray, " E"], transmission: str) -> _EndTables:
    """The tables for the cross-sections of one volume, without an axis of volumes."""
    n_ends = len(node)
    degree = np.bincount(node)[node]
    total = np.bincount(node, weights=area)[node]
    receive = np.tile(ROBIN_RECEIVE, (n_ends, 1))
    send = np.tile(ROBIN_SEND, (n_ends, 1))
    weight = np.stack([area / total, np.zeros(n_ends)], axis=1)
    coefficient = np.tile([2.0, 0.0, -1.0], (n_ends, 1))
    source = 2.0 / total
    relaxation = np.ones(n_ends)
    if transmission == "dirichlet-neumann":
        # The end that comes first in the tree (the parent's) receives the slope, the others the value.
        order = np.lexsort((np.arange(n_ends), node))
        first = np.zeros(n_ends, bool)
        first[order] = np.r_[True, node[order][1:] != node[order][:-1]]
        receive[:] = np.where(first[:, None], SLOPE, VALUE)
        send[:] = np.where(first[:, None], VALUE, SLOPE)
        weight = np.stack([first * 1.0, np.where(first, 0.0, area)], axis=1)
        coefficient = np.where(first[:, None], np.stack([0 * area, -1.0 / area, 0 * area], 1), [1.0, 0.0, 0.0])
        source = np.where(first, 1.0 / area, 0.0)
        relaxation = np.where(first, 1.0, 0.5)
    free = degree == 1
    receive[free], send[free], coefficient[free] = SLOPE, VALUE, 0.0
    source = np.where(free, 1.0 / area, source)
    relaxation = np.where(free, 1.0, relaxation)
    return _EndTables(receive, send, weight, coefficient, source, relaxation)


def storage_order(owner: Int[np.ndarray, " F"], colour: Int[np.ndarray, " F"], rank: int) -> Int[np.ndarray, " P"]:
    """A rank's pieces as it stores them: red before black, each in the order of the tree."""
    mine = np.flatnonzero(owner == rank)
    stored: Int[np.ndarray, " P"] = mine[np.argsort(colour[mine], kind="stable")]
    return stored


def build_interfaces(
    pieces: Cable,
    owner: Int[np.ndarray, " F"],
    colour: Int[np.ndarray, " F"],
    rank: int,
    transmission: str = "robin",
    volumes: Sequence[str] = (CYTOSOL,),
) -> Interfaces:
    """Sets up the interfaces of one rank; every rank calls it with the same arguments but `rank`.

    Args:
        pieces: All pieces of the tree.
        owner: Rank of every piece.
        colour: 0 (red) or 1 (black) of every piece.
        rank: Number of this rank.
        transmission: "robin" or "dirichlet-neumann".
        volumes: Volume of every species.
    """
    inside = [pieces.within(volume) for volume in distinct(volumes)]
    area = np.stack([np.pi * (part.radius**2 - part.er_radius**2) for part in inside], axis=-1)
    interfaces = interfaces_between(pieces.node, area, owner, colour, rank, transmission)
    if transmission != "robin":
        return interfaces
    weight = _end_tables(pieces.node, area, transmission).weight[:, 0]
    return replace(interfaces, tree=_tree_plan(pieces, owner, colour, rank, weight))


def interfaces_between(
    ends_at: Int[np.ndarray, "F ends"],
    areas: Float[np.ndarray, "F ends G"],
    owner: Int[np.ndarray, " F"],
    colour: Int[np.ndarray, " F"],
    rank: int,
    transmission: str = "robin",
) -> Interfaces:
    """As `build_interfaces`, for pieces of any kind with as many ends each, without a tree.

    Args:
        ends_at: Node of every end of every piece; where ends meet they have it in common, and an end that
            is alone at its node is free.
        areas: Cross-sections through which the ends exchange, for every volume, (F, ends, G).
        owner, colour, rank, transmission: Rank and colour of every piece, this rank, and the rule at nodes, as in
            `build_interfaces`.
    """
    tables = _end_tables(ends_at, areas, transmission)
    node, n_ends = ends_at.ravel(), ends_at.shape[1]
    by_node = np.lexsort((np.arange(len(node)), node))
    slots = _end_slots(node, owner, colour, rank, n_ends)
    local_ends = _local_ends(owner, colour, rank, n_ends)
    local_nodes = np.unique(node[local_ends])
    entries = by_node[np.isin(node[by_node], local_nodes)]

    def per_end(table: Shaped[np.ndarray, "E ..."]) -> Shaped[Array, "P ends ..."]:
        placed: Shaped[Array, "P ends ..."] = jax.device_put(table[local_ends].reshape(-1, n_ends, *table.shape[1:]))
        return placed

    rule = TransmissionRule(
        entry_slot=jax.device_put(np.array([slots[int(end)] for end in entries], np.int32)),
        entry_node=jax.device_put(np.searchsorted(local_nodes, node[entries]).astype(np.int32)),
        entry_weight=jax.device_put(tables.weight[entries]),
        end_node=per_end(np.searchsorted(local_nodes, node).astype(np.int32)),
        coefficient=per_end(tables.coefficient),
        source_weight=per_end(tables.source),
    )
    return Interfaces(
        rows=EdgeRows(per_end(tables.receive), per_end(tables.send)),
        rule=rule,
        plan=plan_exchange(_messages(node, by_node, owner, colour, n_ends), rank),
        n_ghosts=len(slots) - len(local_ends),
        n_nodes=len(local_nodes),
        relaxation=per_end(tables.relaxation),
    )


def _tree_plan(
    pieces: Cable,
    owner: Int[np.ndarray, " F"],
    colour: Int[np.ndarray, " F"],
    rank: int,
    weight: Float[np.ndarray, "E G"],
) -> TreePlan:
    stored = [storage_order(owner, colour, one) for one in range(int(owner.max()) + 1)]
    return plan_tree(stored, pieces.node, weight.reshape(-1, 2, weight.shape[-1]), rank)


def _local_ends(
    owner: Int[np.ndarray, " F"], colour: Int[np.ndarray, " F"], rank: int, n_ends: int
) -> Int[np.ndarray, " E"]:
    ends: Int[np.ndarray, "P ends"] = n_ends * storage_order(owner, colour, rank)[:, None] + np.arange(n_ends)
    return ends.ravel()


def _end_slots(
    node: Int[np.ndarray, " all_ends"],
    owner: Int[np.ndarray, " F"],
    colour: Int[np.ndarray, " F"],
    rank: int,
    n_ends: int,
) -> dict[int, int]:
    """Slot of every end that a rank knows: its own in storage order, then the ghosts in tree order."""
    own = _local_ends(owner, colour, rank, n_ends)
    touching = np.flatnonzero(np.isin(node, node[own]))
    ghosts = touching[owner[touching // n_ends] != rank]
    return {int(end): slot for slot, end in enumerate(np.r_[own, ghosts])}


def _messages(
    node: Int[np.ndarray, " all_ends"],
    by_node: Int[np.ndarray, " all_ends"],
    owner: Int[np.ndarray, " F"],
    colour: Int[np.ndarray, " F"],
    n_ends: int,
) -> dict[tuple[int, int], tuple[list[int], list[int]]]:
    """Every rank that touches a node gets what all ends that meet there send."""
    slots: dict[int, dict[int, int]] = {}
    messages: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    for ends in np.split(by_node, np.flatnonzero(np.diff(node[by_node])) + 1):
        ranks = {int(owner[end // n_ends]) for end in ends}
        if len(ranks) == 1:
            continue
        for rank in ranks - slots.keys():
            slots[rank] = _end_slots(node, owner, colour, rank, n_ends)
        for end in ends:
            sender = int(owner[end // n_ends])
            for receiver in ranks - {sender}:
                sent, received = messages.setdefault((sender, receiver), ([], []))
                sent.append(slots[sender][int(end)])
                received.append(slots[receiver][int(end)])
    return messages


def of_rows(weight: Float[Array, "... G"], size: int) -> Float[Array, "... rows"]:
    """Weights of species as those of rows K·T, species after species; one for all rows where there is one volume."""
    return weight if weight.shape[-1] == 1 else jnp.repeat(weight, size // weight.shape[-1], axis=-1)


def exchanged(
    interfaces: Interfaces, communicator: Communicator, ends: Float[Array, "P ends ..."]
) -> Float[Array, "S ..."]:
    """Data of ends in all slots: the local ones', then the ghosts' from other ranks.

    Traceable; collective over all ranks.
    """
    rest = ends.shape[2:]
    slots = jnp.concatenate([ends.reshape(-1, *rest), jnp.zeros((interfaces.n_ghosts, *rest))])
    return communicator.exchange(slots, interfaces.plan)


def orders(
    rule: TransmissionRule, n_nodes: int, robin_out: Float[Array, "S K T"], given: Float[Array, "P ends K T"]
) -> Float[Array, "P ends K T"]:
    """What the local ends receive next, from what was sent into all slots (local ends, then ghosts)."""
    entries = robin_out[rule.entry_slot]
    weighted = rule.entry_weight[..., None] * entries[:, None]
    sums = jax.ops.segment_sum(weighted, rule.entry_node, n_nodes, indices_are_sorted=True)
    at_end = sums[rule.end_node]
    own = robin_out[: rule.end_node.size].reshape(given.shape)
    a, b, c = (rule.coefficient[:, :, i, :, None] for i in range(3))
    return a * at_end[:, :, 0] + b * at_end[:, :, 1] + c * own + given
