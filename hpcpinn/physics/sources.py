"""Calcium that is let in at given places and times: synaptic release and flux through free ends.

Where a source sits (which patch of cable, which end) is the geometry's affair; here are its
courses in time, several sources at once along the last axis. Times are internal (constants'
`time_unit`), flux densities µM·µm/s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.core.parameters import Scalar
from hpcpinn.physics.constants import CalciumConstants

_SAME_MOMENT = 1e-9
"""Breakpoints closer than this share of the run are one: 10 + 1 ms and 11 ms differ in bits."""


class GivenRelease(Protocol):
    """A release as it is described; times in user units, None for what the constants say."""

    @property
    def start(self) -> float: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def flux(self) -> float | None: ...


class GivenFlux(Protocol):
    """A flux through an end as it is described; times in user units."""

    @property
    def start(self) -> float: ...
    @property
    def duration(self) -> float: ...
    @property
    def value(self) -> float: ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Releases:
    """Synaptic releases, j_SYN = flux (1 − (t − start)/duration) while they last (EQUATIONS §1).

    Attributes:
        start: Onset.
        duration: Time in which the flux falls from its peak to zero; infinite: constant flux.
        flux: Peak flux density through the membrane of the patch.
    """

    start: Float[Array, " n"]
    duration: Float[Array, " n"]
    flux: Float[Array, " n"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EndFluxes:
    """Given fluxes through free ends, D ∂c/∂s (inward) = value while they last (EQUATIONS §1).

    Attributes:
        start: Onset.
        duration: How long; may be infinite.
        value: Flux density through the cross section, positive inwards.
    """

    start: Float[Array, " n"]
    duration: Float[Array, " n"]
    value: Float[Array, " n"]


def releases(synapses: Sequence[GivenRelease], k: CalciumConstants) -> Releases:
    """The releases of a run description; what a synapse leaves out comes from the constants."""
    return Releases(
        start=_column(s.start * k.time_unit for s in synapses),
        duration=_column(k.release_duration if s.duration is None else s.duration * k.time_unit for s in synapses),
        flux=_column(k.j_release if s.flux is None else s.flux for s in synapses),
    )


def end_fluxes(fluxes: Sequence[GivenFlux], k: CalciumConstants) -> EndFluxes:
    """The end fluxes of a run description."""
    return EndFluxes(
        start=_column(f.start * k.time_unit for f in fluxes),
        duration=_column(f.duration * k.time_unit for f in fluxes),
        value=_column(f.value for f in fluxes),
    )


def release_flux(sources: Releases, t: Float[Array, "..."]) -> Float[Array, "... n"]:
    """j_SYN of every release at the times t, µM·µm/s.

    At its onset the flux jumps to its peak and counts as on; it ends continuously.
    """
    elapsed = jnp.asarray(t)[..., None] - sources.start
    active = (elapsed >= 0.0) & (elapsed < sources.duration)
    return jnp.where(active, sources.flux * (1.0 - elapsed / sources.duration), 0.0)


def released(sources: Releases, since: Float[Array, "..."], until: Float[Array, "..."]) -> Float[Array, "... n"]:
    """∫ j_SYN dt of every release from `since` to `until`, exact, µM·µm."""

    def since_onset(t: Float[Array, "..."]) -> Float[Array, "... n"]:
        elapsed = jnp.clip(jnp.asarray(t)[..., None] - sources.start, 0.0, sources.duration)
        return elapsed * (1.0 - 0.5 * elapsed / sources.duration)

    return sources.flux * (since_onset(until) - since_onset(since))


def end_flux(sources: EndFluxes, t: Float[Array, "..."]) -> Float[Array, "... n"]:
    """J of every end flux at the times t, µM·µm/s; on at its onset, off at its end."""
    elapsed = jnp.asarray(t)[..., None] - sources.start
    return jnp.where((elapsed >= 0.0) & (elapsed < sources.duration), sources.value, 0.0)


def passed(sources: EndFluxes, since: Float[Array, "..."], until: Float[Array, "..."]) -> Float[Array, "... n"]:
    """∫ J dt of every end flux from `since` to `until`, exact, µM·µm."""

    def since_onset(t: Float[Array, "..."]) -> Float[Array, "... n"]:
        return jnp.clip(jnp.asarray(t)[..., None] - sources.start, 0.0, sources.duration)

    return sources.value * (since_onset(until) - since_onset(since))


def breakpoints(sources: Sequence[Releases | EndFluxes], until: float) -> Float[np.ndarray, " m"]:
    """The moments inside (0, until) at which a source switches on or off: windows end there.

    Host side.

    Returns:
        Increasing; moments that only rounding keeps apart are given once.
    """
    moments = [np.concatenate([np.asarray(s.start), np.asarray(s.start) + np.asarray(s.duration)]) for s in sources]
    times = np.unique(np.concatenate([np.zeros(0), *moments]))
    gap = _SAME_MOMENT * until
    times = times[(times > gap) & (times < until - gap)]
    return times[np.diff(times, prepend=-np.inf) > gap]


def _column(values: Iterable[Scalar]) -> Float[Array, " n"]:
    column = list(values)
    if any(isinstance(value, jax.Array) for value in column):  # traced
        return jnp.array(column, float)
    placed: Float[Array, " n"] = jax.device_put(np.array(column, float))
    return placed
