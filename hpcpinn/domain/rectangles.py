"""A rectangular domain cut into rectangles: which sides meet, who computes what, in which colour."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from hpcpinn.domain.interfaces import Interfaces, interfaces_between, storage_order
from hpcpinn.errors import InputError
from hpcpinn.training.rectangles import (
    NO_WALL,
    TWO_WALLS,
    WALL_FIRST,
    WALL_LAST,
    RectangleGeometry,
    rectangle_geometry,
)


@dataclass(frozen=True)
class Rectangles:
    """Equal rectangles that tile a box of the plane, row by row (x fast).

    Attributes:
        low, high: Corners of the box, (x, y).
        count: Rectangles along x and y.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    count: tuple[int, int]

    @property
    def n_pieces(self) -> int:
        return self.count[0] * self.count[1]

    @property
    def size(self) -> Float[np.ndarray, " 2"]:
        """Lengths of the sides of a piece."""
        size: Float[np.ndarray, " 2"] = (np.array(self.high) - np.array(self.low)) / np.array(self.count)
        return size

    @property
    def place(self) -> Int[np.ndarray, "P 2"]:
        """Column and row of every piece."""
        column, row = np.meshgrid(np.arange(self.count[0]), np.arange(self.count[1]))
        return np.stack([column.ravel(), row.ravel()], axis=1)

    @property
    def centre(self) -> Float[np.ndarray, "P 2"]:
        centre: Float[np.ndarray, "P 2"] = np.array(self.low) + (self.place + 0.5) * self.size
        return centre

    @property
    def colour(self) -> Int[np.ndarray, " P"]:
        """Red (0) and black (1) as on a chessboard."""
        colour: Int[np.ndarray, " P"] = self.place.sum(axis=1) % 2
        return colour

    @property
    def walls(self) -> Int[np.ndarray, "P 2"]:
        """Kind of both axes of every piece, see `training.rectangles`."""
        first, last = self.place == 0, self.place == np.array(self.count) - 1
        one = np.where(last, WALL_LAST, np.where(first, WALL_FIRST, NO_WALL))
        return np.where(first & last, TWO_WALLS, one)

    @property
    def node(self) -> Int[np.ndarray, "P 4"]:
        """The edge of the tiling on which every side lies, in the order of `training.rectangles`."""
        (columns, rows), (column, row) = self.count, self.place.T
        upright = row * (columns + 1) + column
        level = rows * (columns + 1) + row * columns + column
        return np.stack([upright, upright + 1, level, level + columns], axis=1)

    def owners(self, ranks: int) -> Int[np.ndarray, " P"]:
        """Rank of every piece: as many to each as can be, row after row.

        Raises:
            InputError: There are more ranks than pieces.
        """
        if ranks > self.n_pieces:
            raise InputError(
                f"domain.subdomains: {self.count[0]} x {self.count[1]} = {self.n_pieces} for {ranks} ranks; "
                "give at least one to each",
                ("domain", "subdomains"),
            )
        return np.arange(self.n_pieces) * ranks // self.n_pieces

    def interfaces(self, owner: Int[np.ndarray, " P"], rank: int, transmission: str = "robin") -> Interfaces:
        """Which sides meet, as one rank sees it."""
        across = self.size[[1, 1, 0, 0]]
        areas = np.tile(across, (self.n_pieces, 1))[..., None]
        return interfaces_between(self.node, areas, owner, self.colour, rank, transmission)

    def stored(self, owner: Int[np.ndarray, " P"], rank: int) -> Int[np.ndarray, " p"]:
        """A rank's pieces in the order in which it stores them."""
        return storage_order(owner, self.colour, rank)

    def geometry(self, pieces: Int[np.ndarray, " p"]) -> RectangleGeometry:
        """Geometry of some pieces."""
        return rectangle_geometry(self.size, self.centre[pieces], self.walls[pieces])
