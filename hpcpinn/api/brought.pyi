"""Written by scripts/describe_api.py from the tables of the run description: change them there."""

from collections.abc import Sequence
from os import PathLike
from typing import Unpack

import networkx as nx

from hpcpinn.api.experiment import Experiment
from hpcpinn.api.job import Job
from hpcpinn.core.front import Part
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems.cell.threshold import Threshold
from hpcpinn.systems.cell.threshold_map import ThresholdMap

class OfJobs:
    def threshold(
        self,
        *,
        site: str = "soma",
        up_to: float | None = None,
        tolerance: float = 0.01,
        wait: float | None = None,
        progress: ProgressDisplay | bool = False,
    ) -> Threshold: ...
    def threshold_map(
        self,
        *,
        directions: int | str | Sequence[Sequence[float]] = 100,
        morphologies: Sequence[str] = (),
        waveforms: Sequence[str] = (),
        site: str = "any",
        up_to: float | None = None,
        tolerance: float = 0.005,
        wait: float | None = None,
        table: str | None = None,
        progress: ProgressDisplay | bool = False,
    ) -> ThresholdMap: ...

def threshold(
    on: Job | Part | str | PathLike[str] | nx.Graph,
    model: Part | None = None,
    *,
    site: str = "soma",
    up_to: float | None = None,
    tolerance: float = 0.01,
    wait: float | None = None,
    progress: ProgressDisplay | bool = False,
    **experiment: Unpack[Experiment],
) -> Threshold: ...
def threshold_map(
    on: Job | Part | str | PathLike[str] | nx.Graph,
    model: Part | None = None,
    *,
    directions: int | str | Sequence[Sequence[float]] = 100,
    morphologies: Sequence[str] = (),
    waveforms: Sequence[str] = (),
    site: str = "any",
    up_to: float | None = None,
    tolerance: float = 0.005,
    wait: float | None = None,
    table: str | None = None,
    progress: ProgressDisplay | bool = False,
    **experiment: Unpack[Experiment],
) -> ThresholdMap: ...
