"""A run of one cell in coupled windows, as it was built."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from hpcpinn.domain.partition import Partition
from hpcpinn.domain.pieces import Pieces
from hpcpinn.domain.sampling import Sampler
from hpcpinn.domain.window_solver import WindowSolver
from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import ResultHeader
from hpcpinn.marching.controller import WindowRule
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.morphology.sites import Site
from hpcpinn.physics import voltage
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.systems.cell import recorded
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.timestepping.forcing import CalciumDrive


@dataclass(frozen=True)
class Cell:
    """The part of a problem that no rank owns: geometry, constants, sources. Host arrays only.

    Attributes:
        constants: With the leak that balances rest.
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
class CoupledSetup:
    """A run on one rank.

    Attributes:
        config: The run description.
        cell: What all ranks share.
        shares: Who computes which pieces.
        local: This rank's pieces as it stores them.
        solver: Solves windows.
        drive: Channels and sources.
        sampler: Output.
        windows: Window lengths.
        stops: Times at which windows end because something switches, and the end of the run.
    """

    config: RunConfig
    cell: Cell
    shares: Partition
    local: Int[np.ndarray, " P"]
    solver: WindowSolver
    drive: CalciumDrive
    sampler: Sampler
    windows: WindowRule
    stops: Float[np.ndarray, " S"]

    @property
    def header(self) -> ResultHeader:
        """What the result file knows before the first frame."""
        return ResultHeader(
            system="cell",
            geometry=Tree(self.cell.pieces.cable, self.shares.owner, self.config.pieces.cells_per_piece),
            fields=recorded.fields_of(self.cell.constants),
            windows=recorded.WINDOWS,
            probes=self.cell.probes,
            config=self.config.to_json(),
            seed=self.config.run.seed,
            dimensionless=self.cell.constants.time_unit == 1.0,
        )


def site_weights(cell: Cell, piece: Int[np.ndarray, " n"], fraction: Float[np.ndarray, " n"]) -> voltage.SiteWeights:
    """Voltage weights at places on the pieces."""
    if not cell.voltage_sites:
        return voltage.uniform_weights(len(piece))
    matrix = tree_weights(cell.pieces.cable, list(cell.voltage_sites), (piece, fraction))
    return voltage.compact_weights(matrix)
