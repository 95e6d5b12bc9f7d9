"""The pictures of an inference: its constants, its data, and draws from the posterior where there are some."""

from pathlib import Path

import numpy as np
from scipy.stats import norm

from hpcpinn.io.draws import Draws, NextObservation
from hpcpinn.io.geometry import Tree
from hpcpinn.io.inference import InferenceResult
from hpcpinn.report.bands import draw_bands, draw_cell
from hpcpinn.report.canvas import CYCLE, canvas
from hpcpinn.report.chains import draw_chains, draw_placement
from hpcpinn.report.corner import draw_corner
from hpcpinn.report.heading import Heading
from hpcpinn.report.posterior import draw_estimates


def draw_inference(
    result: InferenceResult,
    folder: Path,
    draws: Draws | None = None,
    placement: NextObservation | None = None,
    *,
    suffix: str = "png",
    heading: Heading | None = None,
) -> tuple[list[Path], list[str]]:
    """Draws every picture that an inference has the data for.

    Args:
        result: The inference.
        folder: Folder of the pictures.
        draws: Draws from the posterior; None where there are none.
        placement: Place and time where the next observation tells most; None where nobody asked.
        suffix: png, pdf or svg.
        heading: Line above every picture.

    Returns:
        The pictures drawn, and for each that was left out the reason.

    Raises:
        OutputError: A picture cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn, left_out = draw_estimates(result, folder, suffix=suffix, heading=heading)

    def place(name: str) -> Path:
        drawn.append(folder / f"{name}.{suffix}")
        return drawn[-1]

    if result.bands is not None:
        draw_bands(place("bands"), result, result.bands, heading)
    elif "t" in result.observations.at:
        draw_residuals(place("residuals"), result, heading)
    if result.field_bands is not None and isinstance(result.field_bands.geometry, Tree):
        draw_cell(place("cell"), result, result.field_bands, heading)
    if draws is not None:
        draw_corner(place("corner"), result, draws, heading)
        if not draws.is_weighted:
            draw_chains(place("chains"), result, draws, heading)
    if placement is not None:
        draw_placement(place("placement"), placement, heading)
    return drawn, left_out


def draw_residuals(path: Path, result: InferenceResult, heading: Heading | None = None) -> None:
    """What is left of the data, over its noise: against time, and beside the normal law."""
    seen = result.observations
    left = (seen.value - result.predicted) / seen.noise
    with canvas(path, 6.6, 2.7, heading) as figure:
        over_time, law = figure.subplots(1, 2, width_ratios=(2.0, 1.0))
        over_time.plot(seen["t"], left, ".", ms=3, color=CYCLE[0])
        over_time.axhline(0.0, color=CYCLE[6], lw=0.6)
        over_time.set(xlabel="time (ms)", ylabel="(data − model) / noise")
        law.hist(left, bins=24, density=True, color=CYCLE[5], alpha=0.5)
        z = np.linspace(-4.0, 4.0, 200)
        law.plot(z, norm.pdf(z), color=CYCLE[6], lw=0.8)
        law.set(xlabel="(data − model) / noise", ylabel="share", yticks=[])
