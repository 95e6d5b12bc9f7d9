"""Star solves: exact where one star is all there is, the same on any colouring, few sweeps elsewhere."""

from dataclasses import replace
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.domain.interfaces import build_interfaces, storage_order
from hpcpinn.domain.partition import colour
from hpcpinn.domain.schwarz import Answers, Sweeps, SweepSettings, sweep_until_agreed
from hpcpinn.domain.stars import by_colour, by_piece, condense_stars
from hpcpinn.morphology.cable import Cable
from hpcpinn.parallel.transports import make_communicator
from tests.domain.test_coupled_window import branches
from tests.training.systems import Decay, cable

T = 3
SERIAL = make_communicator("serial")


def spider() -> Cable:
    """Five legs of different radii from one node."""
    return cable([(0, 1), (1, 2), (1, 3), (1, 4), (1, 5)], [1.0] * 5, [(r, r) for r in (1.0, 0.8, 0.5, 0.3, 0.2)])


def reflecting(n_pieces: int, strength: float, through: float) -> jnp.ndarray:
    """Transfer operators with norm `strength` of what an end reflects and `through` of what passes."""
    rng = np.random.default_rng(3)
    block = rng.standard_normal((n_pieces, 2, 2, 2 * T, 2 * T))
    block /= np.linalg.norm(block, axis=(3, 4), ord=2)[:, :, :, None, None]
    block *= np.where(np.eye(2, dtype=bool), strength, through)[None, :, :, None, None]
    return jnp.asarray(np.moveaxis(block, 2, 3).reshape(n_pieces, 4 * T, 4 * T))


def swept(pieces: Cable, transfer: jnp.ndarray, **chosen) -> Sweeps:
    owner, colours = np.zeros(pieces.n_frusta, int), colour(pieces)
    assert len(storage_order(owner, colours, 0)) == pieces.n_frusta
    interfaces = build_interfaces(pieces, owner, colours, 0)
    n_red = int((colours == 0).sum())
    settings = SweepSettings(n_red, acceleration="stars", tolerance=1e-12, max_sweeps=300)
    settings = replace(settings, **chosen)
    rng = np.random.default_rng(4)
    base, given = (jnp.asarray(rng.standard_normal((pieces.n_frusta, 2, 2, T))) for _ in range(2))
    stars = condense_stars(interfaces, SERIAL, transfer, n_red)
    meeting = SimpleNamespace(equation=Decay(), interfaces=interfaces, communicator=SERIAL, sweeping=settings)
    answers = Answers(transfer, base, given, stars if settings.over_stars else None)
    return sweep_until_agreed(meeting, answers, jnp.zeros_like(base), jnp.ones(2), settings.tolerance)


def test_sorting_by_colour_can_be_undone() -> None:
    ends = jnp.arange(20.0).reshape(5, 2, 2)
    assert np.array_equal(by_piece(by_colour(ends, 3), 3), ends)


@pytest.mark.parametrize("pieces", [branches(), spider()], ids=["fork", "spider"])
def test_every_piece_has_one_end_of_each_colour(pieces: Cable) -> None:
    """What `by_colour` assumes: all ends at a node have the colour of that node."""
    colours = colour(pieces)
    stored = storage_order(np.zeros(pieces.n_frusta, int), colours, 0)
    ends = jnp.asarray(pieces.node[stored][:, :, None])
    red, black = np.asarray(by_colour(ends, int((colours == 0).sum())))[:, :, 0]
    assert not set(red.tolist()) & set(black.tolist())


def test_a_single_star_is_solved_in_one_sweep() -> None:
    outcome = swept(spider(), reflecting(5, 0.9, 0.5))
    assert int(outcome.made) == 1
    assert float(outcome.jump) < 1e-13


@pytest.mark.parametrize("order", ["red-black", "additive"])
def test_stars_end_where_pieces_end(order: str) -> None:
    transfer = reflecting(6, 0.6, 0.3)
    ours, theirs = (
        swept(branches(), transfer, **chosen)
        for chosen in ({"order": order}, {"acceleration": "anderson", "memory": 8})
    )
    assert max(float(ours.jump), float(theirs.jump)) < 1e-12
    assert np.abs(np.asarray(ours.robin_in - theirs.robin_in)).max() < 1e-10
    assert int(ours.made) < int(theirs.made)


def test_sweeps_contract_by_the_square_of_what_a_piece_lets_through() -> None:
    """However much an end reflects: that part is solved exactly."""
    rates = []
    for through in (0.1, 0.01):
        history = np.asarray(swept(branches(), reflecting(6, 0.5, through)).history)
        history = history[np.isfinite(history) & (history > 1e-13)]
        rates.append((history[-1] / history[0]) ** (1.0 / (len(history) - 1)))
    assert rates[0] < 0.1
    assert rates[1] < 0.02 * rates[0]
