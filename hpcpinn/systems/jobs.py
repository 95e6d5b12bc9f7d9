"""Job files of every system: read, told apart, and those that come with hpcpinn."""

import json
import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcpinn.config import load
from hpcpinn.config.jobs import bundled_job
from hpcpinn.config.lines import Path as Key
from hpcpinn.config.load import Origin, Override, from_json, relative_names
from hpcpinn.config.reading import Reading, named_system
from hpcpinn.core.order import Order
from hpcpinn.errors import InputError, spelled
from hpcpinn.systems import all_systems, alternatives, default_name, system_named, system_names
from hpcpinn.systems.common.kept_inputs import put_back
from hpcpinn.systems.inverse import DrawAction, InferAction

if TYPE_CHECKING:
    from hpcpinn.core.system import System


def load_order(path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = (), **typed: Any) -> Order:
    """The description of a job file, with overrides on top, and the system that it is of.

    Args:
        path: TOML file; None takes the defaults of every key.
        overrides: Values on top of the file's, as for `hpcpinn.config.load.load`.
        typed: Words of the command line, for what follows.

    Raises:
        InputError: As `hpcpinn.config.load.load`.
    """
    described, origin = load.load(path, overrides, _All())
    file = None if path is None else Path(path)
    return Order(system_named(origin.reading.name), described, origin, file, typed)


def load_with_kept_inputs(file: Path | None, overrides: Sequence[Override], **typed: Any) -> Order:
    """An order as `load_order` has it, whose files are those that its result keeps where they are gone (`put_back`).

    Raises:
        InputError: As `load_order` and `put_back`.
    """
    order = load_order(file, overrides, **typed)
    kept = [f"{key}={json.dumps(place, ensure_ascii=False)}" for key, place in put_back(order.described).items()]
    return load_order(file, [*overrides, *kept], **typed) if kept else order


def read_document(
    path: str | os.PathLike[str] | None = None, overrides: Sequence[Override] = ()
) -> tuple[dict[str, Any], Origin]:
    """The keys and values of a job file, with overrides on top; nothing but the system's name is checked.

    Raises:
        InputError: As `hpcpinn.config.load.read_document`.
    """
    return load.read_document(path, overrides, _All())


def described(document: Mapping[str, Any], origin: Origin) -> Any:
    """The description that a document holds, checked, with a warning of what does nothing or looks wrong.

    Args:
        document: Tables of keys as TOML gives them.
        origin: The places where the keys were given; it learns which there are, and of which system they are.

    Raises:
        InputError: As `load_order`.
    """
    origin.reading = _All().named(*named_system(document))
    return load.described(document, origin)


def stored_description(text: str, source: str) -> "tuple[System, Any]":
    """The system of a stored description (JSON), and the description.

    Raises:
        InputError: It is of no system that is known, or not of this version.
    """
    system = system_of(json.loads(text), source)
    return system, from_json(text, Reading.of(system), source)


def system_of(document: Mapping[str, Any], source: str) -> "System":
    """The system of a description as plain values.

    Raises:
        InputError: It is of none that is known.
    """
    key, name = named_system(document)
    try:
        return system_named(name if key else default_name())
    except InputError as error:
        raise InputError(f"{source}: {spelled(key)}: {error}") from None


def require_action(order: Order, command: str) -> Any:
    """What a command does with orders for a system, or the name of its module.

    Raises:
        InputError: The system has no such action.
    """
    actions: Mapping[str, Any] = {**COMMON_ACTIONS, **getattr(order.system, "actions", {})}
    if command not in actions:
        others = [one.name for one in all_systems() if command in getattr(one, "actions", {})]
        known = f"; there is one for {alternatives(others)}" if others else ""
        raise InputError(f"{order.origin.file}: the system {order.system.name!r} has no {command}{known}")
    return actions[command]


COMMON_ACTIONS: Mapping[str, Any] = {"run": "hpcpinn.systems.common.run", "infer": InferAction(), "uq": DrawAction()}
"""What commands do with a system that says no more than what it builds."""


class _All:
    """How descriptions of all systems are read."""

    def named(self, key: Key, name: Any) -> Reading:
        if not key:
            return Reading.of(system_named(default_name()))
        try:
            if not isinstance(name, str):
                raise InputError(f"{name!r} is no name; give one of {alternatives(system_names())}")
            return Reading.of(system_named(name))
        except InputError as error:
            raise InputError(f"{spelled(key)}: {error}", key) from None

    def lists(self) -> Collection[str]:
        return [name for system in all_systems() for name in Reading.of(system).lists]


@dataclass(frozen=True)
class BundledJob:
    """A job that comes with hpcpinn.

    Attributes:
        name: What a person types for it.
        file: The job file.
        about: The first sentence of its comment.
        commands: Commands that it is made for, with an option where they need one.
        inputs: Names, as they stand in it, of the files that it reads and that lie beside it.
    """

    name: str
    file: Path
    about: str
    commands: tuple[str, ...]
    inputs: tuple[str, ...]


def describe(name: str) -> BundledJob:
    """What a bundled job is about, and for.

    Raises:
        InputError: There is none of that name.
    """
    file = bundled_job(name)
    text = file.read_text(encoding="utf-8")
    document = tomllib.loads(text)
    reading = Reading.of(system_of(document, str(file)))
    if "study" in document:
        commands: tuple[str, ...] = ("uq --study",)
    else:
        commands = ("infer", "uq") if "parameter" in document else ("run",)
    return BundledJob(name, file, _first_sentence(text), commands, tuple(relative_names(document, reading)))


def _first_sentence(text: str) -> str:
    """Of the comment that a job file begins with."""
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#").strip())
    return re.split(r"(?<=[.!?])\s", " ".join(comment).strip(), maxsplit=1)[0]
