"""All members of a long run as one forest, side by side in the same arrays, and which rank computes what of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.domain.member_shares import share_members
from hpcpinn.io.geometry import ProbeSite
from hpcpinn.morphology import Cable
from hpcpinn.morphology.forest import join_cables
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.systems.cell.build.population import Member
from hpcpinn.systems.cell.build.split_cell import SplitCell, describe_split_cell
from hpcpinn.timestepping.releases import CellSources, join_sources


@dataclass(frozen=True)
class Forest:
    """All members of a run, and who computes what of them.

    Attributes:
        cells: Members, one after the other.
        piece: Rank of every piece.
        point: Rank of every point.
        compartment: Rank of every compartment: of the piece that holds its centre.
        communicator: All ranks.
    """

    cells: Sequence[SplitCell]
    piece: Int[ndarray, " F"]
    point: Int[ndarray, " N"]
    compartment: Int[ndarray, " P"]
    communicator: Communicator

    @cached_property
    def own(self) -> Int[ndarray, " n"]:
        """Points of this rank."""
        return np.flatnonzero(self.point == self.communicator.rank)

    @cached_property
    def member(self) -> Int[ndarray, " N"]:
        """Member of every point."""
        return np.repeat(np.arange(len(self.cells)), [cell.points.n for cell in self.cells])

    @cached_property
    def member_of_compartment(self) -> Int[ndarray, " P"]:
        """Member of every compartment."""
        return np.repeat(np.arange(len(self.cells)), [cell.compartments.count for cell in self.cells])

    @cached_property
    def volume(self) -> Float[ndarray, " N"]:
        """Volume that every point stands for, µm³."""
        return np.concatenate([cell.points.volume for cell in self.cells])

    @cached_property
    def er_ratio(self) -> Float[ndarray, "2 n"] | None:
        """Membrane of the reticulum over the volumes that it parts at this rank's points, 1/µm; None without one."""
        parts = [cell.points.er_ratio for cell in self.cells if cell.points.er_ratio is not None]
        return np.concatenate(parts, axis=1)[:, self.own] if parts else None

    @cached_property
    def cable(self) -> Cable:
        """Pieces of all members."""
        return join_cables([cell.pieces for cell in self.cells])

    @cached_property
    def probes(self) -> tuple[ProbeSite, ...]:
        """Recorded places of all members; those of a population bear the name of theirs."""
        found, first = [], 0
        for cell in self.cells:
            prefix = f"{cell.name}: " if len(self.cells) > 1 else ""
            found += [ProbeSite(f"{prefix}{p.name}", first + p.piece, p.fraction) for p in cell.probes]
            first += cell.pieces.n_frusta
        return tuple(found)

    @cached_property
    def releases(self) -> CellSources | None:
        """What synapses and fluxes bring to this rank's points; None without any."""
        parts = [cell.releases for cell in self.cells if cell.releases is not None]
        return join_sources(parts, [cell.points.n for cell in self.cells]).taken(self.own) if parts else None

    def own_part(self, parts: list[sparse.csr_matrix], rank: Int[ndarray, " r"]) -> sparse.csr_matrix:
        """Rows of this rank, in its own points, of the matrices of all members."""
        whole = sparse.block_diag(parts, format="csr")
        return whole[np.flatnonzero(rank == self.communicator.rank)][:, self.own]


def described_members(members: Sequence[Member], ranks: int) -> list[SplitCell]:
    """All members, with as many pieces as ranks may fall to one of them."""
    least = max(1, ranks - len(members) + 1)
    return [describe_split_cell(member, least) for member in members]


def forest_of(cells: Sequence[SplitCell], communicator: Communicator) -> Forest:
    """The forest of some members; whole cells fall to a rank where there are as many as ranks."""
    owners = share_members([cell.pieces for cell in cells], communicator.size)
    per = cells[0].points.per_piece
    compartments = [owner[cell.nearest_piece] for owner, cell in zip(owners, cells, strict=True)]
    piece = np.concatenate(owners)
    return Forest(cells, piece, np.repeat(piece, per), np.concatenate(compartments), communicator)
