"""Reads the field out of the heads: averages over output cells, values at probes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.polynomial.legendre import leggauss

from hpcpinn.morphology.cable import Cable
from hpcpinn.networks.trunk import Trunk
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.local import piece_geometry

_NODES_PER_CELL = 5
_TIMES_PER_CALL = 8


@dataclass(frozen=True)
class Sampler:
    """Evaluates a window's solution on a rank's pieces.

    Attributes:
        equation: The system.
        trunk: Trunk of the heads.
        pieces: Pieces of this rank, in the order of the heads.
        cells_per_piece: Output cells per piece.
        probe_piece, probe_xi: Local piece and ξ of this rank's probes.
    """

    equation: ReactionDiffusion
    trunk: Trunk
    pieces: Cable
    cells_per_piece: int
    probe_piece: Int[np.ndarray, " p"]
    probe_xi: Float[np.ndarray, " p"]

    @cached_property
    def _averages(self) -> Callable[[float, Float[Array, "P K M"]], Float[Array, "K P C"]]:
        nodes, weights = leggauss(_NODES_PER_CELL)
        width = 2.0 / self.cells_per_piece
        left = -1.0 + width * np.arange(self.cells_per_piece)
        xi = (left[:, None] + 0.5 * width * (nodes + 1.0)).ravel()
        area = np.asarray(piece_geometry(self.pieces, xi, self.equation.volumes).area)
        area = area.reshape(*area.shape[:2], self.cells_per_piece, _NODES_PER_CELL)
        share = area * weights
        share = share / share.sum(axis=-1, keepdims=True)

        def at(tau: Float[Array, ""], heads: Float[Array, "P K M"]) -> Float[Array, "K P C"]:
            value = self.trunk.features(jnp.asarray(xi), jnp.full(len(xi), tau)).value
            field = jnp.einsum("pkm,nm->pkn", heads, value)
            field = field.reshape(*heads.shape[:2], self.cells_per_piece, _NODES_PER_CELL)
            average = jnp.einsum("pkcn,pkcn->kpc", field, share) * self._scale[:, None, None]
            return self._rest[:, None, None] + average

        return jax.jit(at)

    @property
    def _scale(self) -> Array:
        return jnp.asarray(self.equation.scale)

    @property
    def _rest(self) -> Array:
        return jnp.asarray(self.equation.rest)

    def cell_averages(self, tau: float, heads: Float[Array, "P K M"]) -> Float[np.ndarray, "K P C"]:
        """Volume averages over the output cells at the time τ of the window."""
        return np.asarray(self._averages(tau, heads))

    @cached_property
    def _at_probes(self) -> Callable[[Float[np.ndarray, " T"], Float[Array, "P K M"]], Float[Array, "T K p"]]:
        piece, xi = jax.device_put((self.probe_piece, self.probe_xi))

        def at(tau: Float[Array, " T"], heads: Float[Array, "P K M"]) -> Float[Array, "T K p"]:
            def one_time(t: Float[Array, ""]) -> Float[Array, "K p"]:
                value = self.trunk.features(xi, jnp.full(len(xi), t)).value
                departure = jnp.einsum("pkm,pm->kp", heads[piece], value)
                return self._rest[:, None] + departure * self._scale[:, None]

            return jax.vmap(one_time)(tau)

        return jax.jit(at)

    def probe_values(self, tau: Float[np.ndarray, " T"], heads: Float[Array, "P K M"]) -> Float[np.ndarray, "T K p"]:
        """Values at this rank's probes at the times τ."""
        if not len(tau) or not len(self.probe_piece):
            return np.zeros((len(tau), len(self.equation.scale), len(self.probe_piece)))
        return in_blocks(lambda block: self._at_probes(block, heads), tau)


def in_blocks(
    function: Callable[[Float[np.ndarray, " t"]], Float[Array, "t ..."]], times: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T ..."]:
    """Applies a compiled function of many times in calls of one length, which share one compilation."""
    padded = np.pad(times, (0, -len(times) % _TIMES_PER_CALL), mode="edge")
    blocks = padded.reshape(-1, _TIMES_PER_CALL)
    return np.concatenate([np.asarray(function(block)) for block in blocks])[: len(times)]
