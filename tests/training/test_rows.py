"""Rows and losses, against rows written down independently from the equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.training.rows import ResidualRows, alpha_loss, piece_rows, residual_emphasis, resolvent_at
from tests.training.test_least_squares import WEIGHTS, Case, case_of


def rows_of(case: Case) -> tuple[ResidualRows, jax.Array]:
    resolvent = resolvent_at(case.equation, case.table, case.window, case.heads)
    rows = jax.jit(lambda heads: piece_rows(case.rows, case.window, case.robin_in, resolvent, heads))(case.heads)
    return rows, resolvent


@pytest.mark.parametrize("name", ["linear", "nonlinear"])
def test_rows_are_those_of_the_equation(name: str) -> None:
    case = case_of(name)
    rows, resolvent = rows_of(case)
    weights = (1.0, WEIGHTS.initial, WEIGHTS.edge)
    independent = jax.jit(case._rows)
    for piece in range(3):
        wanted = independent(piece, case.heads[piece], case.robin_in[piece], resolvent[piece])[:-1]
        got = np.concatenate([w * np.ravel(block[piece]) for w, block in zip(weights, rows, strict=True)])
        np.testing.assert_allclose(np.sort(got), np.sort(wanted), atol=1e-10)


def test_alpha_weighs_the_equation_against_all_data() -> None:
    draw = np.random.default_rng(0)
    rows = ResidualRows(*(jnp.asarray(draw.normal(size=s)) for s in ((3, 2, 7), (3, 2, 4), (3, 2, 2, 5))))
    equation, initial, edge = ((np.asarray(b) ** 2).reshape(3, -1).sum(1) for b in rows)
    np.testing.assert_allclose(alpha_loss(rows, 0.3), 0.3 * equation + 0.7 * (initial + edge), rtol=1e-14)


def test_emphasis_follows_the_residual_and_keeps_the_mean() -> None:
    case = case_of("nonlinear")
    emphasis = residual_emphasis(case.equation, case.table, case.geometry, case.window, case.heads)
    rows, _ = rows_of(case)
    size = np.linalg.norm(rows.equation / np.sqrt(case.table.points.weight), axis=1)
    np.testing.assert_allclose(emphasis @ case.table.points.weight, 1.0, rtol=1e-12)
    for piece in range(3):
        slope, level = np.polyfit(size[piece], emphasis[piece], 1)
        np.testing.assert_allclose(level + slope * size[piece], emphasis[piece], rtol=1e-10)
        assert level == pytest.approx(0.5) and slope > 0.0
