"""Reads a job file and command-line overrides into the description of a system.

Every problem becomes one line that names the file and line (or the flag), the key, the value and
what would be accepted.
"""

import copy
import os
import tomllib
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Protocol

from pydantic import ValidationError

from hpcpinn.config.lines import Path, key_lines, line_of
from hpcpinn.config.mistakes import problem_of
from hpcpinn.config.plausible import findings
from hpcpinn.config.reading import Problem, Reading, named_system
from hpcpinn.config.toml import parse_toml
from hpcpinn.config.values import Description
from hpcpinn.errors import CutShortWarning, InputError, InputWarning, spelled, warn
from hpcpinn.files import check_regular
from hpcpinn.wording import shortened

Override = str | tuple[str, str]
"""``table.key=value``; or the flag that a person typed for it, and that."""


class Readings(Protocol):
    """The systems that a description may be of."""

    def named(self, key: Path, name: Any) -> Reading:
        """The reading of the system that a key names; without a key, that of a description that names none.

        Raises:
            InputError: There is none of that name; it knows the key.
        """

    def lists(self) -> Collection[str]:
        """Dotted names of the tables of which there may be several, of all systems."""


def load(
    path: str | os.PathLike[str] | None, overrides: Sequence[Override], readings: Readings
) -> tuple[Any, "Origin"]:
    """The description of a job file, with overrides on top, and the place of every key.

    Args:
        path: TOML file; None takes the defaults of every key.
        overrides: ``table.key=value`` as on the command line, the value in TOML's spelling;
            what is not TOML is taken as text. ``synapse.0.start=5`` reaches into a list.
        readings: The systems that it may be of.

    Raises:
        InputError: Unreadable file, unknown system, unknown or misspelt key, wrong type, value out of range,
            or keys that contradict each other: the first problem, and how many more there are.
    """
    document, origin = read_document(path, overrides, readings)
    return described(document, origin), origin


def described(document: Mapping[str, Any], origin: "Origin") -> Any:
    """The description that a document holds, checked, with a warning of what does nothing or looks wrong.

    Raises:
        InputError: It holds a mistake.
    """
    origin.note(document)
    found = validated(document, origin)
    for line in origin.warnings(found):
        warn(line)
    return found


def read_document(
    path: str | os.PathLike[str] | None, overrides: Sequence[Override], readings: Readings
) -> tuple[dict[str, Any], "Origin"]:
    """The keys and values of a job file, with overrides on top; nothing but the system's name is checked.

    Raises:
        InputError: Unreadable file, unknown system, or an override that cannot be understood.
    """
    origin = Origin()
    document: dict[str, Any] = {}
    if path is not None:
        document, origin = _read(FilePath(path), readings.lists())
    origin.reading = _reading_of(document, overrides, origin, readings)
    if path is not None:
        for holder, key in origin.reading.files(document):
            holder[key] = _beside(FilePath(path), holder[key])
    _override_all(document, overrides, origin)
    origin.note(document)
    return document, origin


def _reading_of(
    document: Mapping[str, Any], overrides: Sequence[Override], origin: "Origin", readings: Readings
) -> Reading:
    """How the description is read, once overrides lie on top of it."""
    whole, seen = copy.deepcopy(dict(document)), Origin(origin.file, origin.lines)
    for override in overrides:
        _override(whole, override, seen)
    try:
        return readings.named(*named_system(whole))
    except InputError as error:
        raise InputError(f"{seen.of(error.key)}: {error}" if error.key else str(error), error.key) from None


def _override_all(document: dict[str, Any], overrides: Sequence[Override], origin: "Origin") -> None:
    counts = {_key_of(override): override for override in overrides if isinstance(override, str)}
    for override in overrides:
        _override(document, override, origin)
        last = counts.get(_key_of(override))
        if isinstance(override, str) and last is not None and last is not override:
            warn(f"--set {shortened(override, 200)}: does nothing, as --set {shortened(last, 200)} comes after it")


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


@dataclass
class Origin:
    """Where every value came from.

    Attributes:
        file: The job file.
        lines: Line of every key.
        flags: Flags of the command line, by the keys that they change.
        reading: Rules by which the description is read.
        given: Keys that the description holds; of others, defaults may have been made to fit.
        units: Keys whose value names its unit: nobody need ask whether that is meant.
    """

    file: str = "configuration"
    lines: dict[Path, int] = field(default_factory=dict)
    flags: dict[Path, str] = field(default_factory=dict)
    reading: Reading = Reading("", Description)
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

    def warnings(self, described: Any) -> list[str]:
        """What the description holds that does nothing or looks wrong, one line each."""
        problems = [*self._cut_short(described), *self.reading.idle(described)]
        problems = [(key, text) for key, text in problems if any(path[: len(key)] == key for path in self.given)]
        own = [(key, odd) for key, odd in findings(described, self.reading.quantity_of) if not odd.is_refused]
        problems += [(key, odd.text) for key, odd in own if key in self.given - self.units]
        return [f"{self.of(key)}: {spelled(key)}: {message}" for key, message in problems]

    @property
    def _ends_by_flag(self) -> bool:
        """Whether the end of the run was set on the command line: who cuts a job short there knows it."""
        return ("run", "duration") in self.flags

    def _cut_short(self, described: Any) -> list[Problem]:
        """What lies beyond the end of the run; where that was typed, only what was typed beside it."""
        return [
            (key, text)
            for key, text in self.reading.beyond_the_end(described)
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
            known = error.key and error.key[0] in self.reading.tables.model_fields
            place = self.of(error.key) if known else ""
            if not place or place == Origin.file:  # nobody gave it: there is no place to name
                raise
            raise InputError(f"{place}: {error}") from error
        finally:
            warnings.showwarning = shown


def _read(file: FilePath, lists: Collection[str]) -> tuple[dict[str, Any], Origin]:
    check_regular(file)
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
    document = parse_toml(file, text, lists)
    return document, Origin(str(file), key_lines(text))


def relative_names(document: Mapping[str, Any], reading: Reading) -> list[str]:
    """Names of the input files that a description, as read from TOML, seeks in its own folder."""
    names = [holder[key] for holder, key in reading.files(document)]
    elsewhere = [not x or x.startswith("builtin:") or FilePath(x).expanduser().is_absolute() for x in names]
    return [name for name, away in zip(names, elsewhere, strict=True) if not away]


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
        path: Keys and numbers within lists from the top; a key with dots in it, as tables of changes have, in parts.
        value: Value as TOML has it.
        origin: Learns the flag.
        flag: Words of messages for the place where the value was given.

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
        if isinstance(place, dict) and (whole := ".".join(map(str, path[depth:]))) in place:
            key, path = whole, (*path[:depth], whole)
        if depth == len(path) - 1:
            place[key] = value
            break
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    origin.flags[path] = flag


def _value(spelled: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {spelled}")["value"]
    except (ValueError, RecursionError):  # not TOML, or a number of thousands of digits, or nested too deeply
        return spelled


def validated(document: Mapping[str, Any], origin: Origin) -> Any:
    """The description that a document holds, checked.

    Raises:
        InputError: It holds a mistake.
    """
    reading = origin.reading
    try:
        described = reading.tables.model_validate({"system": reading.name, **document})
    except ValidationError as error:
        raise refusal(error, origin, _unnamed(document, reading)) from None
    described = reading.fitted(described)
    impossible = [(key, odd.text) for key, odd in findings(described, reading.quantity_of) if odd.is_refused]
    _check_none([*impossible, *reading.conflicts(described)], origin)
    return described


def from_json(text: str, reading: Reading, source: str = "stored configuration") -> Any:
    """The description that `Description.to_json` wrote.

    Raises:
        InputError: The text does not describe a run of this version.
    """
    try:
        return reading.tables.model_validate_json(text)
    except ValidationError as error:
        raise refusal(error, Origin(source, reading=reading)) from None


def _unnamed(document: Mapping[str, Any], reading: Reading) -> str:
    """What is said of a table that a system has not, where the document names none and shows none."""
    if named_system(document)[0] or "morphology" in document:
        return ""
    return f" (no `system` is given, so this is read as a {reading.name})"


def refusal(error: ValidationError, origin: Origin, unnamed: str = "") -> InputError:
    """The one line that Pydantic's error comes to: place, key, value and what would be accepted.

    Args:
        error: The error of a description or of one of its tables, as ``origin.reading`` says.
        origin: The places where the keys were given.
        unnamed: Added to what is said of an unknown table.
    """
    try:
        unknown_first = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        problems = [(*problem_of(detail, origin.reading.tables), _is_unknown_table(detail)) for detail in unknown_first]
        _check_none([(key, text + unnamed * is_unknown) for key, text, is_unknown in problems], origin)
    except InputError as line:
        return line
    raise AssertionError("a validation error without details")


def _is_unknown_table(detail: Mapping[str, Any]) -> bool:
    is_unknown = detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1
    return is_unknown and isinstance(detail["input"], dict | list)


def _check_none(problems: Iterable[Problem], origin: Origin) -> None:
    """Raises the first problem, saying how many more there are; nothing without problems."""
    found = list(problems)
    if not found:
        return
    path, message = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise InputError(f"{origin.of(path)}: {shortened(spelled(path), 150)}: {shortened(message, 600)}{more}")
