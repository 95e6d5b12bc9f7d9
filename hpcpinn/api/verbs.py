"""What can be done with a run description: solve it, infer or draw its constants, validate; and what systems bring."""

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hpcpinn.api.actions import finished, job_of, with_files
from hpcpinn.api.estimate import Estimate
from hpcpinn.api.experiment import Experiment
from hpcpinn.api.job import NOTHING, Job, equations, solved_on
from hpcpinn.api.run import Run
from hpcpinn.api.session import ranks, telling
from hpcpinn.config.given import plain
from hpcpinn.core.front import Part, Verb
from hpcpinn.core.order import Checking
from hpcpinn.errors import InputError
from hpcpinn.io.storage import format_of
from hpcpinn.parallel.folders import TemporaryFolder
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems import all_systems, alternatives, offered, part
from hpcpinn.systems.jobs import system_of
from hpcpinn.systems.results import check_run, system_of_result

if TYPE_CHECKING:
    import networkx as nx

    from hpcpinn.core.system import System


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
        Errors and costs, as its system has them. ``figures()`` has all numbers, and the reference is in the next
        pictures.

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


def brought(name: str) -> Callable[..., Any] | None:
    """The verb of a name that systems bring, for what is solved on, or a job, of any of them; None where none does.

    Raises:
        InputError: A system cannot be loaded.
    """
    bringing = [system for system in all_systems() if name in _verbs(system)]
    if not bringing:
        return None

    def verb(
        on: "Job | Part | str | os.PathLike[str] | nx.Graph",
        model: Part | None = None,
        *,
        progress: ProgressDisplay | bool = False,
        **given: Any,
    ) -> Any:
        return _done(name, on, model, given, progress)

    work = part(_verbs(bringing[0])[name].work)
    on, model, progress, experiment = inspect.signature(verb).parameters.values()
    signature = inspect.signature(verb).replace(parameters=[on, model, *own_of(work), progress, experiment])
    verb.__name__ = verb.__qualname__ = name
    verb.__doc__, verb.__module__, verb.__signature__ = work.__doc__, work.__module__, signature  # type: ignore[attr-defined]
    return verb


def own_of(work: Callable[..., Any]) -> list[inspect.Parameter]:
    """The keyword arguments of a verb that are its own."""
    return [one for one in inspect.signature(work).parameters.values() if one.kind is inspect.Parameter.KEYWORD_ONLY]


def _verbs(system: "System") -> Mapping[str, Verb]:
    return getattr(system, "verbs", NOTHING)


def _done(name: str, on: Any, model: Any, given: Mapping[str, Any], progress: ProgressDisplay | bool) -> Any:
    """What a verb gives. Collective over all ranks."""
    said = on.document if isinstance(on, Job) else _tables(on)
    system = on.order().system if isinstance(on, Job) else system_of(said, "job")
    if name not in _verbs(system):
        others = alternatives([other.name for other in all_systems() if name in _verbs(other)])
        raise InputError(f"hpcpinn.{name}: the system {system.name!r} has none; there is one for {others}")
    verb = _verbs(system)[name]
    work = part(verb.work)
    own = {one.name for one in own_of(work)}
    experiment = {word: value for word, value in given.items() if word not in own}
    said = {**said, **({} if model is None else equations(model).tables())}
    changes: dict[str, Any] = {}
    for table, keys in verb.taken.items():
        there = {**said.get(table, {}), **plain(experiment.get(table, {}))}
        left = {key: value for key, value in keys.items() if key not in there}
        if isinstance(on, Job):
            changes |= {f"{table}.{key}": value for key, value in left.items()}
        elif left:  # before it is described: what it says may need them
            experiment[table] = {**left, **plain(experiment.get(table, {}))}
    job = job_of(on, model, experiment)
    communicator = ranks(job.config.run.transport)
    folder = TemporaryFolder(communicator) if job.beside else None
    job = with_files(job, Path() if folder is None else folder.path / "job.toml", changes, communicator)
    with job.origin.naming_places(), telling(progress, communicator) as shown:
        return work(job.order(), communicator, shown, **{word: value for word, value in given.items() if word in own})


def _tables(on: Any) -> dict[str, Any]:
    found = solved_on(on)
    return found.tables() if isinstance(found, Part) else {"system": found}
