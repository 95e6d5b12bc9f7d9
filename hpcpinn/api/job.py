"""A run description in Python: built from a cell, a model and what is done to it, or read from a job file."""

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack, runtime_checkable

from hpcpinn.config.given import plain
from hpcpinn.config.jobs import find_job
from hpcpinn.config.load import Origin, put
from hpcpinn.config.toml import toml_text
from hpcpinn.core.order import Order
from hpcpinn.errors import InputError, OutputError
from hpcpinn.morphology.meshes import builtin_names
from hpcpinn.systems import system_named, system_names
from hpcpinn.systems.cell.cell import Cell
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.front import (
    Buffer,
    Channels,
    Clamp,
    Field,
    Flux,
    Learned,
    Probe,
    Stimulation,
    Synapse,
    Traces,
    Voltage,
)
from hpcpinn.systems.jobs import described, read_document, system_of

if TYPE_CHECKING:
    import networkx as nx

    from hpcpinn.api.estimate import Estimate
    from hpcpinn.api.run import Run
    from hpcpinn.progress import ProgressDisplay
    from hpcpinn.systems.cell.threshold import Threshold

Keys = Mapping[str, Any]
"""A table as a mapping of its keys."""
Quantity = float | str
"""A number, or text with its unit."""

_LISTS = {
    "buffers": "buffer", "synapses": "synapse", "fluxes": "flux", "clamps": "clamp", "probes": "probe",
    "learn": "parameter",
}  # fmt: skip
"""Words for lists, and the tables that they are lists of."""

_FIRST = {"probe": "site", "parameter": "name"}
"""The key that text alone stands for in these."""

_RUN = ("duration", "output", "output_interval", "probe_interval", "seed", "transport")
"""Keys of [run] that may be given by themselves."""


@runtime_checkable
class Part(Protocol):
    """What is solved on, or by which equations: something that knows what it adds to a run description."""

    def tables(self) -> dict[str, Any]:
        """Tables of keys."""


class Experiment(TypedDict, total=False):
    """What is done to a cell, how long, and how it is solved: tables of the run description by their names.

    Lists are given as ``buffers``, ``synapses``, ``fluxes``, ``clamps``, ``probes`` and ``learn``, keys of [run] by
    themselves. Every table may be a mapping of its keys; a key that is left out has its default
    (docs/run-description.md).
    """

    duration: Quantity
    output: str | os.PathLike[str]
    output_interval: Quantity
    probe_interval: Quantity
    seed: int
    transport: str
    voltage: Voltage | Keys
    field: Field | Keys
    stimulation: Stimulation | Keys
    channels: Channels | Keys
    buffers: Sequence[Buffer | Keys]
    clamps: Sequence[Clamp | Keys]
    synapses: Sequence[Synapse | Keys]
    fluxes: Sequence[Flux | Keys]
    probes: Sequence[Probe | str | Keys]
    learn: Sequence[Learned | str | Keys]
    data: Traces | Keys
    cable: Keys
    window: Keys
    split: Keys
    network: Keys
    training: Keys
    pieces: Keys
    schwarz: Keys
    population: Keys
    inference: Keys
    uq: Keys


class Job:
    """A run description: what is solved, on what, and how.

    Attributes:
        document: Tables of the keys that were given, as in a job file.
        origin: Places where the keys were given, for messages.
        config: The description with all defaults, checked.
        file: The job file it was read from; None for a job made here.
        graph: The cell as a graph where it came as one; None for a cell from a file.
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
        part = _solved_on(on)
        document: dict[str, Any] = part.tables() if isinstance(part, Part) else {"system": part}
        document |= {} if model is None else _model(model).tables()
        known = {*Experiment.__annotations__, *system_of(document, "job").tables.model_fields}
        for name, value in experiment.items():
            if name not in known and (near := get_close_matches(name, known, n=1)):
                raise InputError(f"job: {name}: unknown; did you mean {near[0]!r}?")
            table, taken = _taken(name, value)
            both = isinstance(taken, dict) and isinstance(document.get(table), dict)
            document[table] = {**document[table], **taken} if both else taken
        self._take(document, Origin("job"), None, getattr(part, "graph", None))

    @classmethod
    def of_file(cls, given: str | os.PathLike[str], changes: Mapping[str, Any] = {}) -> "Job":
        """A job from its file; see `load`.

        Raises:
            InputError: As `load`.
        """
        found = find_job(Path(given))
        document, origin = read_document(found.file, list(found.overrides))
        job = cls.__new__(cls)
        job._take(_changed(document, origin, changes), origin, found.file, None)
        return job

    def _take(self, document: dict[str, Any], origin: Origin, file: Path | None, graph: "nx.Graph | None") -> None:
        self.document, self.origin, self.file, self.graph = document, origin, file, graph
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
        job._take(_changed(deepcopy(self.document), origin, changes), origin, self.file, self.graph)
        return job

    def to_toml(self, path: str | os.PathLike[str] | None = None) -> str:
        """The job as TOML text with the keys that were given: `load` of it is an equal job.

        Args:
            path: Job file to write it to. Relative names of input files start there; a cell that came as a graph is
                written beside it. None: the text alone, to be saved in the working directory.

        Raises:
            InputError: The cell came as a graph, and there is no place to write it to.
            OutputError: A file cannot be written.
        """
        document = deepcopy(self.document)
        target = None if path is None else Path(path)
        if self.graph is not None:
            if target is None:
                raise InputError(
                    "to_toml: the cell is a graph, which goes into a file beside the job: name the job's file"
                )
            document["morphology"]["file"] = str(self.write_graph(target))
        if target is not None:
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

    def write_graph(self, beside: Path) -> Path:
        """Writes the graph of the cell beside a job or a result: ``run.h5`` → ``run.cell.json``.

        Raises:
            OutputError: It cannot be written.
        """
        from hpcpinn.morphology.graph_file import write_graph

        assert self.graph is not None
        file = beside.with_name(f"{beside.stem}.cell.json")
        write_graph(file, self.graph)
        return file

    def order(self, resume: Path | None = None) -> Order:
        """The job as its system is handed it.

        Args:
            resume: The checkpoint to go on from.
        """
        return Order(system_named(self.origin.reading.name), self.config, self.origin, self.file, resume=resume)

    @property
    def cell(self) -> Cell:
        """The cell that it is about.

        Raises:
            InputError: It is about none.
        """
        if not isinstance(self.config, RunConfig):
            raise InputError("a job on a square has no cell")
        given = self.config.morphology
        return Cell(given.file if self.graph is None else self.graph, **given.model_dump(exclude={"file"}))

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

    def threshold(self, **search: Any) -> "Threshold":
        """Searches the weakest field that makes its cell fire; see `hpcpinn.threshold`."""
        from hpcpinn.api.verbs import threshold

        return threshold(self, **search)

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


def _solved_on(on: Any) -> Part | str:
    """What adds to a description what is solved on, or the name of a system.

    Raises:
        InputError: It is neither, and no cell.
    """
    _check_made(on)
    if isinstance(getattr(on, "tables", None), type):
        raise InputError(f"hpcpinn: {type(on).__name__} is a system itself; give its name, {getattr(on, 'name', '')!r}")
    if isinstance(on, Part) or (isinstance(on, str) and on in system_names()):
        return on
    if isinstance(on, (str, os.PathLike)) and Path(on).suffix.lower() == ".toml":
        raise InputError(f'{on}: is a job file: hp.load("{on}").solve(), or .infer(), or .sample()')
    if isinstance(on, str) and on.isidentifier() and on not in builtin_names() and not Path(on).exists():
        try:
            system_named(on)
        except InputError as error:
            raise InputError(f"{error}; for a cell give the path of an SWC file, or builtin:NAME") from None
    return Cell(on)


def _check_made(given: Any) -> None:
    if isinstance(given, type):
        raise InputError(f"hpcpinn: {given.__name__} is a class; give one of it, {given.__name__}()")


def _model(model: Any) -> Part:
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


def _taken(name: str, value: Any) -> tuple[str, Any]:
    """The table that a keyword stands for, and what it adds to it."""
    if name in _RUN:
        return "run", {name: plain(value)}
    table, taken = _LISTS.get(name, name), plain(value)
    if isinstance(taken, list):
        first = _FIRST.get(table)
        taken = [{first: one} if first and isinstance(one, str) else one for one in taken]
    return table, taken


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
