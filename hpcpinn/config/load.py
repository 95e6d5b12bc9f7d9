"""Reads a job file and command-line overrides into a `RunConfig`.

Every problem becomes one line that names the file and line (or the flag), the key, the value and
what would be accepted.
"""

import os
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from hpcpinn.config import inverse_checks, square_checks
from hpcpinn.config.checks import Problem, conflicts, fit_defaults
from hpcpinn.config.idle import beyond_the_end, idle, unread_in_square
from hpcpinn.config.lines import Path, key_lines, line_of
from hpcpinn.config.mistakes import problem_of, table_class
from hpcpinn.config.plausible import findings
from hpcpinn.config.population import PopulationConfig
from hpcpinn.config.schema import RunConfig
from hpcpinn.config.square import SquareConfig
from hpcpinn.config.toml import parse_toml
from hpcpinn.errors import CutShortWarning, InputError, InputWarning, spelled, warn
from hpcpinn.files import refuse_endless
from hpcpinn.wording import shortened

_PATH_KEYS: tuple[tuple[str, str], ...] = (
    ("morphology", "file"),
    ("voltage", "file"),
    ("field", "file"),
    ("stimulation", "waveform"),
    ("split", "flow_map"),
    ("data", "file"),
)
"""Keys whose relative paths start at the job file."""


Override = str | tuple[str, str]
"""``table.key=value``; or the flag that a person typed for it, and that."""


def load_config(path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = ()) -> RunConfig:
    """The run description of a job file, with overrides on top.

    Args:
        path: TOML file; None takes the defaults of every key.
        overrides: ``table.key=value`` as on the command line, the value in TOML's spelling;
            what is not TOML is taken as text. ``synapse.0.start=5`` reaches into a list.

    Raises:
        InputError: Unreadable file, unknown or misspelt key, wrong type, value out of range,
            or keys that contradict each other: the first problem, and how many more there are.
    """
    return load_with_origin(path, overrides)[0]


def load_with_origin(
    path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = ()
) -> tuple[RunConfig, "Origin"]:
    """As `load_config`, with the place of every key: mistakes that only the cell shows need it, too.

    Raises:
        InputError: As `load_config`.
    """
    document, origin = read_document(path, overrides)
    if _schema(document) is SquareConfig:
        raise InputError(
            f"{origin.of(('domain', 'kind'))}: domain.kind: 'square' has no cell, which this command needs; "
            "squares are for hpcpinn run, infer, validate and plot",
            ("domain", "kind"),
        )
    config = described(document, origin)
    assert isinstance(config, RunConfig)
    return config, origin


def gives(path: str | os.PathLike[str] | None, overrides: Sequence[Override], key: Path) -> bool:
    """Whether a job file, or an override on top of it, gives a key a value; nothing is checked.

    Raises:
        InputError: Unreadable file, or an override that cannot be understood.
    """
    return key in read_document(path, overrides)[1].given


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        warn(line)


def load_any(
    path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = ()
) -> tuple[RunConfig | SquareConfig, "Origin"]:
    """As `load_with_origin`, of whatever domain the description has.

    Raises:
        InputError: As `load_config`.
    """
    document, origin = read_document(path, overrides)
    return described(document, origin), origin


def described(document: Mapping[str, Any], origin: "Origin") -> RunConfig | SquareConfig:
    """The run description of a document, of whatever domain it has; what does nothing or looks wrong is said.

    Args:
        document: Tables of keys as TOML gives them.
        origin: Where the keys were given; it learns which there are.

    Raises:
        InputError: Unknown or misspelt key, wrong type, value out of range, or keys that contradict each other.
    """
    origin.note(document)
    config: RunConfig | SquareConfig
    if _schema(document) is SquareConfig:
        origin.schema = SquareConfig
        config = _validated_square(document, origin)
    else:
        config = _validated(document, origin)
    _say(origin.warnings(config))
    return config


def read_document(
    path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = ()
) -> tuple[dict[str, Any], "Origin"]:
    """The tables of a job file as they stand there, with overrides on top, and where each key was given.

    Nothing is checked but that it is TOML; `described` makes a run description of it.

    Raises:
        InputError: Unreadable file, or an override that cannot be understood.
    """
    origin = Origin()
    document: dict[str, Any] = {}
    if path is not None:
        document, origin = _read(FilePath(path))
    counts = {_key_of(override): override for override in overrides if isinstance(override, str)}
    for override in overrides:
        _override(document, override, origin)
        last = counts.get(_key_of(override))
        if isinstance(override, str) and last is not None and last is not override:
            warn(f"--set {shortened(override, 200)}: does nothing, as --set {shortened(last, 200)} comes after it")
    origin.note(document)
    return document, origin


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """All values within tables and lists of a document, with their keys; however deep they are nested."""
    rest: list[tuple[Path, Any]] = [(path, value)]
    while rest:
        path, value = rest.pop()
        if isinstance(value, Mapping):
            rest += [((*path, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            rest += [((*path, number), inner) for number, inner in enumerate(value)]
        else:
            yield path, value


def _schema(document: Mapping[str, Any]) -> type[RunConfig] | type[SquareConfig]:
    """The class of a description: its domain says which keys there are."""
    domain = document.get("domain")
    square = isinstance(domain, Mapping) and domain.get("kind") == "square"
    return SquareConfig if square else RunConfig


def config_from_json(text: str, source: str = "stored configuration") -> RunConfig:
    """The run description that `RunConfig.to_json` wrote.

    Raises:
        InputError: The text does not describe a run of this version.
    """
    try:
        return RunConfig.model_validate_json(text)
    except ValidationError as error:
        raise refusal(error, Origin(source)) from None


def with_changes(config: RunConfig, changes: Mapping[str, Any], where: str) -> RunConfig:
    """A run description with some keys changed.

    Args:
        config: The description.
        changes: Values by dotted key, such as ``cable.R_i``.
        where: What errors say of the place where they were given.

    Raises:
        InputError: A value that a key cannot take, or keys that then contradict each other.
    """
    document = config.model_dump(exclude_unset=True)
    for key, value in changes.items():
        *tables, name = key.split(".")
        place = document
        for table in tables:
            place = place.setdefault(table, {})
        place[name] = value
    return _validated(document, Origin(where))


@dataclass
class Origin:
    """Where every value came from.

    Attributes:
        file: The job file.
        lines: Of its keys.
        flags: Of the command line, by the keys that they change.
        schema: Of the description.
        given: Keys that the description holds; of others, defaults may have been made to fit.
        units: Keys whose value names its unit: nobody need ask whether that is meant.
    """

    file: str = "configuration"
    lines: dict[Path, int] = field(default_factory=dict)
    flags: dict[Path, str] = field(default_factory=dict)
    schema: type[BaseModel] = RunConfig
    given: frozenset[Path] = frozenset()
    units: frozenset[Path] = frozenset()

    def note(self, document: Mapping[str, Any]) -> None:
        """Takes note of the keys that a description gives, and which values name their unit."""
        leaves = dict(_leaves(document))
        self.given = frozenset(leaves)
        self.units = frozenset(path for path, value in leaves.items() if isinstance(value, str))

    def of(self, path: Path) -> str:
        """Where a key, or else the table around it, was given."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.flags:
                return self.flags[path[:length]]
        for flagged, flag in self.flags.items():
            if flagged[: len(path)] == path and path not in self.lines:
                return flag  # the flag made the table
        line = line_of(self.lines, path)
        return self.file if line is None else f"{self.file}, line {line}"

    def warnings(self, config: RunConfig | SquareConfig) -> list[str]:
        """What the description holds that does nothing or looks wrong, one line each."""
        problems = list(unread_in_square(config) if isinstance(config, SquareConfig) else idle(config))
        if isinstance(config, RunConfig):
            problems = [*self._cut_short(config), *problems]
        problems = [(key, text) for key, text in problems if any(path[: len(key)] == key for path in self.given)]
        own = [(key, odd) for key, odd in findings(config) if not odd.is_refused]
        problems += [(key, odd.text) for key, odd in own if key in self.given - self.units]
        return [f"{self.of(key)}: {spelled(key)}: {message}" for key, message in problems]

    @property
    def _ends_by_flag(self) -> bool:
        """Whether the end of the run was set on the command line: who cuts a job short there knows it."""
        return ("run", "duration") in self.flags

    def _cut_short(self, config: RunConfig) -> list[Problem]:
        """What lies beyond the end of the run; where that was typed, only what was typed beside it."""
        return [
            (key, text)
            for key, text in beyond_the_end(config)
            if not self._ends_by_flag or any(key[:length] in self.flags for length in range(1, len(key) + 1))
        ]

    @contextmanager
    def naming_places(self) -> Iterator[None]:
        """Puts file and line, or the flag, in front of errors and warnings that name a key of the run description."""
        shown: Any = warnings.showwarning

        def show(message: Any, *where: Any) -> None:
            if self._ends_by_flag and isinstance(message, CutShortWarning):
                return
            place = self.of(key) if (key := getattr(message, "key", ())) else ""
            known = place and place != Origin.file
            shown(InputWarning(f"{place}: {message}", key) if known else message, *where)

        warnings.showwarning = show  # type: ignore[assignment]
        try:
            yield
        except InputError as error:
            known = error.key and error.key[0] in self.schema.model_fields
            place = self.of(error.key) if known else ""
            if not place or place == Origin.file:  # nobody gave it: there is no place to name
                raise
            raise InputError(f"{place}: {error}") from error
        finally:
            warnings.showwarning = shown


def _read(file: FilePath) -> tuple[dict[str, Any], Origin]:
    refuse_endless(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{file}: no such job file; give the path of a TOML file") from None
    except IsADirectoryError:
        raise InputError(f"{file}: is a directory; give the path of a job file (TOML)") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file}: not a text file (byte {error.start} is not UTF-8); give a TOML file, saved as UTF-8"
        ) from None
    document = parse_toml(file, text, _lists_of_tables())
    for holder, key in names_of_files(document):
        holder[key] = _beside(file, holder[key])
    return document, Origin(str(file), key_lines(text))


def names_of_files(document: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Holder and key (or index) of every name of an input file in a description."""
    for table, key in _PATH_KEYS:
        section = document.get(table)
        name = section.get(key) if isinstance(section, dict) else None
        if isinstance(name, str) and not _is_waveform_name(key, name):
            yield section, key
    population = document.get("population")
    if isinstance(population, dict) and isinstance(cells := population.get("cells"), list):
        yield from ((cells, i) for i, cell in enumerate(cells) if isinstance(cell, str))


def relative_names(document: Mapping[str, Any]) -> list[str]:
    """Names of the input files that a description, as read from TOML, seeks in its own folder."""
    names = [holder[key] for holder, key in names_of_files(document)]
    elsewhere = [not x or x.startswith("builtin:") or FilePath(x).expanduser().is_absolute() for x in names]
    return [name for name, away in zip(names, elsewhere, strict=True) if not away]


def _lists_of_tables() -> list[str]:
    """Names of the tables of which there may be several."""
    whole = (RunConfig, PopulationConfig, SquareConfig)
    lists = [
        (model, name)
        for model in whole
        for name, info in model.model_fields.items()
        if get_origin(info.annotation) is tuple and table_class(info.annotation) is not None
    ]
    return [f"population.{name}" if model is PopulationConfig else name for model, name in lists]


def _is_waveform_name(key: str, name: str) -> bool:
    """A waveform may be a name; a file has a suffix or a folder."""
    return key == "waveform" and not FilePath(name).suffix and "/" not in name


def _beside(job: FilePath, name: str) -> str:
    """`name` as seen from the job file's folder, unless it is absolute, builtin or empty."""
    if not name or name.startswith("builtin:"):
        return name
    return os.path.normpath(job.parent / FilePath(name).expanduser())


def _key_of(override: Override) -> str:
    """The key that an override changes, as it was typed."""
    return (override if isinstance(override, str) else override[1]).partition("=")[0].strip()


def _override(document: dict[str, Any], override: Override, origin: Origin) -> None:
    """Writes one ``a.b=value`` into the document and remembers the flag."""
    typed, text = ("", override) if isinstance(override, str) else override
    flag = typed or f"--set {shortened(text if text.isprintable() else repr(text), 200)}"
    dotted, equals, spelled = text.partition("=")
    path: Path = tuple(int(k) if k.isdecimal() and len(k) < 10 else k for k in dotted.strip().split("."))
    if not equals or not all(str(key) for key in path):
        raise InputError(f"{flag}: expected table.key=value, such as run.duration=20")
    put(document, path, _value(spelled.strip()), origin, flag)


def put(document: dict[str, Any], path: Path, value: Any, origin: "Origin", flag: str) -> None:
    """Writes one value into a document, making the tables around it, and remembers where it was given.

    Args:
        document: Tables of keys.
        path: Keys and numbers within lists from the top.
        value: As TOML has it.
        origin: Learns the flag.
        flag: What messages say of the place where the value was given.

    Raises:
        InputError: The document has no such place.
    """
    place: Any = document
    for depth, key in enumerate(path):
        if isinstance(place, list):
            if not isinstance(key, int) or key >= len(place):
                owner = ".".join(map(str, path[:depth]))
                raise InputError(f"{flag}: {owner} has {len(place)} entries, counted from 0")
        elif not isinstance(place, dict) or isinstance(key, int):
            owner = ".".join(map(str, path[:depth])) or "a run description"
            raise InputError(f"{flag}: {owner} holds no entry {key!r}")
        if depth == len(path) - 1:
            place[key] = value
        elif isinstance(place, dict):
            place = place.setdefault(key, {})
        else:
            place = place[key]
    origin.flags[path] = flag


def _value(spelled: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {spelled}")["value"]
    except (ValueError, RecursionError):  # not TOML, or a number of thousands of digits, or nested too deeply
        return spelled


def _validated(document: Mapping[str, Any], origin: Origin) -> RunConfig:
    try:
        config = RunConfig.model_validate(document)
    except ValidationError as error:
        raise refusal(error, origin) from None
    config = fit_defaults(config)
    _refuse([*_impossible(config), *conflicts(config), *inverse_checks.conflicts(config)], origin)
    return config


def _impossible(config: RunConfig | SquareConfig) -> list[Problem]:
    return [(key, odd.text) for key, odd in findings(config) if odd.is_refused]


def _validated_square(document: Mapping[str, Any], origin: Origin) -> SquareConfig:
    try:
        config = SquareConfig.model_validate(document)
    except ValidationError as error:
        raise refusal(error, origin) from None
    _refuse([*_impossible(config), *square_checks.conflicts(config)], origin)
    return config


def square_from_json(text: str, source: str = "stored configuration") -> SquareConfig:
    """The run description that `SquareConfig.to_json` wrote.

    Raises:
        InputError: The text does not describe a run of this version.
    """
    try:
        return SquareConfig.model_validate_json(text)
    except ValidationError as error:
        raise refusal(error, Origin(source, schema=SquareConfig)) from None


def refusal(error: ValidationError, origin: Origin) -> InputError:
    """The one line that Pydantic's error comes to: place, key, value and what would be accepted.

    Args:
        error: Of a description or of one of its tables, as `origin.schema` says.
        origin: Where the keys were given.
    """
    try:
        unknown_first = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        _refuse([problem_of(detail, origin.schema) for detail in unknown_first], origin)
    except InputError as line:
        return line
    raise AssertionError("a validation error without details")


def _refuse(problems: Iterable[Problem], origin: Origin) -> None:
    """Raises the first problem, saying how many more there are; nothing without problems."""
    found = list(problems)
    if not found:
        return
    path, message = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise InputError(f"{origin.of(path)}: {shortened(spelled(path), 150)}: {shortened(message, 600)}{more}")
