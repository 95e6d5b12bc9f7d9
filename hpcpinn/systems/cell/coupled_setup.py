"""A run of one cell in coupled windows, as it was built."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.domain.pieces import Pieces
from hpcpinn.domain.sampling import Sampler
from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.marching.controller import WindowRule
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.morphology.sites import Site
from hpcpinn.physics import voltage
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.systems.cell.run_spec import RunSpec
from hpcpinn.timestepping.forcing import CalciumDrive


@dataclass(frozen=True)
class WholeCell:
    """The part of a problem that no rank owns: geometry, constants, sources. Host arrays only.

    Attributes:
        constants: Constants of calcium, with the leak that balances rest.
        pieces: The refined cable with the sources' places.
        source: Membrane voltage.
        voltage_sites: Places of its columns.
        flux_nodes, flux_areas: Node and cross-section of every end flux.
        probes: Recorded points.
    """

    constants: CalciumConstants
    pieces: Pieces
    source: voltage.VoltageSource
    voltage_sites: tuple[Site, ...]
    flux_nodes: tuple[int, ...]
    flux_areas: tuple[float, ...]
    probes: tuple[ProbeSite, ...]


@dataclass(frozen=True)
class SampledVoltage:
    """Membrane voltage at the output cells and probes of a rank.

    Attributes:
        cell: The cell.
        local: Pieces of this rank as it stores them, (P,).
        cells_per_piece: Number of output cells per piece.
    """

    cell: WholeCell
    local: Int[np.ndarray, " P"]
    cells_per_piece: int

    @cached_property
    def at_cells(self) -> Callable[[float], Float[Array, " N"]]:
        """In the middle of the output cells at an internal time, mV."""
        cells = self.cells_per_piece
        fraction = np.tile((np.arange(cells) + 0.5) / cells, (len(self.local), 1))
        return self._at(np.repeat(self.local, cells), fraction.ravel())

    @cached_property
    def at_probes(self) -> Callable[[Float[np.ndarray, " t"]], Float[Array, "t p"]]:
        """At this rank's probes at internal times, mV."""
        mine = [p for p in self.cell.probes if p.piece in set(self.local.tolist())]
        piece = np.array([p.piece for p in mine], int)
        return jax.vmap(self._at(piece, np.array([p.fraction for p in mine], float)))

    def _at(self, piece: Int[np.ndarray, " n"], fraction: Float[np.ndarray, " n"]) -> Callable[..., Array]:
        weights, source = site_weights(self.cell, piece, fraction), self.cell.source
        return jax.jit(lambda t: voltage.voltage_at(source, t, weights))


@dataclass(frozen=True)
class CoupledSetup:
    """What a run in coupled windows is made of, on one rank.

    Attributes:
        spec: What the run writes, and what is said of it.
        cell: Parts of the run that all ranks share.
        geometry: Pieces of the tree, each in its output cells, and the ranks that compute them.
        local: Pieces of this rank as it stores them, (P,).
        solver: Solver of windows.
        drive: Channels and sources.
        sampler: Reader of species at output cells and probes.
        voltage: Reader of the voltage at output cells and probes.
        windows: Lengths and tolerance of windows.
        stops: Internal times at which windows end because something switches, and the end of the run.
    """

    spec: RunSpec
    cell: WholeCell
    geometry: Tree
    local: Int[np.ndarray, " P"]
    solver: WindowSolver
    drive: CalciumDrive
    sampler: Sampler
    voltage: SampledVoltage
    windows: WindowRule
    stops: Float[np.ndarray, " S"]

    @property
    def constants(self) -> CalciumConstants:
        """Constants of calcium, with the leak that balances rest."""
        return self.cell.constants

    @property
    def probes(self) -> tuple[ProbeSite, ...]:
        """Places that are written between frames."""
        return self.cell.probes


def site_weights(
    cell: WholeCell, piece: Int[np.ndarray, " n"], fraction: Float[np.ndarray, " n"]
) -> voltage.SiteWeights:
    """Voltage weights at places on the pieces."""
    if not cell.voltage_sites:
        return voltage.uniform_weights(len(piece))
    matrix = tree_weights(cell.pieces.cable, list(cell.voltage_sites), (piece, fraction))
    return voltage.compact_weights(matrix)
