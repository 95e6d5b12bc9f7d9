"""How descriptions of a system are read: its tables, and what single keys cannot say."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hpcpinn.config.declared import declared_quantity_of
from hpcpinn.config.lines import Path
from hpcpinn.config.values import Changes, InputFile, Table
from hpcpinn.config.windows import windows_out_of_order
from hpcpinn.core.plausibility import Quantity

Problem = tuple[Path, str]
"""A key and what is wrong with it."""

Finder = Callable[[Any], Iterable[Problem]]
"""Finds problems of a description."""


def _nothing(described: Any) -> Iterable[Problem]:
    return ()


def _as_it_is(described: Any) -> Any:
    return described


@dataclass(frozen=True)
class Reading:
    """How descriptions of a system are read; a system has these members, the first two at least.

    Attributes:
        name: The system's name.
        tables: The class of its descriptions.
        conflicts: Keys that contradict each other, the most basic first: refused. By default lengths of windows alone.
        idle: Keys that do nothing, or less than they say: warned of.
        beyond_the_end: Keys of what begins after the run: warned of where the end was not typed beside them.
        fitted: A copy in which defaults follow what was given.
        quantity_of: The quantity (`hpcpinn.core.plausibility`) of a key, by default of those that are declared
            constants; None for none.
    """

    name: str
    tables: type[Table]
    conflicts: Finder = windows_out_of_order
    idle: Finder = _nothing
    beyond_the_end: Finder = _nothing
    fitted: Callable[[Any], Any] = _as_it_is
    quantity_of: Callable[[Any, Path], Quantity | None] = declared_quantity_of

    @classmethod
    def of(cls, system: object) -> "Reading":
        """The reading of a system that has some of the members."""
        names = [one.name for one in fields(cls)]
        return cls(**{name: getattr(system, name) for name in names if hasattr(system, name)})

    @property
    def lists(self) -> list[str]:
        """Dotted names of the tables of which there may be several."""
        return list(_lists_in(self.tables, ""))

    def files(self, document: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
        """Holder and key (or index) of every name of an input file in a description as read from TOML."""
        yield from ((holder, key) for holder, key, _ in files_in(document, self.tables))


def named_system(document: Mapping[str, Any]) -> tuple[Path, Any]:
    """The key that names the system of a description, and the name; no key and None where nothing does."""
    if "system" in document:
        return ("system",), document["system"]
    domain = document.get("domain")
    kind = domain.get("kind") if isinstance(domain, Mapping) else None
    return (("domain", "kind"), kind) if isinstance(kind, str) else ((), None)


def table_class(annotation: Any) -> type[BaseModel] | None:
    """The table class inside an annotation such as ``tuple[SynapseConfig, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (inner := table_class(argument)) is not None:
            return inner
    return None


def _lists_in(table: type[BaseModel], above: str) -> Iterator[str]:
    for name, info in table.model_fields.items():
        inner = table_class(info.annotation)
        if inner is not None:
            if get_origin(info.annotation) is tuple:
                yield above + name
            else:
                yield from _lists_in(inner, f"{above}{name}.")


Named = tuple[Any, Any, Path]
"""Holder, key (or index) and whole path of the name of a file."""


def files_in(document: Mapping[str, Any], tables: type[BaseModel]) -> Iterator[Named]:
    """Every name of an input file in a description as plain values."""
    return _Files(tables).within(document, tables, ())


@dataclass(frozen=True)
class _Files:
    """Finds names of files in a description of some class."""

    tables: type[BaseModel]

    def within(self, document: Mapping[str, Any], table: type[BaseModel], above: Path) -> Iterator[Named]:
        """Those in one of its tables."""
        for name, info in table.model_fields.items():
            if name in document:
                yield from self._at(document, name, info, (*above, name))

    def _at(self, holder: Any, key: Any, info: FieldInfo, path: Path) -> Iterator[Named]:
        value, table, mark = holder[key], table_class(info.annotation), _file_mark(info)
        if isinstance(value, str) and mark is not None and not mark.is_a_name(value):
            yield holder, key, path
        elif isinstance(value, list) and (mark is not None or table is not None):
            for number in range(len(value)):
                yield from self._at(value, number, info, (*path, number))
        elif isinstance(value, dict) and any(isinstance(one, Changes) for one in info.metadata):
            for dotted in value:
                if (changed := _field_of(self.tables, dotted)) is not None:
                    yield from self._at(value, dotted, changed, (*path, dotted))
        elif isinstance(value, dict) and table is not None:
            yield from self.within(value, table, path)


def _field_of(tables: type[BaseModel], dotted: str) -> FieldInfo | None:
    """What is declared of a dotted key; None where there is no such key."""
    table: type[BaseModel] | None = tables
    info: FieldInfo | None = None
    for name in dotted.split("."):
        info = None if table is None else table.model_fields.get(name)
        table = None if info is None else table_class(info.annotation)
    return info


def _file_mark(info: FieldInfo) -> InputFile | None:
    return next((mark for mark in info.metadata if isinstance(mark, InputFile)), None) or _mark(info.annotation)


def _mark(annotation: Any) -> InputFile | None:
    """The mark inside an annotation such as ``File | None``."""
    own = annotation.__metadata__ if get_origin(annotation) is Annotated else ()
    inner = (_mark(argument) for argument in get_args(annotation) if get_origin(argument) or get_args(argument))
    return next((mark for mark in [*own, *inner] if isinstance(mark, InputFile)), None)
