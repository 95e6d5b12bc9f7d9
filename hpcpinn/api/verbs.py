"""What can be done with a run description: solve it, infer its constants, draw them, find a threshold, validate."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hpcpinn.api.folders import TemporaryFolder
from hpcpinn.api.job import Experiment, Job, Part
from hpcpinn.api.run import Run
from hpcpinn.api.session import ranks
from hpcpinn.config.schema import RunConfig
from hpcpinn.errors import InputError
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay

if TYPE_CHECKING:
    import networkx as nx

    from hpcpinn.parallel.communicator import Communicator
    from hpcpinn.workflows.square_validate import SquareValidation
    from hpcpinn.workflows.validate import Validation


def solve(
    on: "Job | Part | str | os.PathLike[str] | nx.Graph",
    model: Part | None = None,
    *,
    resume: str | os.PathLike[str] | bool = False,
    progress: ProgressDisplay | None = None,
    **experiment: Unpack[Experiment],
) -> Run:
    """Solves a run. Collective over all ranks.

    ``hp.solve(hp.Cell("cell.swc"), hp.Calcium(), synapses=[hp.Synapse("tip", start=1.0)], duration=50.0)``

    Args:
        on: A `Job`; or what is solved on, a `Cell` (or an SWC file, ``builtin:NAME``, a graph) or a `Square`.
        model: Its equations, such as `Calcium`; the default ones where left out.
        resume: True goes on from the checkpoint of `output` where there is one; a path from that checkpoint.
        progress: Told what is being done; nobody where left out.
        experiment: What is done, how long, and how it is solved. The result goes to `output`; where none is named, to
            a temporary folder that is kept as long as the run is.

    Returns:
        The run.

    Raises:
        InputError: Something that was given cannot be used.
        SolveError: A window does not reach its tolerance, or the solution is one that no cell could have.
        OutputError: The result cannot be written.
        NothingToDoError: The checkpoint is at the end of the run.
    """
    job = _job(on, model, experiment)
    communicator = ranks(job.config.run.transport)
    job, folder = _placed(job, communicator)
    with job.origin.naming_places():
        _solved(job, communicator, progress or NO_PROGRESS, _checkpoint(job, resume))
    run = Run(job.config.run.output, folder)
    if communicator.size > 1 and folder is not None:
        run.result  # noqa: B018 - the folder goes with the run of the first rank: all have read it by then
        communicator.barrier()
    return run


def validate(
    run: "Run | str | os.PathLike[str]",
    *,
    refinement: int | None = None,
    patience: float = 300.0,
    progress: ProgressDisplay | None = None,
) -> "Validation | SquareValidation":
    """Solves a run again with the independent reference, refined until it no longer moves, and compares.

    Args:
        run: The run, or its result file.
        refinement: How often the reference may be refined; 8 times (a square: 3) where left out.
        patience: No refinement of a cell's reference is begun that would take longer, s.
        progress: Told what is being done; nobody where left out.

    Returns:
        Errors, balance and costs; ``figures()`` has all of them, and the reference is in the next pictures.

    Raises:
        InputError: The file is no result, or the files that the run was made from are gone.
        SolveError: The reference cannot solve it.
        OutputError: The reference cannot be written beside the result.
    """
    from hpcpinn.io.square import is_square

    ranks()
    path, shown = run.path if isinstance(run, Run) else Path(run), progress or NO_PROGRESS
    if is_square(path):
        from hpcpinn.workflows.square_validate import validate_square

        return validate_square(path, refinement=refinement or 3, progress=shown)
    from hpcpinn.workflows.validate import validate as hold_against_reference

    return hold_against_reference(path, refinement=refinement or 8, patience=patience, progress=shown)


def _job(on: Any, model: Part | None, experiment: Experiment) -> Job:
    """The job that was given, or described on the spot."""
    if not isinstance(on, Job):
        return Job(on, model, **experiment)
    if model is not None or experiment:
        more = ", ".join(["the model"] * (model is not None) + list(experiment))
        raise InputError(f"hpcpinn: {more} beside a job, which has its own; change it by job.replace")
    return on


def _placed(job: Job, communicator: "Communicator") -> tuple[Job, TemporaryFolder | None]:
    """The job with a place for its result, and for its cell if that came as a graph. Collective over all ranks."""
    folder = None
    if "output" not in job.document.get("run", {}):
        folder = TemporaryFolder(communicator)
        job = job.replace({"run.output": folder.path / "run.h5"})
    if job.graph is not None:
        file = communicator.on_root(job.write_graph, Path(job.config.run.output))
        job = job.replace({"morphology.file": file})
    return job, folder


def _checkpoint(job: Job, resume: str | os.PathLike[str] | bool) -> Path | None:
    from hpcpinn.io.checkpoint import checkpoint_path

    if isinstance(resume, bool):
        own = checkpoint_path(job.config.run.output)
        return own if resume and own.is_file() else None
    if not Path(resume).is_file():
        raise InputError(f"resume: no checkpoint {resume}; give one that is there, or resume=True to begin without")
    return Path(resume)


def _solved(job: Job, communicator: "Communicator", progress: ProgressDisplay, resume: Path | None) -> Any:
    """Runs a description into its result file; the summary. Collective over all ranks."""
    config = job.config
    if not isinstance(config, RunConfig):
        from hpcpinn.workflows import square

        if resume is not None:
            raise InputError("resume: runs on a square take seconds and keep no checkpoints; leave it away")
        communicator.on_root(square.refuse_unusable_places, config, job.file)
        return square.run_square(config, communicator, progress)
    from hpcpinn.workflows import forward, long_run
    from hpcpinn.workflows.places import refuse_unusable_places
    from hpcpinn.workflows.verdict import refuse_impossible

    communicator.on_root(refuse_unusable_places, config, job.file)
    summary: Any
    if config.is_long:
        summary = long_run.run_long(config, communicator, progress, resume=resume)
    else:
        summary = forward.run(config, communicator, progress, resume=resume)
    refuse_impossible(summary.verdict, config.run.output)
    return summary
