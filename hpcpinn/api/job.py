"""A run description in Python: built from a cell, a model and what is done to it, or read from a job file."""

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack

from pydantic import BaseModel

from hpcpinn.api.brought import OfJobs
from hpcpinn.api.experiment import Experiment
from hpcpinn.config.given import plain
from hpcpinn.config.load import Origin, put
from hpcpinn.config.reading import Reading, table_class
from hpcpinn.config.toml import toml_text
from hpcpinn.core.front import Beside, Part
from hpcpinn.core.order import Order, Resumption
from hpcpinn.errors import InputError, OutputError
from hpcpinn.systems import bare_things, system_named, system_names
from hpcpinn.systems.jobs import described, read_document, system_of
from hpcpinn.systems.named_job import find_job
from hpcpinn.wording import meant

if TYPE_CHECKING:
    import networkx as nx

    from hpcpinn.api.estimate import Estimate
    from hpcpinn.api.run import Run
    from hpcpinn.progress import ProgressDisplay

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""No changes, nothing beside."""


class Job(OfJobs):
    """A run description: what is solved, on what, and how.

    Attributes:
        document: Tables of the keys that were given, as in a job file.
        origin: Places where the keys were given, for messages.
        config: The description with all defaults, checked.
        file: The job file it was read from; None for a job made here.
        beside: Objects that it names as files, such as the graph of a cell, by the dotted key of the file.
    """

    def __init__(self, on: "Part | str | os.PathLike[str] | nx.Graph", model: Part | None = None,
                 **experiment: Unpack[Experiment]) -> None:  # fmt: skip
        """Describes a run.

        Args:
            on: A `Cell` (or what makes one: an SWC file, ``builtin:NAME``, a graph), a `Square`, or a system's name.
            model: Equations, such as `Calcium`; the default ones where left out.
            experiment: Tables and keys of the run: stimuli, duration, how it is solved.

        Raises:
            InputError: Unknown key, wrong type, value out of range, or keys that contradict each other.
        """
        part = solved_on(on)
        document: dict[str, Any] = part.tables() if isinstance(part, Part) else {"system": part}
        document |= {} if model is None else equations(model).tables()
        words = Words(system_of(document, "job"))
        for name, value in experiment.items():
            table, taken = words.taken(name, value)
            both = isinstance(taken, dict) and isinstance(document.get(table), dict)
            document[table] = {**document[table], **taken} if both else taken
        self._take(document, Origin("job"), None, getattr(part, "beside", dict)())

    @classmethod
    def of_file(cls, given: str | os.PathLike[str], changes: Mapping[str, Any] = NOTHING) -> "Job":
        """A job from its file; see `load`.

        Raises:
            InputError: As `load`.
        """
        found = find_job(Path(given))
        document, origin = read_document(found.file, list(found.overrides))
        job = cls.__new__(cls)
        job._take(_changed(document, origin, changes), origin, found.file, NOTHING)
        return job

    def _take(self, document: dict[str, Any], origin: Origin, file: Path | None, beside: Mapping[str, Beside]) -> None:
        self.document, self.origin, self.file, self.beside = document, origin, file, beside
        self.config: Any = described(document, origin)

    def replace(self, changes: Mapping[str, Any]) -> "Job":
        """A job that differs in some keys.

        Args:
            changes: Values by dotted key, such as ``{"run.duration": 20.0, "synapse.0.start": "2 ms"}``.

        Raises:
            InputError: There is no such place, a value that a key cannot take, or keys that then contradict each other.
        """
        job = type(self).__new__(type(self))
        origin = deepcopy(self.origin)
        job._take(_changed(deepcopy(self.document), origin, changes), origin, self.file, self.beside)
        return job

    def to_toml(self, path: str | os.PathLike[str] | None = None) -> str:
        """The job as TOML text with the keys that were given: `load` of it is an equal job.

        Args:
            path: Job file to write it to. Relative names of input files start there; what it names as a file without
                being one, such as the graph of a cell, is written beside it. None: the text alone, to be saved in the
                working directory.

        Raises:
            InputError: Something goes into a file beside the job, and there is no place to write it to.
            OutputError: A file cannot be written.
        """
        document = deepcopy(self.document)
        target = None if path is None else Path(path)
        if target is None and self.beside:
            names = ", ".join(self.beside)
            raise InputError(f"to_toml: {names}: goes into a file beside the job: name the job's file")
        if target is not None:
            document = _changed(document, deepcopy(self.origin), self.written(target))
            for holder, key in self.origin.reading.files(document):
                holder[key] = _from_folder(holder[key], target.parent)
        text = toml_text(document)
        if target is not None:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            except OSError as error:
                raise OutputError(
                    f"{target}: the job cannot be written ({error.strerror}); name another file"
                ) from None
        return text

    def written(self, beside: Path) -> dict[str, Path]:
        """Writes what it names as files without being any, and says where, by the dotted key.

        Args:
            beside: The job file, or the result.

        Raises:
            OutputError: It cannot be written.
        """
        return {key: one.write(beside) for key, one in self.beside.items()}

    def order(self, wish: Resumption | None = None) -> Order:
        """The job as its system is handed it.

        Args:
            wish: Checkpoint to go on from; None for a fresh start.
        """
        return Order(system_named(self.origin.reading.name), self.config, self.origin, self.file, wish=wish)

    @property
    def on(self) -> Any:
        """What it is solved on, as its system has it for Python: a `Cell`, a `Square`.

        Raises:
            InputError: Its system has no such thing.
        """
        system = system_named(self.origin.reading.name)
        if not hasattr(system, "on"):
            raise InputError(f"job.on: the system {system.name!r} has nothing for Python that it is solved on")
        return system.on(self.config, self.beside)

    def solve(
        self, *, resume: str | os.PathLike[str] | bool = False, progress: "ProgressDisplay | bool" = False
    ) -> "Run":
        """Solves it; see `hpcpinn.solve`."""
        from hpcpinn.api.verbs import solve

        return solve(self, resume=resume, progress=progress)

    def infer(self, *, progress: "ProgressDisplay | bool" = False) -> "Estimate":
        """Infers its constants; see `hpcpinn.infer`."""
        from hpcpinn.api.verbs import infer

        return infer(self, progress=progress)

    def sample(self, *, progress: "ProgressDisplay | bool" = False) -> "Estimate":
        """Draws its constants from their posterior; see `hpcpinn.sample`."""
        from hpcpinn.api.verbs import sample

        return sample(self, progress=progress)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.config == other.config

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Job of {self.file or 'Python'}:\n{toml_text(self.document)}"


def load(job: str | os.PathLike[str], changes: Mapping[str, Any] | None = None) -> Job:
    """A job from a file.

    Args:
        job: Job file (TOML), or the name of a bundled one (``hpcpinn jobs``), or an SWC file.
        changes: Values by dotted key, such as ``{"run.duration": 20.0}``, on top.

    Raises:
        InputError: Unreadable file, unknown or misspelt key, wrong type, value out of range, or keys that contradict
            each other.
    """
    return Job.of_file(job, changes or {})


def solved_on(on: Any) -> Part | str:
    """What adds to a description what is solved on, or the name of a system.

    Raises:
        InputError: It is neither, and no system takes it.
    """
    _check_made(on)
    if isinstance(getattr(on, "tables", None), type):
        raise InputError(f"hpcpinn: {type(on).__name__} is a system itself; give its name, {getattr(on, 'name', '')!r}")
    if isinstance(on, Part) or (isinstance(on, str) and on in system_names()):
        return on
    if isinstance(on, (str, os.PathLike)) and Path(on).suffix.lower() == ".toml":
        raise InputError(f'{on}: is a job file: hp.load("{on}").solve(), or .infer(), or .sample()')
    parts = (bare.part(on) for bare in bare_things())
    found = next((part for part in parts if part is not None), None)
    if found is not None:
        return found
    accepted = "; ".join(bare.accepted for bare in bare_things())
    if not isinstance(on, str):
        raise InputError(f"hpcpinn: {type(on).__name__} is nothing to solve on; {accepted}")
    try:
        return system_named(on).name
    except InputError as error:
        raise InputError(f"{error}; {accepted}") from None


def _check_made(given: Any) -> None:
    if isinstance(given, type):
        raise InputError(f"hpcpinn: {given.__name__} is a class; give one of it, {given.__name__}()")


def equations(model: Any) -> Part:
    """The equations.

    Raises:
        InputError: It is something else.
    """
    _check_made(model)
    if isinstance(model, Part) and not isinstance(model.tables, type):
        return model
    raise InputError(
        f"hpcpinn: the model is {type(model).__name__}, and no such thing as Calcium(); "
        "give tables by their names: constants={...}, run={...}"
    )


class Words:
    """The words of an experiment: tables of a system, its lists in the plural, and keys of its table [run]."""

    def __init__(self, system: Any) -> None:
        self._tables: dict[str, type[BaseModel] | None] = {
            name: table_class(info.annotation) for name, info in system.tables.model_fields.items()
        }
        lists = [name for name in Reading.of(system).lists if "." not in name]
        self._plurals = {plural(name): name for name in lists} | {"learn": "parameter"}
        run = self._tables["run"]
        self._run = set(run.model_fields if run else ()) - self._tables.keys()

    def taken(self, name: str, value: Any) -> tuple[str, Any]:
        """The table that a word stands for, and what it adds to it.

        Raises:
            InputError: It is most like another word.
        """
        if name in self._run:
            return "run", {name: plain(value)}
        known = {*self._tables, *self._plurals, *self._run}
        if name not in known and (near := meant(name, known)):
            raise InputError(f"job: {name}: unknown; {near}")
        table, taken = self._plurals.get(name, name), plain(value)
        if isinstance(taken, list):
            first = only_key(self._tables.get(table))
            taken = [{first: one} if first and isinstance(one, str) else one for one in taken]
        return table, taken


def plural(name: str) -> str:
    """The name of a list of tables in the plural: probes, fluxes."""
    return f"{name}{'es' if name.endswith(('s', 'x')) else 's'}"


def only_key(table: type[BaseModel] | None) -> str:
    """The key that text alone stands for in a list of tables: the only one that has no default; empty for none."""
    required = [name for name, info in table.model_fields.items() if info.is_required()] if table else []
    return required[0] if len(required) == 1 else ""


def _changed(document: dict[str, Any], origin: Origin, changes: Mapping[str, Any]) -> dict[str, Any]:
    for dotted, value in changes.items():
        path = tuple(int(key) if key.isdecimal() else key for key in dotted.split("."))
        put(document, path, plain(value), origin, "changes")
    return document


def _from_folder(name: str, folder: Path) -> str:
    """The name of a file as it is seen from a folder; names that are absolute or bundled stay."""
    if name.startswith("builtin:") or Path(name).expanduser().is_absolute():
        return name
    if folder.is_absolute():
        return str(Path(name).absolute())
    return os.path.relpath(name, folder)
