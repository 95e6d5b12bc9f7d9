"""Tree solves: elimination against dense algebra, all ends agree at once, on any number of ranks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from hpcpinn.domain.elimination_plan import Elimination, Link, plan_elimination
from hpcpinn.domain.interfaces import Interfaces, build_interfaces, exchanged, orders, storage_order
from hpcpinn.domain.partition import colour, partition
from hpcpinn.domain.tree_solve import NodeSystem, eliminate, substitute, tree_solve
from hpcpinn.morphology.cable import Cable
from hpcpinn.parallel.communicator import SerialCommunicator
from tests.domain.test_stars import T, reflecting, swept
from tests.domain.trees import tree

SERIAL = SerialCommunicator()
E = 2 * T
CHAIN = [-1, *range(13)]
COMB = [-1, 0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
BINARY = [-1, *(i // 2 for i in range(14))]
SPIDER = [-1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
TREES = {"piece": [-1], "chain": CHAIN, "comb": COMB, "binary": BINARY, "spider": SPIDER}
every_tree = pytest.mark.parametrize("parents", TREES.values(), ids=TREES.keys())


class Reporting(SerialCommunicator):
    """One rank alone: remembers what it would have added to a sum over all ranks."""

    def sum(self, x: Array) -> Array:
        self.part = x
        return x


def shared_by(interfaces: Interfaces, *parts: Array) -> Array:
    """What a rank adds to the sum over all ranks."""
    here = Reporting()
    tree_solve(interfaces, here, *parts)
    return here.part


class Told(SerialCommunicator):
    """One rank, told the sum over all ranks."""

    def __init__(self, total: np.ndarray) -> None:
        self.total = total

    def sum(self, x: Array) -> Array:
        return jnp.asarray(self.total)


def random_system(parents: list[int], size: int) -> tuple[list[Link], NodeSystem, np.ndarray]:
    """A system with dominant blocks on a tree of nodes, and its dense matrix."""
    rng, n = np.random.default_rng(len(parents)), len(parents)
    links = [Link(p, i, 2 * (i - 1), 2 * (i - 1) + 1) for i, p in enumerate(parents) if i > 0]
    diagonal = rng.standard_normal((n, size, size)) + 3.0 * size * np.eye(size)
    blocks = rng.standard_normal((2 * len(links), size, size))
    dense = np.zeros((n, size, n, size))
    dense[np.arange(n), :, np.arange(n)] = diagonal
    for link in links:
        dense[link.first, :, link.second] = blocks[link.forward]
        dense[link.second, :, link.first] = blocks[link.backward]
    right = rng.standard_normal((n, size))
    system = NodeSystem(jnp.asarray(diagonal), jnp.asarray(blocks), jnp.asarray(right))
    return links, system, dense.reshape(n * size, n * size)


@every_tree
def test_elimination_solves_what_dense_algebra_solves(parents: list[int]) -> None:
    links, system, dense = random_system(parents, 3)
    plan, left = plan_elimination(len(parents), 2 * len(links), links, np.ones(len(parents), bool))
    assert not left
    record, _ = eliminate(plan, system)
    values = substitute(plan, record, jnp.zeros_like(system.right))
    expected = np.linalg.solve(dense, np.asarray(system.right).ravel())
    assert np.abs(np.asarray(values).ravel() - expected).max() < 1e-12


@every_tree
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_left_is_the_schur_complement(parents: list[int], seed: int) -> None:
    """Of the nodes that stay, forks among them: the system that the others leave behind."""
    n = len(parents)
    links, system, dense = random_system(parents, 1)
    goes = np.random.default_rng(seed).random(n) < 0.7
    plan, left = plan_elimination(n, 2 * len(links), links, goes)
    gone = np.zeros(n + 1, bool)
    gone[np.asarray(plan.node).ravel()] = True
    gone, stays = gone[:-1], ~gone[:-1]
    assert not (gone & ~goes).any()
    _, rest = eliminate(plan, system)
    schur = np.diag(np.asarray(rest.diagonal)[:, 0, 0])
    for link in left:
        schur[link.first, link.second] = rest.links[link.forward, 0, 0]
        schur[link.second, link.first] = rest.links[link.backward, 0, 0]
    inner = dense[np.ix_(gone, gone)]
    expected = dense[np.ix_(stays, stays)] - dense[np.ix_(stays, gone)] @ np.linalg.solve(
        inner, dense[np.ix_(gone, stays)]
    )
    assert np.abs(schur[np.ix_(stays, stays)] - expected).max(initial=0.0) < 1e-12


def rounds(parents: list[int]) -> tuple[Elimination, int]:
    links = [Link(p, i, 2 * (i - 1), 2 * (i - 1) + 1) for i, p in enumerate(parents) if i > 0]
    plan, _ = plan_elimination(len(parents), 2 * len(links), links, np.ones(len(parents), bool))
    return plan, len(plan.node)


@pytest.mark.parametrize("shape", ["chain", "comb", "binary"])
def test_steps_grow_with_the_logarithm_of_the_tree(shape: str) -> None:
    """At a fixed number of nodes per step: about a dozen full steps, then a few per doubling."""
    above = {
        "chain": lambda i: i - 1,
        "comb": lambda i: i - 1 if i % 2 else i - 2,
        "binary": lambda i: (i - 1) // 2,
    }[shape]
    steps = [rounds([max(above(i), 0) for i in range(n)])[1] for n in (128, 512, 2048)]
    assert steps[0] <= 30
    assert max(np.diff(steps)) <= 6


def problem(pieces: Cable, owner: np.ndarray, rank: int, transfer: Array, base: Array, robin_in: Array):
    """Arguments of `tree_solve` on one rank."""
    mine = storage_order(owner, colour(pieces), rank)
    interfaces = build_interfaces(pieces, owner, colour(pieces), rank)
    return interfaces, mine, (transfer[mine], base[mine], robin_in[mine])


def data(n_pieces: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    return tuple(jnp.asarray(rng.standard_normal((n_pieces, 2, E))) for _ in range(2))


@every_tree
def test_all_ends_agree_at_once(parents: list[int]) -> None:
    """The node rule asks for no change of what the ends are told, on whatever tree."""
    pieces = tree(parents)
    n, alone = pieces.n_frusta, np.zeros(pieces.n_frusta, int)
    base, source = data(n)
    interfaces, _, parts = problem(pieces, alone, 0, reflecting(n, 0.6, 0.35), base, source)
    robin_in = jax.jit(partial(tree_solve, interfaces, SERIAL))(*parts)
    reports = parts[1] + jnp.einsum("pij,pj->pi", parts[0], robin_in.reshape(n, -1)).reshape(robin_in.shape)
    slots = exchanged(interfaces, SERIAL, reports[:, :, None])
    asked = orders(interfaces.rule, interfaces.n_nodes, slots, parts[2][:, :, None])[:, :, 0]
    assert np.abs(np.asarray(asked - robin_in)).max() < 1e-11


@pytest.mark.parametrize("parents, n_ranks", [(CHAIN, 3), (SPIDER, 4)])
def test_ranks_find_what_one_rank_finds(parents: list[int], n_ranks: int) -> None:
    pieces = tree(parents)
    n = pieces.n_frusta
    base, source = data(n)
    transfer = reflecting(n, 0.6, 0.35)
    interfaces, mine, parts = problem(pieces, np.zeros(n, int), 0, transfer, base, source)
    expected = np.zeros(base.shape)
    expected[mine] = tree_solve(interfaces, SERIAL, *parts)

    owner = partition(pieces, np.ones(n), n_ranks).owner
    ranks = [problem(pieces, owner, rank, transfer, base, source) for rank in range(n_ranks)]
    total = sum(np.asarray(jax.jit(partial(shared_by, here))(*parts)) for here, _, parts in ranks)
    found = np.zeros(base.shape)
    for here, mine, parts in ranks:
        found[mine] = jax.jit(partial(tree_solve, here, Told(total)))(*parts)
    assert np.abs(found - expected).max() < 1e-11


def test_a_chain_that_sweeps_cross_slowly_agrees_after_two() -> None:
    chain = tree([-1, *range(39)])
    transfer = reflecting(40, 0.3, 0.6)
    slow, fast = (swept(chain, transfer, acceleration=name) for name in ("stars", "tree"))
    assert int(slow.made) > 10
    assert int(fast.made) <= 2
    assert float(fast.jump) < 1e-12
    assert np.abs(np.asarray(fast.robin_in - slow.robin_in)).max() < 1e-10
