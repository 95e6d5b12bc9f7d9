"""What drives the calcium of a rank's pieces during a window: channels, releases, end fluxes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hpcpinn.physics import gates, ghk, sources, voltage
from hpcpinn.physics.calcium_system import CalciumForcing
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.training.collocation import Grid, lagrange
from hpcpinn.training.local import PieceGeometry


class WindowDrive(NamedTuple):
    """Forcing of one window.

    Attributes:
        inside: Forcing at the collocation points, leaves (P, Q).
        checks: Forcing at the check points, leaves (P, n_check).
        gates: Gates at the end of the window at the space nodes, (P, X, gates).
        end_flux: Calcium given at both ends of every piece, amount per time, (P, 2, T).
    """

    inside: CalciumForcing
    checks: CalciumForcing
    gates: Float[Array, "P X gates"]
    end_flux: Float[Array, "P 2 T"]


@dataclass(frozen=True)
class CalciumDrive:
    """Everything that acts on a rank's pieces; times internal.

    Attributes:
        constants: Constants.
        grid: Collocation grid.
        check_space, check_time: Check points ξ and τ.
        geometry: Geometry of the pieces on the grid.
        source: Voltage.
        weights: Voltage weights at the space nodes of the pieces, positions P·X.
        releases: Synaptic releases.
        release_share: Share of every release at the space nodes of the pieces, (P, X, releases).
        fluxes: Fluxes through ends.
        flux_end: Share of the cross-section of every end that each flux goes through, (P, 2, fluxes).
    """

    constants: CalciumConstants
    grid: Grid
    check_space: Float[np.ndarray, " x"]
    check_time: Float[np.ndarray, " t"]
    geometry: PieceGeometry
    source: voltage.VoltageSource
    weights: voltage.SiteWeights
    releases: sources.Releases
    release_share: Float[Array, "P X releases"]
    fluxes: sources.EndFluxes
    flux_end: Float[Array, "P 2 fluxes"]

    def steady_gates(self, time: float) -> Float[Array, "P X gates"]:
        """Gates in equilibrium with the voltage at `time`."""
        return self._steady(time)

    @cached_property
    def _steady(self) -> Callable[[float], Float[Array, "P X gates"]]:
        def steady(time: Float[Array, ""]) -> Float[Array, "P X gates"]:
            state = gates.steady(voltage.voltage_at(self.source, time, self.weights), self.constants)
            return state.reshape(-1, len(self.grid.space), state.shape[-1])

        return jax.jit(steady)

    def forced(
        self, state: Float[Array, "P X gates"], start: Float[Array, ""], duration: Float[Array, ""]
    ) -> WindowDrive:
        """As `window`. Traceable, also in the constants, the releases and the voltage."""
        grid, k = self.grid, self.constants
        # Collocation and check times interleaved, then the end: one pass of the gates serves all.
        tau = np.concatenate([grid.time, self.check_time, [1.0]])
        order = np.argsort(tau, kind="stable")
        back = np.argsort(order)
        to_checks = jnp.asarray(lagrange(grid.space, self.check_space))
        times = start + 0.5 * duration * (tau[order] + 1.0)

        def at(t: Array) -> Array:
            return voltage.voltage_at(self.source, t, self.weights)

        flat = state.reshape(-1, state.shape[-1])
        followed = gates.follow(flat, at, start, times, k, self.source.resolution)[back]
        opening = gates.opening(followed, k)
        channel_source, channel_sink = ghk.channel(at(times[back]), opening, k)
        release = jnp.einsum("tr,pxr->tpx", sources.release_flux(self.releases, times[back]), self.release_share)
        release = release.reshape(len(tau), -1)

        n_time, n_check = len(grid.time), len(self.check_time)
        inside, checks = slice(0, n_time), slice(n_time, n_time + n_check)
        density = sources.end_flux(self.fluxes, times[back][:n_time])
        return WindowDrive(
            inside=calcium_forcing(self.geometry, channel_source[inside], channel_sink[inside], release[inside]),
            checks=calcium_forcing(
                self.geometry, channel_source[checks], channel_sink[checks], release[checks], to_checks
            ),
            gates=followed[-1].reshape(state.shape),
            end_flux=jnp.einsum("pef,tf->pet", self.flux_end, density),
        )

    @cached_property
    def _window(self) -> Callable[..., WindowDrive]:
        return jax.jit(self.forced)

    def window(self, state: Float[Array, "P X gates"], start: float, duration: float) -> WindowDrive:
        """The forcing of the window [start, start + duration] from the gates at its start."""
        return self._window(state, start, duration)


def calcium_forcing(
    geometry: PieceGeometry,
    channel_source: Float[Array, "T PX"],
    channel_sink: Float[Array, "T PX"],
    release: Float[Array, "T PX"],
    to_space: Float[Array, "x X"] | None = None,
) -> CalciumForcing:
    """What acts at the space nodes of pieces at some times, as the equation wants it.

    Args:
        geometry: Pieces at their space nodes.
        channel_source, channel_sink: Source and sink of channels at the space nodes, (T, P·X).
        release: Source of synaptic releases at the space nodes, (T, P·X).
        to_space: Interpolation from the space nodes to the wanted places, (x, X); None: these are wanted.
    """
    times, pieces = release.shape[0], len(geometry.length)

    def fields(values: Float[Array, "T PX"]) -> Float[Array, "P n"]:
        by_piece = values.reshape(times, pieces, -1)
        by_piece = by_piece if to_space is None else by_piece @ to_space.T
        return jnp.swapaxes(by_piece, 0, 1).reshape(pieces, -1)

    def held(ratio: Float[Array, "P X"]) -> Float[Array, "P n"]:
        return jnp.tile(ratio if to_space is None else ratio @ to_space.T, (1, times))

    return CalciumForcing(
        held(geometry.membrane_ratio),
        fields(channel_source),
        fields(channel_sink),
        fields(release),
        *(() if geometry.er_ratio is None else map(held, jnp.swapaxes(geometry.er_ratio, 0, 1))),
    )


def flux_ends(node: Int[np.ndarray, "P 2"], nodes: list[int], areas: list[float]) -> Float[Array, "P 2 fluxes"]:
    """Cross-section with which each end flux enters at the ends of the pieces.

    Every end at the node receives the whole amount; the node rule counts it once.
    """
    columns = [(node == place) * area for place, area in zip(nodes, areas, strict=True)]
    shares = np.stack(columns, axis=-1) if columns else np.zeros((*node.shape, 0))
    placed: Float[Array, "P 2 fluxes"] = jax.device_put(shares)
    return placed
