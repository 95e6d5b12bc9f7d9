"""A tree solve in two parts: the matrix is eliminated once and kept, right-hand sides go through it.

`tree_solve` does both at once, and its matrix costs as much as some hundred right-hand sides. Where
the matrix stays (a linear equation, windows of a length that comes back) only substitutions are left:
towards the node that went last, and back.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hpcpinn.domain.elimination_plan import Elimination, TreePlan
from hpcpinn.domain.tree_solve import NodeSystem, eliminate
from hpcpinn.parallel.communicator import Communicator


class EliminationFactors(NamedTuple):
    """Kept factors of an elimination, for S systems on the same tree; A of node p and neighbours q.

    Attributes:
        inverse: A_pp⁻¹.
        towards: A_qp A_pp⁻¹: what the right-hand side of a neighbour loses.
        back: A_pp⁻¹ A_pq: what the value of a neighbour takes off.
    """

    inverse: Float[Array, "steps W S E E"]
    towards: Float[Array, "steps W S 2 E E"]
    back: Float[Array, "steps W S 2 E E"]


class TreeFactors(NamedTuple):
    """Factors of the nodes that a rank eliminates alone, and of those that all ranks do."""

    own: EliminationFactors
    top: EliminationFactors


def factorise(communicator: Communicator, tree: TreePlan, system: NodeSystem) -> TreeFactors:
    """Eliminates all nodes of one system. Traceable; collective over all ranks.

    Args:
        communicator: All ranks.
        tree: Plan of this rank.
        system: Part of the matrix that this rank knows; its right-hand side is of no account.

    Returns:
        The factors, S = 1.
    """
    own, rest = _steps(tree.own, system)
    size = rest.right.shape[-1]
    blocks = jnp.zeros((tree.n_kept + tree.n_links, size, size))
    if tree.n_kept:
        blocks = blocks.at[tree.kept_number].add(rest.diagonal[tree.kept])
        blocks = blocks.at[tree.n_kept + tree.links_number].add(rest.links[tree.links])
        blocks = communicator.sum(blocks)
    nothing = jnp.zeros((tree.n_kept, size))
    top, _ = _steps(tree.top, NodeSystem(blocks[: tree.n_kept], blocks[tree.n_kept :], nothing))
    return TreeFactors(own, top)


def _steps(plan: Elimination, system: NodeSystem) -> tuple[EliminationFactors, NodeSystem]:
    record, rest = eliminate(plan, system)
    back = jnp.einsum("swij,swajk->swaik", record.inverse, record.outward)
    return jax.tree.map(lambda x: x[:, :, None], EliminationFactors(record.inverse, record.factor, back)), rest


def together(systems: list[TreeFactors]) -> TreeFactors:
    """The factors of several systems on the same tree as those of one call of `substitute`."""
    joined: TreeFactors = jax.tree.map(lambda *x: jnp.concatenate(x, axis=2), *systems)
    return joined


def substitute(
    communicator: Communicator,
    tree: TreePlan,
    stored: TreeFactors,
    number: Int[Array, ""],
    right: Float[Array, "N S E"],
) -> Float[Array, "N S E"]:
    """Values at this rank's nodes. Traceable; collective over all ranks.

    Args:
        communicator: All ranks.
        tree: Plan of this rank.
        stored: Factors with a leading axis of matrices that are kept.
        number: Row of the matrix among those kept; read where it lies, not copied.
        right: Part of the right-hand sides that this rank knows, (N, S, E).
    """
    right, gone = _forward(tree.own, stored.own, number, right)
    values = jnp.zeros_like(right)
    if tree.n_kept:
        shared = jnp.zeros((tree.n_kept, *right.shape[1:]))
        shared = communicator.sum(shared.at[tree.kept_number].add(right[tree.kept]))
        rest, left = _forward(tree.top, stored.top, number, shared)
        shared = _backward(tree.top, stored.top, number, left, jnp.zeros_like(rest))
        values = values.at[tree.kept].set(shared[tree.kept_number])
    return _backward(tree.own, stored.own, number, gone, values)


def _forward(
    plan: Elimination, stored: EliminationFactors, number: Array, right: Float[Array, "N S E"]
) -> tuple[Array, Float[Array, "steps W S E"]]:
    """What is left of the right-hand sides, and A_pp⁻¹ r_p of the nodes that went."""

    def step(right: Array, at: tuple[Array, Elimination]) -> tuple[Array, Array]:
        count, places = at
        own = right[places.node]
        lost = jnp.einsum("wsaij,wsj->wasi", stored.towards[number, count], own)
        right = right.at[places.neighbour].add(-lost)
        return right, jnp.einsum("wsij,wsj->wsi", stored.inverse[number, count], own)

    rest, gone = jax.lax.scan(step, _with_idle(right), (jnp.arange(len(plan.node)), plan))
    return rest[:-1], gone


def _backward(plan: Elimination, stored: EliminationFactors, number: Array, gone: Array, values: Array) -> Array:
    """Fills in the values of the nodes that went from those that are known."""

    def step(values: Array, at: tuple[Array, Elimination, Array]) -> tuple[Array, None]:
        count, places, own = at
        near = values[places.neighbour]
        taken = jnp.einsum("wsaij,wasj->wsi", stored.back[number, count], near)
        return values.at[places.node].set(own - taken), None

    rows = (jnp.arange(len(plan.node)), plan, gone)
    return jax.lax.scan(step, _with_idle(values), rows, reverse=True)[0][:-1]


def _with_idle(x: Float[Array, "N S E"]) -> Float[Array, "N+1 S E"]:
    """With one more node, where idle places lie."""
    return jnp.concatenate([x, jnp.zeros((1, *x.shape[1:]))])
