"""What can be done with a run description: solve it, infer its constants, draw them, find a threshold, validate."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hpcpinn.api.actions import finished, job_of
from hpcpinn.api.estimate import Estimate
from hpcpinn.api.job import Experiment, Job, Part
from hpcpinn.api.run import Run
from hpcpinn.api.session import ranks, telling
from hpcpinn.config.given import plain
from hpcpinn.core.order import Checking
from hpcpinn.errors import InputError
from hpcpinn.io.storage import format_of
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems import offered
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.results import check_run, system_of_result

if TYPE_CHECKING:
    import networkx as nx

    from hpcpinn.systems.cell.threshold import Threshold


def solve(
    on: "Job | Part | str | os.PathLike[str] | nx.Graph",
    model: Part | None = None,
    *,
    resume: str | os.PathLike[str] | bool = False,
    progress: ProgressDisplay | bool = False,
    **experiment: Unpack[Experiment],
) -> Run:
    """Solves a run. Collective over all ranks.

    ``hp.solve(hp.Cell("cell.swc"), hp.Calcium(), synapses=[hp.Synapse("tip", start=1.0)], duration=50.0)``

    Args:
        on: A `Job`; or what is solved on, a `Cell` (or an SWC file, ``builtin:NAME``, a graph) or a `Square`.
        model: Equations, such as `Calcium`; the default ones where left out.
        resume: Checkpoint to go on from; True takes that of `output` where there is one.
        progress: Display that is told what is being done; True for what the command line shows.
        experiment: Tables and keys of the run: stimuli, duration, how it is solved. The result goes to `output`; where
            none is named, to a temporary folder that is kept as long as the run is.

    Returns:
        The run.

    Raises:
        InputError: Something that was given cannot be used.
        SolveError: A window does not reach its tolerance, or the solution is one that no cell could have.
        OutputError: The result cannot be written.
        NothingToDoError: The checkpoint is at the end of the run.
    """
    return finished(Run, "run", job_of(on, model, experiment), progress, resume)


def infer(
    on: "Job | Part | str | os.PathLike[str] | nx.Graph",
    model: Part | None = None,
    *,
    progress: ProgressDisplay | bool = False,
    **experiment: Unpack[Experiment],
) -> Estimate:
    """Infers constants, with intervals, from measurements. Collective over all ranks.

    ``hp.infer(cell, learn=["D_c", "pmca_max"], data=hp.Traces("traces.csv", indicator=0.25), duration=250.0)``

    Args:
        on: Job or cell, as for `solve`.
        model: Equations, as for `solve`.
        progress: Display that is told what is being done; True for what the command line shows.
        experiment: Tables and keys of the run as for `solve`, with `learn` (which constants) and `data` (from what).

    Returns:
        The constants; what the data do not determine says so.

    Raises:
        InputError: Nothing to learn, or something that was given cannot be used.
        SolveError: The model cannot be solved, or the iteration does not settle.
        OutputError: The result cannot be written.
    """
    return finished(Estimate, "infer", job_of(on, model, experiment), progress)


def sample(
    on: "Job | Part | str | os.PathLike[str] | nx.Graph",
    model: Part | None = None,
    *,
    progress: ProgressDisplay | bool = False,
    **experiment: Unpack[Experiment],
) -> Estimate:
    """Draws from the posterior of constants, beside its Laplace approximation. Collective over all ranks.

    Args:
        on: Job or cell, as for `solve`.
        model: Equations, as for `solve`.
        progress: Display that is told what is being done; True for what the command line shows.
        experiment: Tables and keys of the run as for `infer`, with ``uq={"draws": 400}`` for how many.

    Returns:
        The constants with their draws, which ArviZ opens as well (``RESULT.nc``).

    Raises:
        InputError: Nothing to learn, the extra ``uq`` is not installed, or something that was given cannot be used.
        SolveError: There is no posterior, or the draws do not represent it.
        OutputError: The result cannot be written.
    """
    return finished(Estimate, "uq", job_of(on, model, experiment), progress)


def threshold(
    on: "Job | Part | str | os.PathLike[str] | nx.Graph",
    *,
    site: str = "soma",
    up_to: float | None = None,
    tolerance: float = 0.01,
    wait: float = 20.0,
    progress: ProgressDisplay | bool = False,
    **experiment: Unpack[Experiment],
) -> "Threshold":
    """Searches the weakest field that makes a cell fire, by bisection. Collective over all ranks.

    ``hp.threshold(cell, field=hp.Field(direction=(0, 0, 1)), stimulation=hp.Stimulation(waveform="monophasic"))``

    Args:
        on: Job or cell, as for `solve`.
        site: Place where a spike is looked for.
        up_to: Strongest field that is tried, V/m (of a sampled field: a factor); 1000 or twice the job's field where
            left out, whichever is larger.
        tolerance: Width of the last bracket over the threshold.
        wait: Time after the first pulse that a spike may take, ms.
        progress: Display that is told what is being done; True for what the command line shows.
        experiment: Tables and keys of the run as for `solve`; the field's magnitude says no more than where the search
            ends.

    Returns:
        The threshold as `value`, the bracket, when the spike was, and every strength that was tried.

    Raises:
        InputError: No spike up to the strongest field, one without any field, or something that was given is wrong.
        SolveError: The cell has no rest.
    """
    if not isinstance(on, Job):  # the search needs no magnitude; a description does, to know that there is a field
        experiment["field"] = {"magnitude": 1.0, **plain(experiment.get("field", {}))}
    job = job_of(on, None, experiment)
    if not isinstance(job.config, RunConfig):
        raise InputError("hpcpinn.threshold: a field makes cells fire, and this is about none; give a Cell")
    if "magnitude" not in job.document.get("field", {}):
        job = job.replace({"field.magnitude": 1.0})
    config: RunConfig = job.config
    communicator = ranks(config.run.transport)
    from hpcpinn.systems.cell.threshold import Search, find_threshold, highest_for

    search = Search(site, highest_for(config) if up_to is None else up_to, tolerance, wait)
    with job.origin.naming_places(), telling(progress, communicator) as shown:
        return communicator.on_root(lambda: find_threshold(config, job.cell.cable, search, progress=shown))


def validate(
    run: "Run | str | os.PathLike[str]",
    *,
    refinement: int = 8,
    patience: float = 300.0,
    progress: ProgressDisplay | bool = False,
) -> Any:
    """Solves a run again with the independent reference, refined until it no longer moves, and compares.

    Args:
        run: The run, or its result file.
        refinement: How often the reference may be refined; of a square 3 times at most.
        patience: No refinement of a cell's reference is begun that would take longer, s.
        progress: Display that is told what is being done; True for what the command line shows.

    Returns:
        Errors and costs, as its system has them, of a cell `hpcpinn.systems.cell.comparison.Validation`. ``figures()``
        has all numbers, and the reference is in the next pictures.

    Raises:
        InputError: The file is no result, or the files that the run was made from are gone.
        SolveError: The reference cannot solve it.
        OutputError: The reference cannot be written beside the result.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    communicator = ranks()
    communicator.on_root(check_run, path)
    with telling(progress, communicator) as shown:
        asked = Checking(path, refinement, patience, shown)
        return communicator.on_root(lambda: offered(system_of_result(path), "validate")(asked))


def read(path: str | os.PathLike[str]) -> Any:
    """A result from its file, also one that is still being written or was cut short.

    Returns:
        A `Run`, or an `Estimate` where constants were inferred.

    Raises:
        InputError: The file does not exist, is damaged, of another version, or no result of hpcpinn.
    """
    inferred = "inference" in (format_of(Path(path)) or "")
    found: Run | Estimate = Estimate(path) if inferred else Run(path)
    found.result  # noqa: B018 - what is wrong with the file is said now
    return found
