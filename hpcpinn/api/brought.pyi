"""Written by scripts/describe_api.py from the tables of the run description: change them there."""

from os import PathLike
from typing import Unpack

import networkx as nx

from hpcpinn.api.experiment import Experiment
from hpcpinn.api.job import Job
from hpcpinn.core.front import Part
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems.cell.threshold import Threshold

class OfJobs:
    def threshold(
        self,
        *,
        site: str = "soma",
        up_to: float | None = None,
        tolerance: float = 0.01,
        wait: float = 20.0,
        progress: ProgressDisplay | bool = False,
    ) -> Threshold: ...

def threshold(
    on: Job | Part | str | PathLike[str] | nx.Graph,
    model: Part | None = None,
    *,
    site: str = "soma",
    up_to: float | None = None,
    tolerance: float = 0.01,
    wait: float = 20.0,
    progress: ProgressDisplay | bool = False,
    **experiment: Unpack[Experiment],
) -> Threshold: ...
