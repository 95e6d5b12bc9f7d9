"""From a run description to what drives a long run besides the field: clamps, synapses, fluxes."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.physics import sources
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.timestepping.given_voltage import GivenVoltage
from hpcpinn.timestepping.releases import CellSources
from hpcpinn.timestepping.slots import Course, Source


def course_of(config: RunConfig, k: CalciumConstants, given: GivenVoltage | None) -> Course:
    """When clamps, synapses and fluxes are on, in this order, and when a given voltage repeats."""
    found = [Source(np.array([clamp.start]), clamp.duration, True) for clamp in config.clamp]
    for synapse, duration in zip(config.synapse, _release_durations(config, k), strict=True):
        found.append(Source(np.array(synapse.onsets), float(duration), bool(np.isinf(duration))))
    found += [Source(np.array([flux.start]), flux.duration, True) for flux in config.flux]
    period = None
    if given is not None and len(given.times) > 1:
        period = np.inf if given.period is None else given.period
    return Course(tuple(found), period)


def cell_sources(
    config: RunConfig,
    k: CalciumConstants,
    per_piece: int,
    membrane: Float[ndarray, " N"],
    release: Float[ndarray, "synapses pieces"],
    ends: list[tuple[int, int, float]],
) -> CellSources | None:
    """What synapses and fluxes bring to the points of a split run; None without any.

    Args:
        config: The run description.
        k: Constants.
        per_piece: Points per piece; they lie piece after piece.
        membrane: Membrane that every point stands for, µm².
        release: How synapses act on pieces (`Pieces.release`).
        ends: Piece, end and cross-section of every flux.
    """
    if not (config.synapse or config.flux):
        return None
    peak = np.asarray(sources.releases(config.synapse, k).flux)
    density = np.zeros((len(config.synapse) + len(config.flux), len(membrane)))
    density[: len(peak)] = peak[:, None] * np.repeat(release, per_piece, axis=1)
    for row, flux, (piece, end, area) in zip(density[len(peak) :], config.flux, ends, strict=True):
        point = piece * per_piece + end * (per_piece - 1)
        row[point] = flux.value * area / membrane[point]
    reached = np.flatnonzero(np.any(density != 0.0, axis=0))
    durations = np.append(_release_durations(config, k), [flux.duration for flux in config.flux])
    falls = np.isfinite(durations) & (np.arange(len(durations)) < len(peak))
    return CellSources(reached, density[:, reached], durations, falls, first=len(config.clamp))


def _release_durations(config: RunConfig, k: CalciumConstants) -> Float[ndarray, " n"]:
    """ms."""
    return np.asarray(sources.releases(config.synapse, k).duration) / k.time_unit
