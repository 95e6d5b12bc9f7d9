"""Thresholds over the directions of a field: a Mollweide map for every cell and waveform, and arrows around it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.directions import directions_of
from hpcpinn.report.canvas import canvas
from hpcpinn.report.heading import abridged
from hpcpinn.systems.cell.pictures.cell_outline import colours_of_kinds

_PANEL = (4.6, 2.9)
"""Inches of a map."""
_FEW = 8
"""Directions below which dots are drawn, and no surface."""


def draw_maps(path: Path, maps: Mapping[str, Sequence[Mapping[str, Any]]], cables: Mapping[str, Cable]) -> None:
    """Draws a row for every cell and waveform: the map, and the cell with an arrow along every direction.

    Args:
        path: Picture; its directory is made.
        maps: Rows of a table of thresholds by title, ``cell, waveform``.
        cables: Cells by title.

    Raises:
        OutputError: The picture cannot be written.
    """
    width, height = _PANEL
    with canvas(path, 2.0 * width, height * len(maps) + 0.2) as figure:
        for number, (title, rows) in enumerate(maps.items()):
            found = np.array([row["threshold_V_per_m"] for row in rows], float)
            vectors = np.array([[row[name] for name in ("Ex", "Ey", "Ez")] for row in rows], float)
            axes = figure.add_subplot(len(maps), 2, 2 * number + 1, projection="mollweide")
            _draw_map(figure, axes, rows, found)
            axes.set_title(f"{abridged(title, 60)}\n{_summary(found)}", fontsize=8)
            solid: Any = figure.add_subplot(len(maps), 2, 2 * number + 2, projection="3d")
            _draw_arrows(solid, cables[title], vectors, found)


def _summary(found: Float[ndarray, " n"]) -> str:
    """The median and the extremes of a map, in words."""
    there = found[np.isfinite(found)]
    if not len(there):
        return "no threshold up to the strongest field"
    missing = f", none in {len(found) - len(there)}" if len(there) < len(found) else ""
    return (
        f"{there.min():.3g} to {there.max():.3g} V/m, median {np.median(there):.3g}, {len(found)} directions{missing}"
    )


def _draw_map(figure: Figure, axes: Axes, rows: Sequence[Mapping[str, Any]], found: Float[ndarray, " n"]) -> None:
    """Thresholds over azimuth and polar angle; up is the direction to the surface of the cortex."""
    azimuth = np.radians((np.array([row["azimuth_deg"] for row in rows], float) + 180.0) % 360.0 - 180.0)
    latitude = np.radians(90.0 - np.array([row["polar_deg"] for row in rows], float))
    there = np.isfinite(found)
    shown: Any = None
    if there.sum() >= _FEW:
        shown = axes.pcolormesh(*_surface(rows, found, there), cmap="viridis_r", shading="gouraud", rasterized=True)
        axes.plot(azimuth[there], latitude[there], ".", ms=1.5, color="k", alpha=0.5)
    elif there.any():
        shown = axes.scatter(azimuth[there], latitude[there], c=found[there], cmap="viridis_r", s=40)
    if (~there).any():
        axes.plot(azimuth[~there], latitude[~there], "x", ms=4, color="#B34700")
    axes.set_xticks(np.radians([-120.0, -60.0, 0.0, 60.0, 120.0]))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.7, pad=0.04).set_label("threshold (V/m)", fontsize=7)


def _surface(
    rows: Sequence[Mapping[str, Any]], found: Float[ndarray, " n"], there: Bool[ndarray, " n"]
) -> tuple[Float[ndarray, " a"], Float[ndarray, " p"], Float[ndarray, "p a"]]:
    """Thresholds between the directions, over azimuth and latitude: exact in every direction that was tried."""
    from scipy.interpolate import RBFInterpolator

    vectors = np.array([[row[name] for name in ("Ex", "Ey", "Ez")] for row in rows], float)[there]
    azimuth, latitude = np.linspace(-180.0, 180.0, 145), np.linspace(-90.0, 90.0, 73)
    grid = directions_of(*(part.ravel() for part in np.meshgrid(90.0 - latitude, azimuth, indexing="ij")))
    _, first = np.unique(vectors.round(9), axis=0, return_index=True)
    surface = RBFInterpolator(vectors[first], found[there][first], kernel="linear")
    between = np.clip(surface(grid), found[there].min(), found[there].max())
    return np.radians(azimuth), np.radians(latitude), between.reshape(len(latitude), len(azimuth))


def _draw_arrows(axes: Any, cable: Cable, vectors: Float[ndarray, "n 3"], found: Float[ndarray, " n"]) -> None:
    """The cell in the middle of arrows along the field, the longer the easier; y, the depth, is drawn upwards."""
    from matplotlib import colormaps
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    middle = cable.xyz.reshape(-1, 3).mean(axis=0)
    size = float(np.percentile(np.linalg.norm(cable.xyz.reshape(-1, 3) - middle, axis=1), 98))
    turned = (cable.xyz - middle)[..., [0, 2, 1]]
    colours = colours_of_kinds(cable)
    axes.add_collection3d(
        Line3DCollection(list(turned), colors=[colours[int(kind)] for kind in cable.kind], linewidths=0.4)
    )
    there = np.isfinite(found)
    if there.any():
        least, most = float(found[there].min()), float(found[there].max())
        share = (found[there] - least) / max(most - least, 1e-12)
        start = 1.15 * size * vectors[there][:, [0, 2, 1]]
        arrow = 0.5 * size * (least / found[there])[:, None] * vectors[there][:, [0, 2, 1]]
        axes.quiver(*start.T, *arrow.T, colors=colormaps["viridis_r"](share), linewidths=0.8, arrow_length_ratio=0.3)
    reach = 1.5 * size
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
    axes.set_box_aspect((1, 1, 1), zoom=1.35)
    axes.set_axis_off()
