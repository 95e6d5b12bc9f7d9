"""What can be done with cells from Python besides what every system can."""

from typing import TYPE_CHECKING

from hpcpinn.core.order import Order
from hpcpinn.progress import ProgressDisplay

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator
    from hpcpinn.systems.cell.threshold import Threshold
    from hpcpinn.systems.cell.threshold_map import ThresholdMap


def threshold(
    order: Order,
    communicator: "Communicator",
    progress: ProgressDisplay,
    *,
    site: str = "soma",
    up_to: float | None = None,
    tolerance: float = 0.01,
    wait: float | None = None,
) -> "Threshold":
    """Searches the weakest field that makes a cell fire, by bisection. Collective over all ranks.

    ``hp.threshold(cell, field=hp.Field(direction=(0, 0, 1)), stimulation=hp.Stimulation(waveform="monophasic"))``;
    the field's magnitude says no more than where the search ends.

    Args:
        site: Place where a spike is looked for; ``any``: three compartments, wherever they are.
        up_to: Strongest field that is tried, V/m (of a sampled field: a factor); 1000 or twice the job's field where
            left out, whichever is larger.
        tolerance: Width of the last bracket over the threshold.
        wait: Time after the first pulse that a spike may take, ms; 20, or 3 where it may start anywhere.

    Returns:
        The threshold as `value`, the bracket, when the spike was, and every strength that was tried.

    Raises:
        InputError: No spike up to the strongest field, one without any field, or something that was given is wrong.
        SolveError: The cell has no rest.
    """
    from hpcpinn.systems.cell.build.morphology import cable_of
    from hpcpinn.systems.cell.build.threshold import highest_for, trial_of
    from hpcpinn.systems.cell.threshold import Search, find_threshold

    config = order.described
    search = Search(site, highest_for(config) if up_to is None else up_to, tolerance, wait)

    def found() -> "Threshold":
        trial = trial_of(config, cable_of(config), search)
        return find_threshold(trial, search, progress=progress)

    return communicator.on_root(found)


def threshold_map(
    order: Order,
    communicator: "Communicator",
    progress: ProgressDisplay,
    *,
    directions: int | str | tuple[tuple[float, ...], ...] = 100,
    morphologies: tuple[str, ...] = (),
    waveforms: tuple[str, ...] = (),
    site: str = "any",
    up_to: float | None = None,
    tolerance: float = 0.005,
    wait: float | None = None,
    table: str | None = None,
) -> "ThresholdMap":
    """Searches thresholds in many directions of a uniform field, of cells and waveforms. Collective over all ranks.

    Args:
        directions: Number of directions, evenly spread, a CSV file of them, or their vectors.
        morphologies: Files of cells; that of the job where left out.
        waveforms: Names or files of waveforms; that of the job where left out.
        site, up_to, tolerance, wait: Place and bounds of every search, as of `threshold`.
        table: File (CSV) that is written as thresholds are found, and gone on with where it was begun.

    Returns:
        The thresholds, each with where and when its spike starts and how fast it runs along the axon.

    Raises:
        InputError: A cell fires without any field, or something that was given is wrong.
        OutputError: The table cannot be written.
        SolveError: A cell has no rest.
    """
    from pathlib import Path

    from hpcpinn.systems.cell.build.threshold import highest_for
    from hpcpinn.systems.cell.build.threshold_maps import Wanted, draw, thresholds_of
    from hpcpinn.systems.cell.threshold import Search
    from hpcpinn.systems.cell.threshold_map import ThresholdMap

    config = order.described
    search = Search(site, highest_for(config) if up_to is None else up_to, tolerance, wait)
    wanted = Wanted(directions, tuple(morphologies), tuple(waveforms), None if table is None else Path(table))
    rows = thresholds_of(config, search, wanted, communicator, progress)
    return ThresholdMap(tuple(rows), lambda picture: draw(config, wanted, rows, picture))
