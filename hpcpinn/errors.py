"""The errors and warnings a user meets. Each message names the value, the place and the fix."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Key = tuple[str | int, ...]
"""Keys and list indices (from 0) from the top of a run description to one value."""


class HpcpinnError(Exception):
    """Base of every error that is shown to a user as one line, without a traceback.

    Attributes:
        exit_code: What the process returns when this error ends it.
    """

    exit_code = 1


class InputError(HpcpinnError):
    """Something the user gave (file, line, key, flag) cannot be used.

    Attributes:
        key: The key of the run description that is to blame, empty where it is none: whoever knows
            where keys were given puts the file and line in front.
    """

    exit_code = 2

    def __init__(self, message: str = "", key: Key = ()):
        super().__init__(message)
        self.key = key


class InputWarning(UserWarning):
    """What the user gave is used, but not as it stands, or it looks wrong: a person should know.

    Attributes:
        key: Path of the key in the run description, as in `InputError`.
    """

    def __init__(self, message: str = "", key: Key = ()):
        super().__init__(message)
        self.key = key


class CutShortWarning(InputWarning):
    """Part of a protocol lies beyond the end of the run: no news to who set that end on the command line."""


def warn(message: str, key: Key = (), kind: type[InputWarning] = InputWarning) -> None:
    """Tells the user, in one line; the command line shows it as ``hpcpinn: warning: ...``, once.

    Args:
        message: Value, place and what becomes of it.
        key: Path of the key in the run description, as in `InputError`; it is put in front.
        kind: Class of the warning.
    """
    text = f"{spelled(key)}: {message}" if key else message
    warnings.warn(kind(text, key), stacklevel=2)


class NothingToDoError(HpcpinnError):
    """What was asked for is there already. No failure, but a person should know."""

    exit_code = 0


class SolveError(HpcpinnError):
    """A solve did not reach its tolerance or lost its footing; what was computed is kept."""

    exit_code = 1


class OutputError(HpcpinnError):
    """A result could not be written (full disk, no permission); what was written is kept."""

    exit_code = 1


class StoppedError(HpcpinnError):
    """A person or a queue stopped a run (Ctrl-C, SIGTERM), which can go on.

    Attributes:
        exit_code: 128 and the number of the signal.
    """

    def __init__(self, message: str = "", exit_code: int = 130):
        super().__init__(message)
        self.exit_code = exit_code


def lacking(what: str, libraries: Sequence[str], extra: str) -> InputError:
    """What a user is told who lacks an extra of the package.

    Args:
        what: Work that cannot be done without it.
        libraries: Libraries that are missing.
        extra: The extra that brings them.
    """
    return InputError(
        f"{what} needs {', '.join(libraries)}, not installed here; get it with: pip install 'hpcpinn[{extra}]'"
    )


def spelled(key: Key) -> str:
    """A key as a person finds it in a job file: ``run.output``, ``[[probe]] number 2, site``."""
    if len(key) > 1 and isinstance(key[1], int):
        inside = f", {'.'.join(map(str, key[2:]))}" if key[2:] else ""
        return f"[[{key[0]}]] number {key[1] + 1}{inside}"
    return ".".join(map(str, key))


_WHERE = "where: "
"""Begins a note of this house on an error; libraries add others."""


def note_where(error: BaseException, where: str) -> None:
    """Adds to an error of whatever kind where it happened, such as ``in the window at t = 3``; shown in its line."""
    error.add_note(_WHERE + where)


def noted_where(error: BaseException) -> str:
    """Where it happened, in parentheses after a space; empty where nobody has said."""
    notes: list[str] = getattr(error, "__notes__", [])
    places = [note.removeprefix(_WHERE) for note in notes if note.startswith(_WHERE)]
    return f" ({', '.join(places)})" if places else ""


@contextmanager
def concerning(*key: str | int) -> Iterator[None]:
    """Puts the key that the user gave in front of what is wrong with its value."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{spelled(key)}: {error}", key) from None
