"""Tree solve: what all ends must receive so that all nodes agree at once, by elimination.

Where diffusion crosses many pieces within a window, sweeps carry news by one piece at a time. This
is the coarse correction that carries it across the whole tree: the interfaces' own equations, solved
exactly. With Robin's rule the ends of a piece receive g = D(M − o) + s, where M = 2N is common to
the ends at a node (see `interfaces`), D picks the ends that are not free, and o = b + S g. Hence

    g = R (D(M − b) + s),   R = (I + D S)⁻¹,

and o = M + s − g in M = 2 Σ_j w_j o_j leaves one block of unknowns per node, coupled through pieces:

    Σ_j w_j (I − 2 R_jj) M − 2 Σ_j w_j R_j,far M_far = 2 Σ_j w_j ( [R (s − D b)]_j − s_j ).

On a tree, blocks are eliminated without fill-in, see `elimination_plan`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hpcpinn.domain.elimination_plan import Elimination, TreePlan
from hpcpinn.domain.interfaces import Interfaces, of_rows
from hpcpinn.parallel.communicator import Communicator


class NodeSystem(NamedTuple):
    """Σ_q A_pq M_q = r_p on the nodes of a forest.

    Attributes:
        diagonal: A_pp.
        links: A_pq of every slot.
        right: r.
    """

    diagonal: Float[Array, "N E E"]
    links: Float[Array, "L E E"]
    right: Float[Array, "N E"]


class Eliminated(NamedTuple):
    """What the way back needs of every step.

    Attributes:
        inverse: A_pp⁻¹ of the nodes that went.
        outward: A_pq towards their neighbours.
        factor: A_qp A_pp⁻¹, which takes right-hand sides to the neighbours.
        right: r_p.
    """

    inverse: Float[Array, "steps W E E"]
    outward: Float[Array, "steps W 2 E E"]
    factor: Float[Array, "steps W 2 E E"]
    right: Float[Array, "steps W E"]


def eliminate(steps: Elimination, system: NodeSystem) -> tuple[Eliminated, NodeSystem]:
    """Eliminates nodes. Traceable; not collective.

    Returns:
        The steps, and the system that is left; what it holds at nodes and slots that went is
        of no use.
    """

    def step(padded: NodeSystem, places: Elimination) -> tuple[NodeSystem, Eliminated]:
        diagonal, links, right = padded
        inverse = jnp.linalg.inv(diagonal[places.node])
        outward, inward = links[places.outward], links[places.inward]
        own = right[places.node]
        factor = jnp.einsum("waij,wjk->waik", inward, inverse)
        fill = -jnp.einsum("waij,wbjk->wabik", factor, outward)
        diagonal = diagonal.at[places.neighbour].add(jnp.stack([fill[:, 0, 0], fill[:, 1, 1]], axis=1))
        links = links.at[places.inward].set(jnp.stack([fill[:, 0, 1], fill[:, 1, 0]], axis=1))
        right = right.at[places.neighbour].add(-jnp.einsum("waij,wj->wai", factor, own))
        return NodeSystem(diagonal, links, right), Eliminated(inverse, outward, factor, own)

    size = system.right.shape[-1]
    padded = NodeSystem(
        jnp.concatenate([system.diagonal, jnp.eye(size)[None]]),
        jnp.concatenate([system.links, jnp.zeros((1, size, size))]),
        jnp.concatenate([system.right, jnp.zeros((1, size))]),
    )
    rest, record = jax.lax.scan(step, padded, steps)
    return record, NodeSystem(*(x[:-1] for x in rest))


def substitute(steps: Elimination, record: Eliminated, values: Float[Array, "N E"]) -> Float[Array, "N E"]:
    """Fills in the values of eliminated nodes from those that are known. Traceable; not collective."""

    def step(values: Array, at: tuple[Elimination, Eliminated]) -> tuple[Array, None]:
        places, was = at
        near = jnp.einsum("waij,waj->wi", was.outward, values[places.neighbour])
        new = jnp.einsum("wij,wj->wi", was.inverse, was.right - near)
        return values.at[places.node].set(new), None

    padded = jnp.concatenate([values, jnp.zeros((1, values.shape[-1]))])
    return jax.lax.scan(step, padded, (steps, record), reverse=True)[0][:-1]


def tree_solve(
    interfaces: Interfaces,
    communicator: Communicator,
    transfer: Float[Array, "P S S"],
    base: Float[Array, "P 2 E"],
    given: Float[Array, "P 2 E"],
) -> Float[Array, "P 2 E"]:
    """What the ends must receive so that all agree. Traceable; collective over all ranks.

    Args:
        interfaces: Interfaces of this rank, with Robin's rule.
        transfer, base, given: Responses of ends and given fluxes, as in `schwarz.Answers`, in units of the scale.
    """
    tree = interfaces.tree
    assert tree is not None, "Robin's rule only"
    inner = interfaces.rule.is_inner[:, :, None]
    solved = solved_pieces(transfer, inner)
    halo = jnp.einsum("paibj,pbj->pai", solved, given - jnp.where(inner, base, 0.0))
    system = node_system(interfaces, tree, solved, halo - given)
    record, rest = eliminate(tree.own, system)
    values = jnp.zeros_like(system.right)
    if tree.n_kept:
        shared = _solved_by_all(communicator, tree, rest)
        values = values.at[tree.kept].set(shared[tree.kept_number])
    values = substitute(tree.own, record, values)
    common = jnp.where(inner, values[interfaces.rule.end_node], 0.0)
    return halo + jnp.einsum("paibj,pbj->pai", solved, common)


def solved_pieces(transfer: Float[Array, "P S S"], inner: Bool[Array, "P 2 1"]) -> Float[Array, "P 2 E 2 E"]:
    """R of every piece."""
    n_pieces, size = transfer.shape[:2]
    mask = jnp.broadcast_to(inner, (n_pieces, 2, size // 2)).reshape(n_pieces, size, 1)
    matrix = jnp.eye(size) + jnp.where(mask, transfer, 0.0)
    solved: Float[Array, "P 2 E 2 E"] = jnp.linalg.inv(matrix).reshape(n_pieces, 2, size // 2, 2, size // 2)
    return solved


def node_system(
    interfaces: Interfaces, tree: TreePlan, solved: Float[Array, "P 2 E 2 E"], right: Float[Array, "P 2 E"]
) -> NodeSystem:
    """This rank's part of the equations at its nodes."""
    n_pieces, _, size = right.shape
    of_right = of_rows(tree.weight, size)
    weight = of_right[..., None]
    own = jnp.stack([solved[:, 0, :, 0], solved[:, 1, :, 1]], axis=1)
    through = jnp.stack([solved[:, 0, :, 1], solved[:, 1, :, 0]], axis=1)
    nodes, n_nodes = interfaces.rule.end_node.ravel(), interfaces.n_nodes

    def at_nodes(ends: Array) -> Array:
        return jax.ops.segment_sum(ends.reshape(2 * n_pieces, *ends.shape[2:]), nodes, n_nodes)

    return NodeSystem(
        at_nodes(weight * (jnp.eye(size) - 2.0 * own)),
        (-2.0 * weight * through).reshape(2 * n_pieces, size, size),
        at_nodes(2.0 * of_right * right),
    )


def _solved_by_all(communicator: Communicator, tree: TreePlan, rest: NodeSystem) -> Float[Array, "K E"]:
    """Values at the nodes that no rank could eliminate alone: every rank solves for all of them."""
    size = rest.right.shape[-1]
    blocks = jnp.zeros((tree.n_kept + tree.n_links, size, size + 1))
    blocks = blocks.at[tree.kept_number, :, :size].add(rest.diagonal[tree.kept])
    blocks = blocks.at[tree.kept_number, :, size].add(rest.right[tree.kept])
    blocks = blocks.at[tree.n_kept + tree.links_number, :, :size].add(rest.links[tree.links])
    blocks = communicator.sum(blocks)
    nodes, links = blocks[: tree.n_kept], blocks[tree.n_kept :]
    record, _ = eliminate(tree.top, NodeSystem(nodes[:, :, :size], links[:, :, :size], nodes[:, :, size]))
    return substitute(tree.top, record, jnp.zeros((tree.n_kept, size)))
