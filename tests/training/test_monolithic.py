"""The dense baseline of scripts/monolithic.py against exact solutions of the diffusion equation."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from hpcpinn.training.first_order import FirstOrder
from hpcpinn.training.levenberg_marquardt import LevenbergMarquardt
from monolithic import CableTask, DenseNetwork, Monolithic

D = 0.3


@dataclass(frozen=True)
class Diffusion:
    """One species that only diffuses."""

    names = ("u",)
    content = (1.0,)
    volumes = ("cytosol",)
    diffusion = (D,)
    scale = (2.0,)
    rate = (0.0,)
    rest = (0.5,)

    def source(self, u: Array, forcing: Any) -> Array:
        return 0.0 * u


def cosine(x, t):
    return 0.5 + np.cos(np.pi * (x - 1.0) / 2.0) * np.exp(-D * (np.pi / 2.0) ** 2 * (t - 0.2))


TASK = CableTask(Diffusion(), (), 1.0, 2.0, 0.2, 0.8, lambda x: cosine(x, 0.2)[None], np.zeros((1, 2)))
MODEL = Monolithic(TASK, DenseNetwork(1, width=8, layers=2), n_inside=150, n_initial=30, n_edge=20)
X = np.linspace(1.0, 3.0, 41)


def test_levenberg_marquardt_finds_the_exact_solution() -> None:
    trained = MODEL.train(LevenbergMarquardt(steps=60, tolerance=1e-4), lambda weights, loss: loss < 1e-9)
    for t in (0.2, 0.6, 1.0):
        np.testing.assert_allclose(MODEL.field(trained, X, t)[0], cosine(X, t), atol=2e-4)


def test_a_given_flux_comes_in() -> None:
    """At the left end: content grows by J t, and the field rises towards that end."""
    flat = replace(TASK, initial=lambda x: np.full((1, len(x)), 0.5), influx=np.array([[0.4, 0.0]]))
    model = replace(MODEL, task=flat)
    trained = model.train(LevenbergMarquardt(steps=40, tolerance=1e-3), lambda weights, loss: False)
    field = np.asarray(model.field(trained, X, 1.0)[0])
    assert np.trapezoid(field - 0.5, X) == pytest.approx(0.4 * 0.8, rel=0.02)
    assert field[0] > field[20] > field[-1]


def test_the_loss_is_weighted_by_alpha() -> None:
    weights = MODEL.begin()
    squares = [float(jnp.sum(block**2)) for block in MODEL.rows(weights)]
    loss = replace(MODEL, alpha=0.9).loss(weights)
    assert float(loss) == pytest.approx(0.9 * squares[0] + 0.1 * (squares[1] + squares[2]), rel=1e-12)


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_training_is_repeatable_and_the_seed_counts(name: str) -> None:
    def flat(weights: Any) -> np.ndarray:
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(weights)])

    def trained() -> np.ndarray:
        losses: list[float] = []

        def watch(weights: Any, loss: float) -> bool:
            losses.append(loss)
            return len(losses) == 2

        weights = MODEL.train(FirstOrder(name), watch, chunk=20)
        assert losses[1] < losses[0] < float(MODEL.loss(MODEL.begin()))
        return flat(weights)

    np.testing.assert_array_equal(trained(), trained())
    assert not np.array_equal(flat(MODEL.begin()), flat(replace(MODEL, seed=1).begin()))
