"""The forward model of a cell: its run's pieces, a fixed sequence of windows, what is seen of calcium at sites."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.coordinates import Coordinates
from hpcpinn.errors import SolveError
from hpcpinn.inference.forward_model import Seen
from hpcpinn.io.geometry import Tree
from hpcpinn.io.inference import FieldBands
from hpcpinn.io.observations import Observations
from hpcpinn.morphology.sites import Site
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.calcium_system import CalciumSystem
from hpcpinn.physics.constants import CALCIUM
from hpcpinn.systems.cell import recorded
from hpcpinn.systems.cell.config.learnable import unit_of
from hpcpinn.systems.cell.constants import CellConstants
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.systems.cell.course import CourseOf
from hpcpinn.systems.cell.forward_march import FixedMarch, MarchedCell


class AtSites(NamedTuple):
    """Places and times on a cell.

    Attributes:
        site: Number of the site of every observation.
        time: Time of every observation, ms.
    """

    site: Int[ndarray, " N"]
    time: Float[ndarray, " N"]


@dataclass(frozen=True)
class CellModel:
    """What is seen at sites of a cell as a function of constants. Collective over all ranks.

    Attributes:
        setup: Window solver, geometry and constants of the run.
        communicator: All ranks.
        names: Names of the constants that are learned.
        sites: Places where calcium is seen.
        march: March over the windows that the starting constants ask for.
        course_of: What acts on the pieces as a function of constants; None where none of them enters its course.
        indicator: Dissociation constant K of an indicator, µM: seen is c/(c + K); None: free calcium.
    """

    setup: CoupledSetup
    communicator: Communicator
    names: tuple[str, ...]
    sites: tuple[Site, ...]
    march: FixedMarch
    course_of: Callable[[CellConstants], CourseOf | None]
    indicator: float | None = None

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the learned constants."""
        return tuple(unit_of(name) for name in self.names)

    @property
    def coordinates(self) -> Coordinates:
        """How the constants are iterated on."""
        return self.march.constants.coordinates

    @property
    def unit(self) -> str:
        """Unit of what is seen."""
        return "uM" if self.indicator is None else "1"

    def at(self, observations: Observations) -> "AtSites":
        """Numbers of the sites of observations, and their times, ms."""
        order = {site.name: i for i, site in enumerate(self.sites)}
        return AtSites(np.array([order[name.strip()] for name in observations["site"]], int), observations["t"])

    def solve(self, z: Float[ndarray, " p"], near: MarchedCell | None = None, *, slopes: bool = True) -> MarchedCell:
        """The heads at given constants.

        Args:
            z: Coordinates of the constants, (p,).
            near: The heads at others nearby, to begin with.
            slopes: Whether derivatives are wanted.

        Raises:
            SolveError: A window could not be solved.
        """
        marched = self.march.run(jnp.asarray(z), near, slopes=slopes)
        change = np.asarray(marched.change)
        if not np.all(change < 1e3 * self.march.tolerance):
            window = int(np.argmax(~(change < 1e3 * self.march.tolerance)))
            start = float(self.march.sequence.start[window]) / self.setup.cell.constants.time_unit
            found = self.coordinates.values(z)
            values = ", ".join(f"{n} = {v:.3g}" for n, v in zip(self.names, found, strict=True))
            raise SolveError(
                f"infer: the window at t = {start:.4g} ms is not solved with {values} (last change "
                f"{change[window]:.2g}); begin nearer with parameter.start, or lower window.tolerance"
            )
        return marched

    def seen(self, solution: MarchedCell, at: "AtSites") -> Seen:
        """What is seen at sites and times, the same on every rank.

        Args:
            solution: Solution that `solve` gave.
            at: The sites and times.
        """
        found, K = self._calcium(solution, *at), self.indicator
        if K is None:
            return found
        c = found.value
        return Seen(c / (c + K), found.slope * (K / (c + K) ** 2)[:, None])

    def _calcium(self, marched: MarchedCell, site: Int[ndarray, " N"], time: Float[ndarray, " N"]) -> Seen:
        """Calcium at the sites (by number) and times (ms), µM, the same on every rank."""
        unit = self.setup.cell.constants.time_unit
        start, length = (np.asarray(x) for x in self.march.sequence[:2])
        t = np.asarray(time) * unit
        window = np.clip(np.searchsorted(start, t, side="right") - 1, 0, len(start) - 1)
        tau = np.clip(2.0 * (t - start[window]) / length[window] - 1.0, -1.0, 1.0)
        mine = np.flatnonzero(self._row_of_site[site] >= 0)
        value = np.zeros(len(t))
        slope = np.zeros((len(t), len(marched.heads_slope)))
        if len(mine):
            at, row = window[mine], self._row_of_site[site[mine]]
            xi = np.array([2.0 * self.sites[s].fraction - 1.0 for s in site[mine]])
            features = np.asarray(self.setup.solver.table.trunk.features(xi, tau[mine]).value)
            measure = CalciumSystem(self.march.constants.known.replace(leak=0.0))
            calcium = measure.names.index(CALCIUM)
            scale, rest = measure.scale[calcium], measure.rest[calcium]
            heads = np.asarray(marched.heads)[at, row]
            value[mine] = rest + scale * np.sum(heads * features, axis=1)
            heads_slope = np.asarray(marched.heads_slope)[:, at, row]
            slope[mine] = scale * np.einsum("znm,nm->nz", heads_slope, features)
        everything = np.asarray(self.communicator.sum(jnp.asarray(np.column_stack([value, slope]))))
        return Seen(everything[:, 0], everything[:, 1:])

    def learning(self, names: Sequence[str]) -> "CellModel":
        """The same with other constants learned."""
        constants = replace(self.march.constants, names=tuple(names))
        march = replace(self.march, constants=constants, course_of=self.course_of(constants))
        return replace(self, names=constants.names, march=march)

    def over_the_cell(self, marched: MarchedCell, spread: Float[ndarray, "p p"]) -> FieldBands:
        """Calcium on all pieces at the ends of windows.

        Args:
            marched: Solution that `solve` gave.
            spread: Covariance of the coordinates.
        """
        slope = np.asarray(marched.mean_slope)
        sd = np.sqrt(np.einsum("pwf,pq,qwf->wf", slope, spread, slope))
        mine = (self.setup.local, np.asarray(marched.mean), sd)
        pieces = self.setup.cell.pieces.cable
        mean, deviation = np.zeros((len(sd), pieces.n_frusta)), np.zeros((len(sd), pieces.n_frusta))
        for local, values, spreads in self.communicator.share(mine):
            mean[:, local], deviation[:, local] = values, spreads
        start, length = (np.asarray(x) for x in self.march.sequence[:2])
        time = (start + length) / self.setup.cell.constants.time_unit
        return FieldBands(Tree(pieces, self.setup.geometry.owner, 1), recorded.CALCIUM_FIELD, time, mean, deviation)

    @cached_property
    def _row_of_site(self) -> Int[ndarray, " S"]:
        """Row of a site among this rank's, −1 for those of other ranks."""
        local = set(self.setup.local.tolist())
        mine = [i for i, site in enumerate(self.sites) if site.frustum in local]
        rows = np.full(len(self.sites), -1)
        rows[mine] = np.arange(len(mine))
        return rows
