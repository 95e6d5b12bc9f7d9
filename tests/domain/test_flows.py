"""Content and membrane flow: exact for fields whose integrals are known."""

from types import SimpleNamespace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Polynomial

from hpcpinn.domain.flows import calcium_content, membrane_flows, node_volume
from hpcpinn.training.collocation import gauss_grid
from hpcpinn.training.local import Window, piece_geometry
from tests.training.systems import three_pieces

GRID = gauss_grid(5, 4)
XI, TAU = GRID.points
DURATION = 0.4


class Influx(NamedTuple):
    """Influx density j = inward − out · u per point."""

    membrane_ratio: jnp.ndarray
    inward: jnp.ndarray
    out: jnp.ndarray


def passage(u, forcing: Influx):
    flows = jnp.stack([forcing.inward - forcing.out * u[0], forcing.inward])
    return forcing.membrane_ratio * flows


EQUATION = SimpleNamespace(
    content=(1.0, -2.0), volumes=("cytosol", "cytosol"), rest=(0.5, 1.0), scale=(2.0, 1.0), passage=passage
)


def solver() -> SimpleNamespace:
    """Features are the values 1, ξ, τ on the grid."""
    on_grid = jnp.asarray(np.stack([np.ones_like(XI), XI, TAU], axis=1))
    return SimpleNamespace(
        equation=EQUATION,
        geometry=piece_geometry(three_pieces(), GRID.space),
        table=SimpleNamespace(grid=GRID, on_grid=on_grid),
    )


def along(ends: np.ndarray) -> list[Polynomial]:
    share = Polynomial([0.5, 0.5])
    return [tail + (head - tail) * share for tail, head in ends]


def integral(polynomial: Polynomial) -> float:
    whole = polynomial.integ()
    return float(whole(1.0) - whole(-1.0))


def test_nodes_share_the_volume() -> None:
    np.testing.assert_allclose(np.asarray(node_volume(solver())).sum(axis=(1, 2)), three_pieces().volume, rtol=1e-13)


def test_content_of_a_known_field() -> None:
    cable, wanted = three_pieces(), 0.0
    c, b = Polynomial([1.0, 0.3, -0.2]), Polynomial([0.4, -0.1, 0.0, 0.6])
    for length, a, r in zip(cable.length, along(cable.radius), along(cable.er_radius), strict=True):
        wanted += length / 2.0 * integral(np.pi * (a**2 - r**2) * (c - 2.0 * b))
    field = jnp.broadcast_to(jnp.stack([c(GRID.space), b(GRID.space)]), (3, 2, 5))
    assert float(calcium_content(solver(), field)) == pytest.approx(wanted, rel=1e-13)


def test_flow_through_the_membrane_of_a_known_field() -> None:
    """c = 0.5 + 2(α + βξ + γτ), j = (3 + ξ)(1 + τ) − 0.7 c: integrated over membrane and time by hand."""
    cable, here = three_pieces(), solver()
    alpha, beta, gamma = 0.2, -0.3, 0.4
    heads = jnp.zeros((3, 2, 3)).at[:, 0].set(jnp.array([alpha, beta, gamma]))
    inward = (3.0 + XI) * (1.0 + TAU)
    forcing = Influx(
        jnp.tile(here.geometry.membrane_ratio, (1, 4)),
        jnp.broadcast_to(inward, (3, 20)),
        jnp.full((3, 20), 0.7),
    )
    window = Window(jnp.asarray(DURATION), jnp.zeros((3, 2, 5)), forcing)
    net, entered = membrane_flows(here, window, heads)
    in_all, out_all = 0.0, 0.0
    for length, a in zip(cable.length, along(cable.radius), strict=True):
        around = 2.0 * np.pi * a * length / 2.0
        in_all += DURATION * integral(around * Polynomial([3.0, 1.0]))  # the mean of 1 + τ is 1
        out_all += DURATION * integral(around * 0.7 * Polynomial([0.5 + 2 * alpha, 2 * beta]))
    assert float(entered) == pytest.approx(in_all, rel=1e-13)
    assert float(net) == pytest.approx(in_all - out_all, rel=1e-13)
