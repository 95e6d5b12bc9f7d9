"""Star solves: all ends that meet at a node receive at once what makes them agree.

A star is the pieces that meet at a node: an overlapping Schwarz subdomain. Its local problem, with
what the far ends receive held, needs no training, as the pieces are condensed already. An end i
sends o_i = b_i + S_ii g_i, where b_i holds what comes through from its far end, and Robin's rule
asks g_i = 2N + s_i − o_i with N = Σ_j w_j o_j over the star (see `interfaces`). Hence, with
E_i = (I + S_ii)⁻¹,

    (2 Σ_j w_j E_j − I) N = Σ_j w_j y_j,   y_j = E_j (b_j − s_j) + s_j,   g_i = E_i (2N + s_i − b_i).

What is left over by one star reaches the next only through a whole piece: sweeps over red stars and
then black ones contract by the square of what a piece lets through.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from hpcpinn.domain.interfaces import Interfaces, exchanged, of_rows
from hpcpinn.parallel.communicator import Communicator

RED, BLACK = 0, 1


class Stars(NamedTuple):
    """Condensed operators of a rank's stars; E = K·T, in units of the scale.

    Every piece has one end on a red node and one on a black node: the first axis of `through` and
    `yielding` is that colour.

    Attributes:
        through: Part that an end sends per unit that its piece's other end receives.
        yielding: E_i above.
        node: (2 Σ w E − I)⁻¹ of every local node.
    """

    through: Float[Array, "2 P E E"]
    yielding: Float[Array, "2 P E E"]
    node: Float[Array, "N E E"]


def by_colour(ends: Shaped[Array, "P 2 ..."], n_red: int) -> Shaped[Array, "2 P ..."]:
    """Sorts ends by the colour of their node: a red piece begins on a red node, a black one ends there."""
    first, second = ends[:, 0], ends[:, 1]
    red = jnp.concatenate([first[:n_red], second[n_red:]])
    black = jnp.concatenate([second[:n_red], first[n_red:]])
    return jnp.stack([red, black])


def by_piece(coloured: Float[Array, "2 P ..."], n_red: int) -> Float[Array, "P 2 ..."]:
    """The inverse of `by_colour`."""
    red, black = coloured
    first = jnp.concatenate([red[:n_red], black[n_red:]])
    second = jnp.concatenate([black[:n_red], red[n_red:]])
    return jnp.stack([first, second], axis=1)


def condense_stars(
    interfaces: Interfaces, communicator: Communicator, transfer: Float[Array, "P S S"], n_red: int
) -> Stars:
    """Prepares star solves from the pieces' transfer operators. Traceable; collective over all ranks.

    Args:
        interfaces: Interfaces of this rank, with Robin's rule.
        transfer: Transfer operator S of every piece, (P, 2E, 2E).
        n_red: Pieces stored first that are red, that is of even depth in the tree.
    """
    n_pieces, n_told = transfer.shape[0], transfer.shape[-1] // 2
    blocks = transfer.reshape(n_pieces, 2, n_told, 2, n_told)
    identity = jnp.eye(n_told)
    inner = interfaces.rule.is_inner[:, :, None, None]
    own = jnp.stack([blocks[:, 0, :, 0], blocks[:, 1, :, 1]], axis=1)
    yielding = jnp.where(inner, jnp.linalg.inv(identity + jnp.where(inner, own, 0.0)), identity)
    through = jnp.stack([blocks[:, 0, :, 1], blocks[:, 1, :, 0]], axis=1)
    node = jnp.linalg.inv(2.0 * _node_sums(interfaces, communicator, yielding) - identity)
    return Stars(by_colour(through, n_red), by_colour(yielding, n_red), node)


def _node_sums(
    interfaces: Interfaces, communicator: Communicator, ends: Float[Array, "P 2 ..."]
) -> Float[Array, "N ..."]:
    """Σ_j w_j x_j over the ends of every local node, in the order of the whole tree; the rows of x are K·T."""
    rule, rest = interfaces.rule, ends.shape[2:]
    entries = exchanged(interfaces, communicator, ends)[rule.entry_slot]
    weight = of_rows(rule.entry_weight[:, 0], rest[0])
    weight = weight.reshape(*weight.shape, *[1] * (len(rest) - 1))
    return jax.ops.segment_sum(weight * entries, rule.entry_node, interfaces.n_nodes, indices_are_sorted=True)


def star_sweep(
    stars: Stars,
    interfaces: Interfaces,
    communicator: Communicator,
    n_red: int,
    order: str,
    base: Float[Array, "P 2 E"],
    given: Float[Array, "P 2 E"],
    robin_in: Float[Array, "P 2 E"],
) -> Float[Array, "P 2 E"]:
    """What the ends receive after one sweep over all stars. Traceable; collective over all ranks.

    Args:
        order: "red-black", or "additive" for all stars at once.
        base, given, robin_in: Parts of what ends send and receive, as in `sweep_until_agreed`, in units of the scale.
    """
    bases, givens, now = (by_colour(x, n_red) for x in (base, given, robin_in))
    nodes = by_colour(interfaces.rule.end_node, n_red)
    inner = by_colour(interfaces.rule.is_inner[:, :, None], n_red)

    def solved(colours: tuple[int, ...], now: Array) -> Array:
        far = {c: bases[c] + jnp.einsum("pij,pj->pi", stars.through[c], now[1 - c]) for c in colours}
        ask = jnp.zeros_like(now)
        for c in colours:
            ask = ask.at[c].set(jnp.einsum("pij,pj->pi", stars.yielding[c], far[c] - givens[c]) + givens[c])
        sums = _node_sums(interfaces, communicator, by_piece(ask, n_red))
        common = 2.0 * jnp.einsum("nij,nj->ni", stars.node, sums)
        for c in colours:
            wanted = common[nodes[c]] + givens[c] - far[c]
            wanted = jnp.einsum("pij,pj->pi", stars.yielding[c], wanted)
            now = now.at[c].set(jnp.where(inner[c], wanted, givens[c]))
        return now

    groups = ((RED, BLACK),) if order == "additive" else ((RED,), (BLACK,))
    for colours in groups:
        now = solved(colours, now)
    return by_piece(now, n_red)
