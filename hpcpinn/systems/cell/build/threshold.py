"""From a run description to a cell in a field whose strength is tried."""

from collections.abc import Sequence

from hpcpinn.errors import concerning, warn
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.systems.cell.build.membrane import clamped_compartments, driven_cable
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.threshold import HIGHEST, Search, Trial


def highest_for(config: RunConfig) -> float:
    """Where a search ends if nobody says where: `HIGHEST`, or twice the strongest field of the job, V/m."""
    strengths: list[float] = [config.field.magnitude or 0.0, *config.population.magnitudes]
    return max(HIGHEST, *(2.0 * abs(one) for one in strengths))


def trial_of(config: RunConfig, cable: Cable, search: Search) -> Trial:
    """The cell of a run description; clamps of the job act as they are.

    Args:
        config: Run description with a field; its magnitude is not read, only its direction or file.
        cable: The whole cell.
        search: Place, and bounds of the search.

    Raises:
        InputError: Anything the user gave that cannot be used.
    """
    driven = driven_cable(config, cable, {"field.magnitude": 1.0})
    cells = driven.compartments
    with concerning(search.argument("site")):
        compartment = cells.nearest(parse_site(search.site, cable), cable)
    _warn_of_clamps(config, clamped_compartments(config, cells, cable), compartment, search)
    return Trial(driven, compartment, "V/m" if config.field.file is None else "times the sampled field")


def _warn_of_clamps(config: RunConfig, where: Sequence[int], compartment: int, search: Search) -> None:
    """Says so before anything is tried where a clamp may fire the place that the field is to fire."""
    over = config.stimulation.start + search.wait
    for number, at in enumerate(where):
        clamp = config.clamp[number]
        if at == compartment and clamp.start < over and clamp.current > 0.0:
            warn(
                f"acts at {search.site} while a spike is looked for there; to leave it out, {search.without_clamps}",
                ("clamp", number, "site"),
            )
