"""Every picture of a run, from its result file alone."""

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from hpcpinn.errors import InputError
from hpcpinn.io import Result
from hpcpinn.io.sidecar import read_reference
from hpcpinn.report.heading import heading_of
from hpcpinn.systems.cell.pictures.cell import draw_cell
from hpcpinn.systems.cell.pictures.cell_outline import round_soma
from hpcpinn.systems.cell.pictures.convergence import draw_convergence, is_split
from hpcpinn.systems.cell.pictures.kymograph import draw_kymograph
from hpcpinn.systems.cell.pictures.partition_map import draw_partition
from hpcpinn.systems.cell.pictures.population import draw_population
from hpcpinn.systems.cell.pictures.protocol import draw_protocol
from hpcpinn.systems.cell.pictures.summary import draw_overview
from hpcpinn.systems.cell.pictures.traces import draw_traces
from hpcpinn.systems.cell.pictures.voltage import draw_voltage, varies
from hpcpinn.wording import biology


def draw_all(
    result: Result,
    folder: Path,
    *,
    times: Sequence[float] | None = None,
    suffix: str = "png",
    watch: Callable[[str, int], None] = lambda name, of: None,
) -> tuple[list[Path], list[str]]:
    """Draws everything that the result has the data for; of a population its one page.

    Args:
        result: The run.
        folder: Folder of the pictures.
        times: User times at which to show the cell; chosen where None.
        suffix: Format of the pictures: png, pdf, svg.
        watch: Function of the name of a picture and of how many there are, called before each.

    Returns:
        The pictures drawn, and for each that was left out the reason.

    Raises:
        InputError: `times` lie outside the run, or there is nothing to draw.
        OutputError: A picture cannot be written.
    """
    if result.members:
        draw_population(folder / f"population.{suffix}", result)
        return [folder / f"population.{suffix}"], []
    reference = read_reference(result)
    pictures: dict[str, Callable[[Path], None]] = {}
    one_rank = result.attributes["ranks"] == 1
    left_out = ["no partition: one rank computed the whole cell"] if one_rank else []
    if not len(result.time):
        return [], [_no_frame_yet(result)]
    if is_split(result):
        pictures["protocol"] = lambda path: draw_protocol(path, result)
    pictures |= {
        "overview": lambda path: draw_overview(path, result, reference),
        "cell": lambda path: draw_cell(path, result, times),
    }
    if varies(result):
        pictures["voltage"] = lambda path: draw_voltage(path, result)
    pictures |= {
        "kymograph": lambda path: draw_kymograph(path, result),
        "traces": lambda path: draw_traces(path, result, reference),
    }
    if not one_rank:
        pictures["partition"] = lambda path: _draw_owners(path, result)
    pictures |= {
        "convergence": lambda path: draw_convergence(path, result),
    }
    drawn = []
    if times is not None:
        draw_cell(folder / f"cell.{suffix}", result, times)  # a wrong time is the user's to hear of
    for name, draw in pictures.items():
        path = folder / f"{name}.{suffix}"
        watch(name, len(pictures))
        try:
            draw(path)
        except InputError as error:
            left_out.append(f"no {name}: {error}")
        else:
            drawn.append(path)
    return drawn, left_out


def _no_frame_yet(result: Result) -> str:
    """Why there is nothing to draw, and what to do."""
    interval = result.config.get("run", {}).get("output_interval")
    unit = result.units.get("time", "")
    first = "" if not interval else f" at {biology(interval) if unit == 'ms' else f't = {interval:g}'}"
    job = "hpcpinn run with its job and --resume auto"
    return f"no frame yet: the run has not come to its first output{first}; let it go on, or go on with {job}"


def _draw_owners(path: Path, result: Result) -> None:
    cable, owner = result.cable, result.owner
    ends = cable.node.ravel()
    by_node = np.argsort(ends, kind="stable")
    groups = np.split(by_node, np.flatnonzero(np.diff(ends[by_node])) + 1)
    meeting = {int(group[0]): np.unique(owner[group // 2]).tolist() for group in groups}
    cuts = [end for end, ranks in meeting.items() if len(ranks) > 1]
    pairs = {pair for end in cuts for pair in combinations(meeting[end], 2)}
    n = int(owner.max()) + 1
    draw_partition(
        path,
        xyz=cable.xyz,
        radius=cable.radius,
        owner=owner,
        soma=round_soma(cable),
        cuts=cable.xyz.reshape(-1, 3)[cuts].reshape(-1, 3),
        neighbours=sorted(pairs),
        title=f"{n} rank{'s' * (n > 1)}, {len(cuts)} cut{'s' * (len(cuts) != 1)}",
        heading=heading_of(result),
    )
