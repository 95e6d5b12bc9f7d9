"""Diffusion over a window by Schwarz-coupled local PINNs whose factors are kept.

The field lives at the space nodes of the trunk's grid on every piece, as between coupled windows. Alone,
diffusion is linear, so a window is a matrix: for every length that comes up the pieces' least-squares
factors are made once, together with their transfer operators and the condensed equations of the nodes
(`tree_solve`: the exact Schur complement of the interfaces). With u the field at the start of the
window on a piece and M what the nodes tell its ends,

    u(end) = keep u + give M,    right-hand side of the nodes: Σ ask u over the ends that meet,

so that a window costs these products and one substitution along the tree. Nothing is trained.

Content. What the ends receive and send says what flows through them, F = D A κ (g − o)/2, and these
flows cancel at every node to round-off. The network's field at the end is shifted, piece by piece, by
the constant with which the piece has gained what came through its ends: Σ ∫A u is kept to round-off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from hpcpinn.domain.interfaces import Interfaces, build_interfaces, storage_order
from hpcpinn.domain.tree_factors import TreeFactors, factorise, substitute, together
from hpcpinn.domain.tree_solve import node_system, solved_pieces
from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable
from hpcpinn.networks.trunk import make_separable_trunk
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.constants import CYTOSOL
from hpcpinn.physics.diffusion_system import DiffusionSystem
from hpcpinn.training.collocation import FeatureTable, feature_table, gauss_grid
from hpcpinn.training.least_squares import (
    CableRows,
    Linearisation,
    RowWeights,
    accept,
    correct,
    linearise,
    volume_weight,
)
from hpcpinn.training.local import PieceGeometry, Window, piece_geometry, robin_parameter

WAVE_NUMBER = 1.0
"""Largest wave number of the trunk's first layer: diffusion leaves nothing sharp within a piece, and with
1 a wave of five pieces is represented a hundred times better than with the 2.2 of coupled windows."""
FEW, MANY = 16, 64
"""Lengths for which there is room at first: the many of a long run, where that takes little memory."""
_DIGITS = 9
"""Lengths that agree to so many digits are one."""


class StoredWindows(NamedTuple):
    """Everything kept of the lengths so far, with a leading axis L of lengths; S species.

    Number 0 is no length at all: it changes no bit.

    Attributes:
        keep: What becomes of the field, ends that receive nothing from their nodes.
        ask: What the field adds to the right-hand sides of the nodes.
        give: What the nodes' answer adds to the field.
        tree: Factors of the nodes' equations.
    """

    keep: Float[Array, "L P S X X"]
    ask: Float[Array, "L P S E X"]
    give: Float[Array, "L P S X E"]
    tree: TreeFactors


class LengthRows(NamedTuple):
    """Which of the kept lengths every window has."""

    number: Int[Array, " K"]

    def padded(self, more: int) -> "LengthRows":
        """With some windows of no length at the end."""
        return LengthRows(jnp.concatenate([self.number, jnp.zeros(more, self.number.dtype)]))


@dataclass(eq=False)
class NetworkDiffusion:
    """Diffusion of several species on a rank's pieces; like `CableDiffusion` for split windows.

    Attributes:
        table: The trunk's features.
        geometry: Geometry of this rank's pieces, with the volumes of all species.
        interfaces: Ends that meet, with Robin's rule.
        communicator: All ranks.
        coefficients: D of every species, µm²/s.
        volumes: Volume of every species.
        weights: Weights of initial and edge rows beside the equation's.
        most_bytes: Most memory that stored windows may take on a rank, bytes.
        batch: Pieces that are factorised together, see `linearise`.
        factorisations: Lengths that were factorised so far.
    """

    table: FeatureTable
    geometry: PieceGeometry
    interfaces: Interfaces
    communicator: Communicator
    coefficients: tuple[float, ...]
    volumes: tuple[str, ...]
    weights: RowWeights = RowWeights()
    most_bytes: float = 4e9
    batch: int | None = None
    factorisations: int = 0
    _numbers: dict[float, int] = field(default_factory=lambda: {0.0: 0})
    _windows: StoredWindows | None = None

    @property
    def stored(self) -> tuple[StoredWindows]:
        """What `__call__` needs beside the rows; an argument of compiled functions."""
        self._grow(1)
        assert self._windows is not None
        return (self._windows,)

    @property
    def bytes_per_length(self) -> int:
        """What this rank keeps of one length."""
        return sum(8 * leaf.size for leaf in jax.tree.leaves(self._shapes))

    @property
    def n_points(self) -> int:
        """Points of this rank: the nodes of all pieces, piece by piece."""
        return len(self.geometry.length) * len(self.table.grid.space)

    def width(self, longest: float) -> int:
        """Rows are numbers: nothing is padded."""
        return 0

    def series(self, lengths: Float[ndarray, " K"], padded: int = 0) -> LengthRows:
        """Which kept factors windows of the given lengths (s) use; makes those that are missing.

        Collective over all ranks where lengths are new. `padded` is of no account here.

        Raises:
            InputError: What is kept would need too much memory.
        """
        keys = [float(f"{length:.{_DIGITS}g}") for length in lengths]
        new = sorted(set(keys) - self._numbers.keys() - {0.0})
        self._grow(len(self._numbers) + len(new))
        for key in new:
            self._put(len(self._numbers), self._made(key))
            self._numbers[key] = len(self._numbers)
            self.factorisations += 1
        return LengthRows(jnp.asarray([self._numbers[key] for key in keys], jnp.int32))

    def __call__(
        self, fields: Float[Array, "S N"], number: Int[Array, ""], stored: StoredWindows
    ) -> Float[Array, "S N"]:
        """The fields after a window. Traceable; collective over all ranks.

        Args:
            fields: Values of the species at all points of this rank, (S, N).
            number: Row of the window's length in `series`.
            stored: Matrices of all lengths, as `stored` holds them.
        """
        n_species, n_pieces = len(self.coefficients), len(self.geometry.length)
        tree, nodes = self.interfaces.tree, self.interfaces.rule.end_node
        assert tree is not None, "Robin's rule only"
        u = fields.reshape(n_species, n_pieces, -1)
        asked = jnp.einsum("psex,spx->pes", stored.ask[number], u)
        n_time = len(self.table.grid.time)
        asked = jnp.swapaxes(asked.reshape(2 * n_pieces, n_time, n_species), 1, 2)
        right = jax.ops.segment_sum(asked, nodes.ravel(), self.interfaces.n_nodes)
        values = substitute(self.communicator, tree, stored.tree, number, right)
        robin_in = jnp.moveaxis(values[nodes], 2, 0).reshape(n_species, n_pieces, -1)
        after = jnp.einsum("psyx,spx->spy", stored.keep[number], u)
        after = after + jnp.einsum("psxe,spe->spx", stored.give[number], robin_in)
        return after.reshape(fields.shape)

    def _made(self, length: float) -> StoredWindows:
        """Factors of one length for all species, without the axis of lengths."""
        parts = [
            self._one_species(jnp.asarray(d), jnp.asarray(length), self._volume(n))
            for n, d in enumerate(self.coefficients)
        ]
        return StoredWindows(
            jnp.stack([part.keep for part in parts], axis=1),
            jnp.stack([part.ask for part in parts], axis=1),
            jnp.stack([part.give for part in parts], axis=1),
            together([part.tree for part in parts]),
        )

    def _volume(self, species: int) -> int:
        """Number of the first species that lives in the same volume: all of them share a program."""
        return self.volumes.index(self.volumes[species])

    @cached_property
    def _one_species(self) -> Callable[[Array, Array, int], StoredWindows]:
        return jax.jit(self._condensed, static_argnums=2)

    def _condensed(self, coefficient: Array, duration: Array, volume: int) -> StoredWindows:
        """Factors of one species in a volume, without the axis of species but in the tree's."""
        interfaces = self.interfaces.of_species(volume)
        equation = DiffusionSystem(coefficient)
        table, geometry, tree = self.table, self.geometry.of_species(volume), interfaces.tree
        assert tree is not None, "Robin's rule only"
        n_pieces, n_space = len(geometry.length), len(table.grid.space)
        size = 2 * len(table.grid.time)
        nothing = jnp.zeros((n_pieces, 1, table.n_features))
        window = Window(duration, jnp.zeros((n_pieces, 1, n_space)), None)
        rows = CableRows(equation, table, geometry, interfaces.rows, self.weights, self.batch)
        linear = linearise(rows, window, nothing)

        def of_field(unit: Float[Array, " X"]) -> tuple[Array, Array]:
            begun = window._replace(initial=jnp.broadcast_to(unit, (n_pieces, 1, n_space)))
            first = correct(rows, begun, nothing, linear)
            return first.heads[:, 0] @ table.final.T, first.robin_out.reshape(n_pieces, size)

        def of_received(unit: Float[Array, " E"]) -> Array:
            robin_in = jnp.broadcast_to(unit.reshape(2, 1, -1), (n_pieces, 2, 1, size // 2))
            heads = accept(rows, window, linear, alone, robin_in)
            return heads[:, 0] @ table.final.T

        alone = correct(rows, window, nothing, linear)
        keep, sent = jax.vmap(of_field, out_axes=2)(jnp.eye(n_space))
        give = jax.vmap(of_received, out_axes=2)(jnp.eye(size))
        keep, give = self._balanced(equation, geometry, duration, linear, keep, sent, give)

        inner = jnp.repeat(interfaces.rule.is_inner, size // 2, axis=1)[:, :, None]
        solved = solved_pieces(linear.transfer, inner.reshape(n_pieces, 2, -1)[:, :, :1])
        system = node_system(interfaces, tree, solved, jnp.zeros((n_pieces, 2, size // 2)))
        solved = solved.reshape(n_pieces, size, size)
        halo = -jnp.einsum("pij,pjx->pix", solved, jnp.where(inner, sent, 0.0))
        weight = 2.0 * jnp.repeat(tree.weight, size // 2, axis=1)
        return StoredWindows(
            keep + jnp.einsum("pye,pex->pyx", give, halo),
            weight * halo,
            jnp.einsum("pye,pej->pyj", give, solved) * jnp.swapaxes(inner, 1, 2),
            factorise(self.communicator, tree, system),
        )

    def _balanced(
        self,
        equation: DiffusionSystem,
        geometry: PieceGeometry,
        duration: Array,
        linear: Linearisation,
        keep: Float[Array, "P X X"],
        sent: Float[Array, "P E X"],
        give: Float[Array, "P X E"],
    ) -> tuple[Float[Array, "P X X"], Float[Array, "P X E"]]:
        """The operators with every piece shifted to the content that came through its ends."""
        grid = self.table.grid
        share, area = volume_weight(self.table, geometry)[:, 0], geometry.area[:, 0]  # of the only volume
        volume = geometry.length * (area @ jnp.asarray(grid.space_weight))
        inner = self.interfaces.rule.is_inner
        kappa = robin_parameter(equation, duration)[0]
        through = 0.5 * duration * equation.coefficient * kappa / volume[:, None]
        through = jnp.where(inner, through * geometry.end_area[:, :, 0], 0.0)
        through = (through[:, :, None] * jnp.asarray(grid.time_weight)).reshape(len(volume), -1)
        by_field = share - jnp.einsum("pe,pex->px", through, sent)
        by_field = by_field - jnp.einsum("py,pyx->px", share, keep)
        by_told = through - jnp.einsum("pe,pej->pj", through, linear.transfer)
        by_told = by_told - jnp.einsum("py,pye->pe", share, give)
        return keep + by_field[:, None], give + by_told[:, None]

    @cached_property
    def _shapes(self) -> StoredWindows:
        """Of the factors of one length."""
        shapes: StoredWindows = jax.eval_shape(lambda: self._made(1.0))
        return shapes

    def _grow(self, count: int) -> None:
        """Makes room for so many lengths, in few sizes, so that few programs are compiled."""
        room = 0 if self._windows is None else len(self._windows.keep)
        if count <= room:
            return
        more = MANY if 8 * MANY * self._most_per_length <= self.most_bytes else FEW
        while more < count:
            more *= 2
        self._check_size(more)
        shapes = self._shapes
        if self._windows is None:
            empty = jax.tree.map(lambda x: jnp.zeros((more, *x.shape)), shapes)
            self._windows = empty._replace(keep=empty.keep.at[0].set(jnp.eye(empty.keep.shape[-1])))
            return
        self._windows = jax.tree.map(
            lambda old, x: jnp.concatenate([old, jnp.zeros((more - room, *x.shape))]), self._windows, shapes
        )

    @cached_property
    def _most_per_length(self) -> int:
        """`bytes_per_length` of the rank that has most: all ranks make room at the same time."""
        return max(self.communicator.share(self.bytes_per_length))

    def _check_size(self, count: int) -> None:
        wanted = count * self._most_per_length
        if wanted <= self.most_bytes:
            return
        raise InputError(
            f"diffusion by networks: factors for {count} window lengths take {wanted / 1e9:.3g} GB, more than "
            f"{self.most_bytes / 1e9:.3g} GB; use fewer features, longer pieces or more ranks, or "
            "the exact operator"
        )

    def _put(self, number: int, made: StoredWindows) -> None:
        self._windows = jax.tree.map(lambda kept, new: kept.at[number].set(new), self._windows, made)


def network_diffusion(
    pieces: Cable,
    owner: Int[ndarray, " F"],
    communicator: Communicator,
    coefficients: Sequence[float],
    *,
    volumes: Sequence[str] | None = None,
    features: tuple[int, int] = (7, 4),
    nodes: int | None = None,
    colours: Int[ndarray, " F"] | None = None,
    seed: int = 0,
    batch: int | None = None,
) -> NetworkDiffusion:
    """Diffusion by networks on some pieces; nothing is factorised yet. Not collective.

    Args:
        pieces: All pieces of the tree.
        owner: Rank of every piece.
        communicator: All ranks.
        coefficients: D of every species, µm²/s.
        volumes: Volume of every species; the cytosol by default.
        features: Numbers of features of space and of time. There are as many nodes in time as features.
        nodes: Space nodes of a piece, where the field is known; two more than features by default, as
            in coupled windows.
        colours: Colour of every piece, where the pieces are those of coupled windows and lie in their
            order (`storage_order`); by default a rank's pieces lie in the order of the tree.
        seed: Seed of the trunk's random weights.
        batch: Pieces that are factorised together, see `linearise`.
    """
    n_space, n_time = features
    trunk = make_separable_trunk(n_space, n_time, seed=seed, scale=(WAVE_NUMBER, WAVE_NUMBER))
    table = feature_table(trunk, gauss_grid(nodes or n_space + 2, n_time))
    colours = np.zeros(pieces.n_frusta, int) if colours is None else colours
    mine = pieces.take(storage_order(owner, colours, communicator.rank))
    volumes = (CYTOSOL,) * len(coefficients) if volumes is None else tuple(volumes)
    return NetworkDiffusion(
        table=table,
        geometry=piece_geometry(mine, table.grid.space, volumes),
        interfaces=build_interfaces(pieces, owner, colours, communicator.rank, volumes=volumes),
        communicator=communicator,
        coefficients=tuple(float(d) for d in coefficients),
        volumes=volumes,
        batch=batch,
    )
