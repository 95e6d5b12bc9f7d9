"""What every solver of a space-time window has in common; how it trains is its own affair."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.domain.interfaces import Interfaces
from hpcpinn.domain.schwarz import SweepSettings
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.system import ReactionDiffusion
from hpcpinn.training.collocation import FeatureTable, lagrange
from hpcpinn.training.local import (
    PieceGeometry,
    Window,
    combine,
    edge_values,
    evaluate,
    field_at,
    robin_parameter,
    source,
    source_jacobian,
)


class WindowIterate(NamedTuple):
    """Heads of the pieces and what their ends receive: all that a window's solve refines."""

    heads: Float[Array, "P K M"]
    robin_in: Float[Array, "P ends K T"]


@dataclass(frozen=True)
class WindowSolution:
    """A solved window.

    Attributes:
        traces: Heads and traces.
        linear: What the solver may use again on the next window of the same length, or None.
        size: Excursion of every species so far.
        newton_steps, sweeps, factorisations: Work done; a first-order solver counts visits to all pieces
            as Newton steps.
        jump: Last relative interface jump.
        change: Last relative Newton change.
        converged: Both are below their tolerances.
        histories: Jump after every sweep, one row per Newton step, (steps, max_sweeps).
    """

    traces: WindowIterate
    linear: Any
    size: Float[np.ndarray, " K"]
    newton_steps: int
    sweeps: int
    factorisations: int
    jump: float
    change: float
    converged: bool
    histories: Float[np.ndarray, "N S"]


@dataclass(frozen=True)
class WindowSolver(ABC):
    """Solves windows on a rank's pieces.

    All members are fixed for a run; windows, heads and traces are arguments. A new way to train is
    one subclass with a `solve`. Collective over all ranks, like everything that it calls.

    Attributes:
        equation: The system.
        table: The trunk's features.
        geometry: The pieces.
        interfaces: Ends that meet.
        communicator: All ranks.
        sweeping: Settings of the sweeps in which pieces agree.
    """

    equation: ReactionDiffusion
    table: FeatureTable
    geometry: PieceGeometry
    interfaces: Interfaces
    communicator: Communicator
    sweeping: SweepSettings

    @property
    def sweep_limit(self) -> float:
        """Sweeps that a window may take."""
        return np.inf

    @abstractmethod
    def solve(
        self,
        window: Window,
        guess: WindowIterate,
        given: Float[Array, "P ends K T"],
        size: Float[Array, " K"],
        linear: Any = None,
    ) -> WindowSolution:
        """Solves a window. Collective over all ranks.

        Args:
            window: Data of the window.
            guess: First heads and traces, such as `continued` gives.
            given: Part of what the ends receive that comes from given fluxes, (P, ends, K, T).
            size: Excursion of every species, the measure of jumps and changes.
            linear: `WindowSolution.linear` of an earlier window of the same length, tried first.
        """

    @cached_property
    def _continued(self) -> Callable[..., WindowIterate]:
        grid = self.table.grid

        def run(field: Float[Array, "P K X"], duration: Float[Array, ""]) -> WindowIterate:
            scale = jnp.asarray(self.equation.scale)[:, None]
            rest = jnp.asarray(self.equation.rest)[:, None]
            constant = jnp.tile((field - rest) / scale, (1, 1, len(grid.time)))
            heads = constant @ jnp.linalg.pinv(self.table.on_grid).T
            value, slope = edge_values(self.equation, self.table, self.geometry, duration, heads)
            return WindowIterate(heads, combine(self.interfaces.rows.receive, value, slope))

        return jax.jit(run)

    def continued(self, field: Float[Array, "P K X"], duration: float) -> WindowIterate:
        """First guess of a window: the field at its start, held."""
        return self._continued(field, duration)

    def given_flux(self, flux: Float[Array, "P 2 T"], species: int, duration: float) -> Float[Array, "P 2 K T"]:
        """What fluxes of one species (amount per time into the node) add to what ends receive."""
        return self._given_flux(flux, species, duration)

    @cached_property
    def _given_flux(self) -> Callable[..., Array]:
        def run(flux: Float[Array, "P 2 T"], species: int, duration: Float[Array, ""]) -> Float[Array, "P ends K T"]:
            equation = self.equation
            gain = self.interfaces.of_species(species).rule.source_weight / (
                equation.diffusion[species] * robin_parameter(equation, duration)[species]
            )
            given = jnp.zeros((*flux.shape[:2], len(equation.scale), flux.shape[2]))
            return given.at[:, :, species].set(gain * flux)

        return jax.jit(run, static_argnums=1)

    @cached_property
    def checks(self) -> tuple[Float[np.ndarray, " x"], Float[np.ndarray, " t"]]:
        """Places ξ and times τ between the collocation nodes where the residual is checked."""
        space, time = self.table.grid.space, self.table.grid.time
        return 0.5 * (space[1:] + space[:-1]), 0.5 * (time[1:] + time[:-1])

    @cached_property
    def _estimate(self) -> Callable[..., tuple[Array, Array]]:
        xi, tau = self.checks
        points = tuple(part.ravel() for part in np.meshgrid(xi, tau))
        features = self.table.trunk.features(*points)
        to_checks = np.asarray(lagrange(self.table.grid.space, xi))
        length, area, taper = map(np.asarray, (self.geometry.length, self.geometry.area, self.geometry.taper))
        area, taper = ((x.reshape(-1, x.shape[-1]) @ to_checks.T).reshape(*x.shape[:2], -1) for x in (area, taper))
        volume = np.swapaxes(length[:, None, None] * area / len(xi), 1, 2)

        def run(
            forcing: Any, duration: Float[Array, ""], heads: Float[Array, "P K M"]
        ) -> tuple[Float[Array, " K"], Float[Array, " K"]]:
            equation = self.equation
            per_length = (2.0 / self.geometry.length)[:, None, None]
            drift = per_length * jnp.tile(taper, (1, 1, len(tau)))
            field = field_at(features.value, heads, equation)
            bend = per_length**2 * evaluate(features.dxx, heads, equation)
            transport = bend + drift * evaluate(features.dx, heads, equation)
            miss = (2.0 / duration) * evaluate(features.dt, heads, equation)
            miss = miss - jnp.asarray(equation.diffusion)[:, None] * transport
            miss = miss - source(equation, field, forcing)
            jacobian = source_jacobian(equation, field, forcing)
            matrix = jnp.eye(len(equation.scale)) / duration - jacobian
            error = jnp.linalg.solve(matrix, jnp.swapaxes(miss, 1, 2)[..., None])[..., 0]
            weight = jnp.tile(volume, (1, len(tau), 1)) / len(tau)
            away = jnp.swapaxes(field, 1, 2) - jnp.asarray(equation.rest)
            squares = jnp.stack([weight * error**2, weight * away**2])
            total = self.communicator.sum(jnp.sum(squares, axis=(1, 2)))
            return jnp.sqrt(total[0]), jnp.sqrt(total[1])

        return jax.jit(run)

    def estimate(
        self, forcing: Any, duration: float, heads: Float[Array, "P K M"]
    ) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
        """Error estimate and excursion of every species, volume-weighted L2 over tree and window.

        The residual between the collocation points, turned into an error by (1/Δt − J)⁻¹, the
        implicit Euler propagator of the window: sharp for stiff modes, cautious for slow ones.

        Args:
            forcing: The equation's data at the check points, leaves (P, n_check).
        """
        error, away = self._estimate(forcing, duration, heads)
        return np.asarray(error), np.asarray(away)

    def at_end(self, heads: Float[Array, "P K M"]) -> Float[Array, "P K X"]:
        """The field at the end of the window, at the space nodes."""
        return self._at_end(heads)

    @cached_property
    def _at_end(self) -> Callable[..., Array]:
        return jax.jit(lambda heads: field_at(self.table.final, heads, self.equation))
