"""Small systems and pieces for tests of the local solver."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.morphology.cable import Cable, Section


class NoForcing(NamedTuple):
    """Data of an equation that has none; its leaf says how many pieces and points there are."""

    nothing: Float[Array, "..."]


def no_forcing(pieces: int, points: int) -> NoForcing:
    return NoForcing(jnp.zeros((pieces, points)))


@dataclass(frozen=True)
class Decay:
    """Two species that decay and turn into each other: linear with constant coefficients."""

    names = ("first", "second")
    content = (1.0, 1.0)
    volumes: tuple[str, str] = ("cytosol", "cytosol")
    diffusion: tuple[float, float] = (2.0, 0.5)
    scale: tuple[float, float] = (1.0, 3.0)
    rate: tuple[float, float] = (1.0, 0.0)
    rest: tuple[float, float] = (0.2, 1.0)
    exchange: float = 0.7

    def source(self, u: Float[Array, " 2"], forcing: Any) -> Float[Array, " 2"]:
        first = (u - jnp.asarray(self.rest))[0]
        turned = self.exchange * first
        return jnp.stack([-turned - self.rate[0] * first, turned])


@dataclass(frozen=True)
class Binding(Decay):
    """The same with a product term: nonlinear."""

    def source(self, u: Float[Array, " 2"], forcing: Any) -> Float[Array, " 2"]:
        bound = self.exchange * u[0] * u[1] - 0.3 * u[1]
        return jnp.stack([-bound, -bound + 0.1 * jnp.sin(u[0])])


def cable(
    node: list[tuple[int, int]],
    length: list[float],
    radius: list[tuple[float, float]],
    er_radius: list[tuple[float, float]] | None = None,
) -> Cable:
    """Frusta by their nodes; every frustum is a section of its own."""
    n = len(node)
    nodes, lengths = np.asarray(node), np.asarray(length, float)
    arrival = {0: 0.0}
    for (tail, head), extent in zip(node, length, strict=True):
        arrival[head] = arrival[tail] + extent
    parent = [next((j for j in range(i) if node[j][1] == node[i][0]), -1) for i in range(n)]
    return Cable(
        sections=tuple(Section(f"dend[{i}]", 3, parent[i]) for i in range(n)),
        section=np.arange(n),
        kind=np.full(n, 3),
        node=nodes,
        start=np.zeros(n),
        length=lengths,
        radius=np.asarray(radius, float),
        er_radius=np.zeros((n, 2)) if er_radius is None else np.asarray(er_radius, float),
        xyz=np.zeros((n, 2, 3)),
        path=np.array([[arrival[tail], arrival[head]] for tail, head in node]),
        swc_id=np.arange(n),
    )


def three_pieces() -> Cable:
    """A tapered piece, one with a reticulum that tapers the other way, and a cylinder."""
    return cable(
        [(0, 1), (1, 2), (1, 3)],
        [1.5, 0.8, 2.0],
        [(1.0, 0.5), (0.6, 0.9), (0.4, 0.4)],
        [(0.0, 0.0), (0.3, 0.2), (0.1, 0.1)],
    )
