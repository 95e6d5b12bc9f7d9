"""What runs of cells say of themselves alike, in coupled windows and slot by slot."""

from collections.abc import Mapping
from functools import cached_property

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.schema import Variable
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.systems.cell import recorded
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.systems.cell.slot_setup import SlotSetup


class CellRun:
    """Members of a `hpcpinn.core.system.Problem` that follow from what a run is made of.

    Attributes:
        setup: Parts that the run is made of.
    """

    setup: CoupledSetup | SlotSetup

    columns = recorded.COLUMNS

    @property
    def parameters(self) -> CalciumConstants:
        """Constants of calcium; of a population, those of the first member."""
        return self.setup.constants

    @cached_property
    def fields(self) -> tuple[Variable, ...]:
        """Species and voltage."""
        return recorded.fields_of(self.setup.constants)

    @property
    def geometry(self) -> Tree:
        """The pieces, each in its output cells."""
        return self.setup.geometry

    @property
    def probes(self) -> tuple[ProbeSite, ...]:
        """Places that are written between frames."""
        return self.setup.probes

    @property
    def settings(self) -> Mapping[str, str]:
        """What states depend on."""
        return self.setup.spec.settings

    @cached_property
    def times(self) -> Float[ndarray, " T"]:
        """User times of frames."""
        return self.setup.spec.times

    @cached_property
    def sample_times(self) -> Float[ndarray, " n"]:
        """User times of samples at probes."""
        return self.setup.spec.sample_times
