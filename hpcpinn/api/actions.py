"""How a job is carried out: its places, the work of its system, and its result."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hpcpinn.api.job import Job
from hpcpinn.api.session import ranks, telling
from hpcpinn.api.stored import Stored
from hpcpinn.core.order import Resumption
from hpcpinn.errors import InputError, InputWarning
from hpcpinn.parallel.folders import TemporaryFolder
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems import part
from hpcpinn.systems.common.kept_inputs import put_back
from hpcpinn.systems.jobs import require_action
from hpcpinn.systems.work import held, judge

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

Kind = TypeVar("Kind", bound=Stored)


def job_of(on: Any, model: Any, experiment: Mapping[str, Any]) -> Job:
    """The job that was given, or described on the spot.

    Raises:
        InputError: The description is wrong, or there is more beside a job.
    """
    if not isinstance(on, Job):
        return Job(on, model, **experiment)
    if model is not None or experiment:
        more = ", ".join(["the model"] * (model is not None) + list(experiment))
        raise InputError(f"hpcpinn: {more} beside a job, which has its own; change it by job.replace")
    return on


def finished(
    kind: type[Kind],
    command: str,
    job: Job,
    progress: ProgressDisplay | bool,
    resume: str | os.PathLike[str] | bool = False,
) -> Kind:
    """What a job left when it was carried out. Collective over all ranks.

    Args:
        kind: Class of the result.
        command: ``run``, ``infer`` or ``uq``.
        job: The job.
        progress: Display that is told what is being done; True for what the command line shows.
        resume: Checkpoint to go on from; True for that of the result where there is one.

    Raises:
        InputError: Something that was given cannot be used.
        SolveError: The work did not succeed.
        OutputError: The result cannot be written.
    """
    communicator = ranks(job.config.run.transport)
    job, folder = _placed(job, communicator)
    wish = _wish(job, resume)
    if wish is not None or command != "run":
        job = _changed(job, communicator.on_root(put_back, job.config))
    order = job.order(wish)
    action = part(require_action(order, command))
    with telling(progress, communicator) as shown, held(order, action, communicator) as mine:
        outcome = action.work(mine, communicator, shown)
    judge(order, action, outcome)
    found = kind(job.config.run.output, folder)
    if communicator.size > 1 and folder is not None:
        found.result  # noqa: B018 - the folder goes with the object of the first rank: all have read it by then
        communicator.barrier()
    return found


def _placed(job: Job, communicator: "Communicator") -> tuple[Job, TemporaryFolder | None]:
    """The job with a place for its result, and for what it names as files. Collective over all ranks."""
    if "output" in job.document.get("run", {}):
        folder, changes = None, {}
    else:
        folder = TemporaryFolder(communicator)
        changes = {"run.output": folder.path / "run.h5"}
    return with_files(job, changes.get("run.output", Path(job.config.run.output)), changes, communicator), folder


def with_files(job: Job, beside: Path, changes: Mapping[str, Any], communicator: "Communicator") -> Job:
    """The job with changes, and with files of what it names as files. Collective over all ranks.

    Args:
        job: The job.
        beside: The job file or result that they go beside.
        changes: Values by dotted key.
        communicator: All ranks, of which the first writes.

    Raises:
        OutputError: A file cannot be written.
    """
    if job.beside:
        changes = {**changes, **communicator.on_root(job.written, beside)}
    return _changed(job, changes)


def _changed(job: Job, changes: Mapping[str, Any]) -> Job:
    if not changes:
        return job
    with warnings.catch_warnings():  # what looks wrong was said when the job was described
        warnings.simplefilter("ignore", InputWarning)
        return job.replace(changes)


def _wish(job: Job, resume: str | os.PathLike[str] | bool) -> Resumption | None:
    from hpcpinn.io.checkpoint import checkpoint_path

    if isinstance(resume, bool):
        return Resumption(checkpoint_path(job.config.run.output), or_begins=True) if resume else None
    if not Path(resume).is_file():
        raise InputError(f"resume: no checkpoint {resume}; give one that is there, or resume=True to begin without")
    return Resumption(Path(resume))
