"""What can be done with cells from Python besides what every system can."""

from typing import TYPE_CHECKING

from hpcpinn.core.order import Order
from hpcpinn.progress import ProgressDisplay

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator
    from hpcpinn.systems.cell.threshold import Threshold


def threshold(
    order: Order,
    communicator: "Communicator",
    progress: ProgressDisplay,
    *,
    site: str = "soma",
    up_to: float | None = None,
    tolerance: float = 0.01,
    wait: float = 20.0,
) -> "Threshold":
    """Searches the weakest field that makes a cell fire, by bisection. Collective over all ranks.

    ``hp.threshold(cell, field=hp.Field(direction=(0, 0, 1)), stimulation=hp.Stimulation(waveform="monophasic"))``;
    the field's magnitude says no more than where the search ends.

    Args:
        site: Place where a spike is looked for.
        up_to: Strongest field that is tried, V/m (of a sampled field: a factor); 1000 or twice the job's field where
            left out, whichever is larger.
        tolerance: Width of the last bracket over the threshold.
        wait: Time after the first pulse that a spike may take, ms.

    Returns:
        The threshold as `value`, the bracket, when the spike was, and every strength that was tried.

    Raises:
        InputError: No spike up to the strongest field, one without any field, or something that was given is wrong.
        SolveError: The cell has no rest.
    """
    from hpcpinn.systems.cell.build.morphology import load_cable
    from hpcpinn.systems.cell.build.threshold import highest_for, trial_of
    from hpcpinn.systems.cell.threshold import Search, find_threshold

    config = order.described
    search = Search(site, highest_for(config) if up_to is None else up_to, tolerance, wait)

    def found() -> "Threshold":
        trial = trial_of(config, load_cable(config.morphology), search)
        return find_threshold(trial, search, progress=progress)

    return communicator.on_root(found)
