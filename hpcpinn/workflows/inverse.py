"""Inferences, draws and studies of run descriptions, of whichever system."""

import time as clock
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from hpcpinn.config import RunConfig
from hpcpinn.config.square import SquareConfig
from hpcpinn.errors import InputError
from hpcpinn.inference import infer as inferring
from hpcpinn.inference import sample as sampling
from hpcpinn.inference import study as studying
from hpcpinn.inference.infer import Inference
from hpcpinn.inference.sample import Sampled
from hpcpinn.inference.study import Study
from hpcpinn.io.study import FORMAT as STUDY
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.workflows import cell_inverse, square_inverse

Described = RunConfig | SquareConfig
Work = Callable[[Described, Communicator, ProgressDisplay], Inference | Sampled | Study]


def _system(described: Described) -> ModuleType:
    return square_inverse if isinstance(described, SquareConfig) else cell_inverse


def refuse_unusable_places(described: Described, job: Path | None = None, *, draws: bool = False) -> None:
    """Finds out before the work starts that a result cannot, or must not, be written.

    Args:
        described: The run description.
        job: The file that it comes from.
        draws: Whether draws are to be written beside the result, too.

    Raises:
        InputError: A place is unusable, or, for draws, the extra ``uq`` is not installed.
    """
    inferring.refuse_unusable_places(described.run.output, _system(described).inputs(described, job), draws=draws)


def refuse_unusable_places_of_study(described: Described, job: Path | None = None) -> None:
    """As `refuse_unusable_places`, for a study.

    Raises:
        InputError: A place is unusable.
    """
    inferring.refuse_unusable_places(described.run.output, {"the job file": job}, kind=STUDY)


def infer(described: Described, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS) -> Inference:
    """Infers the constants of a run description and writes the result. Collective over all ranks.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: The iteration does not come to an end.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    problem, observed = _system(described).prepared(described, communicator, progress)
    return inferring.infer(problem, observed, communicator, progress, output=described.run.output, began=began)


def sample(described: Described, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS) -> Sampled:
    """Draws from the posterior of a run description and writes the result. Collective over all ranks.

    Raises:
        InputError: No parameters, or data that cannot be used.
        SolveError: There is no posterior, or the draws do not represent it.
        OutputError: The result cannot be written.
    """
    began, system = clock.perf_counter(), _system(described)
    problem, observed = system.prepared(described, communicator, progress)
    how = system.sampling(described)
    return sampling.sample(problem, observed, how, communicator, progress, output=described.run.output, began=began)


def study(described: Described, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS) -> Study:
    """Studies estimates of a run description's constants and writes the result. Collective over all ranks.

    Raises:
        InputError: No parameters, data from a file, or a system whose model is a run.
        OutputError: The result cannot be written.
    """
    if not isinstance(described, SquareConfig):
        raise InputError("--study: domain.kind = 'cell'; studies are made on squares only")
    progress.doing("setting up")
    what = square_inverse.studied(described)
    return studying.study(*what, communicator, progress, output=described.run.output)
