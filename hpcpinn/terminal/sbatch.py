"""Text for sbatch and bash, by their rules: options, time limits, job arrays, and the command of a script."""

import re
import shlex
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from hpcpinn.errors import InputError

TASK = "%a"
"""SLURM's own spelling of a task's number, in arguments of a run as in names of logs; ``%%`` is a ``%``."""

_TASK_IN_BASH = '"${SLURM_ARRAY_TASK_ID}"'

_PLAIN = re.compile(r"[\w./=,:;+@%^~*\[\]-]*", re.ASCII)
"""What sbatch takes as it stands."""

_LONG = re.compile(r"(--[a-z][a-z0-9-]*)(?:(?:=|\s+)(.*))?", re.DOTALL)
_SHORT = re.compile(r"(-[A-Za-z])\s*=?(.*)", re.DOTALL)

_TIME = re.compile(
    r"(?:(?P<days>\d{1,4})-)?(?P<first>\d{1,9})(?::(?P<second>[0-5]?\d))?(?::(?P<third>[0-5]?\d))?", re.ASCII
)
_MOST_SECONDS = 366 * 24 * 3600

_RANGE = re.compile(r"(\d{1,7})(?:-(\d{1,7})(?::([1-9]\d{0,6}))?)?", re.ASCII)


def check_printable(what: str, text: str) -> None:
    """Refuses what would end a line of a script and begin another.

    Args:
        what: Name of the text for a person, such as ``--account``.
        text: Text that is checked.

    Raises:
        InputError: There is a control character.
    """
    found = next((letter for letter in text if unicodedata.category(letter) == "Cc"), None)
    if found is not None:
        raise InputError(f"{what} {text[:80]!r}: a control character ({found!r}) has no place in a batch script")


def check_filled(what: str, text: str, is_array: bool) -> None:
    """Refuses placeholders of SLURM that nothing fills in the arguments of a run.

    Args:
        what: Name of the argument, such as ``--output``.
        text: Text that is checked.
        is_array: Whether the run is a job array: ``%a`` is then the number of its task.

    Raises:
        InputError: There is one.
    """
    found = [mark for mark in re.findall("%[%aAj]", text) if mark != "%%"]
    wrong = next((mark for mark in found if mark != TASK or not is_array), None)
    if wrong is None:
        return
    said = f"{what} {text}: {wrong}"
    if wrong != TASK:
        raise InputError(f"{said} is filled in names of logs alone; in a job array {TASK} is the number of the task")
    raise InputError(
        f"{said} is the number of a task of a job array, and this is none; add --sbatch=--array=0-9, or leave it out"
    )


def check_blanks(what: str, text: str | None) -> None:
    """Refuses a name that can be none of SLURM's; None is no name, and is fine.

    Raises:
        InputError: It is empty, or there is a blank, a quote or a control character.
    """
    if text is None:
        return
    if not text:
        raise InputError(f"{what} '': the name is empty (a variable that is not set?); give a name, or leave it out")
    check_printable(what, text)
    if re.search(r"[\s\"'\\]", text):
        raise InputError(f"{what} {text!r}: a name of SLURM has no blanks, quotes or backslashes")


@dataclass(frozen=True)
class Option:
    """One option of sbatch.

    Attributes:
        flag: Name of the option, such as ``--mem`` or ``-p``.
        value: None where it has none.
    """

    flag: str
    value: str | None

    @staticmethod
    def read(typed: str) -> "Option":
        """The option that a person typed: ``--mem=8G``, ``--mem 8G``, ``-p gpu``, ``--exclusive``.

        Raises:
            InputError: It is none.
        """
        check_printable("--sbatch", typed)
        text = typed.strip()
        found = _LONG.fullmatch(text) or _SHORT.fullmatch(text)
        if found is None:
            raise InputError(f"--sbatch {typed!r}: an option of sbatch begins with a dash and a name, as --mem=8G")
        value = found[2] if text.startswith("--") else found[2] or None
        return Option(found[1], value)

    @property
    def directive(self) -> str:
        """Its line of a batch script. sbatch reads double quotes, and a backslash before one or before itself."""
        if self.value is None:
            return f"#SBATCH {self.flag}"
        value = self.value
        if not _PLAIN.fullmatch(value):
            value = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        return f"#SBATCH {self.flag}{'=' if self.flag.startswith('--') else ' '}{value}"


def seconds_of(time: str) -> int | None:
    """A time limit in SLURM's spelling, in seconds; None if it is none.

    ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``, ``days-hours:minutes`` and
    ``days-hours:minutes:seconds``.
    """
    found = _TIME.fullmatch(time)
    if found is None:
        return None
    first, *rest = (int(found[name]) for name in ("first", "second", "third") if found[name] is not None)
    if found["days"] is not None:
        hours, (minutes, seconds) = first, (*rest, 0, 0)[:2]
        return ((int(found["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(rest) == 2:
        return (first * 60 + rest[0]) * 60 + rest[1]
    return first * 60 + (rest[0] if rest else 0)


def check_times(time: str, grace: int) -> None:
    """Finds out that a job could do no work between its start and the signal that sends it back.

    Args:
        time: Limit in SLURM's spelling.
        grace: Seconds before it.

    Raises:
        InputError: The limit is none, zero or above a year, the grace none, or they do not go together.
    """
    limit = seconds_of(time)
    if limit is None:
        raise InputError(f"--time {time}: give minutes, H:MM:SS or D-HH:MM:SS")
    if not 0 < limit <= _MOST_SECONDS:
        raise InputError(f"--time {time}: give more than nothing and at most a year, such as 2:00:00")
    if not 1 <= grace <= 65535:
        raise InputError(f"--grace {grace}: give 1 to 65535 seconds")
    if grace >= limit:
        raise InputError(
            f"--grace {grace}: is not shorter than --time {time} ({limit} s), so the job would go back to the queue "
            "at once"
        )
    if limit - grace < 60:
        raise InputError(
            f"--grace {grace}: leaves {limit - grace} s of --time {time} ({limit} s), of which the start takes half a "
            "minute; leave at least 60 s"
        )


def tasks_of(array: str) -> list[int]:
    """Numbers of the tasks of a job array, the first thousand: ``0-9``, ``1,3,5``, ``0-30:10``, ``0-15%4``.

    Raises:
        InputError: It is no list of SLURM's.
    """
    listed, _, at_once = array.partition("%")
    numbers: dict[int, None] = {}
    parts = [_RANGE.fullmatch(part) for part in listed.split(",")]
    if "%" in array and not re.fullmatch(r"[1-9]\d{0,6}", at_once, re.ASCII):
        parts = [None]
    for part in parts:
        last = 0 if part is None else int(part[2] or part[1])
        if part is None or last < int(part[1]):
            raise InputError(f"--sbatch --array={array}: give numbers of tasks, such as 0-9, 1,3,5 or 0-15%4")
        numbers.update(dict.fromkeys(range(int(part[1]), last + 1, int(part[3] or 1))[:1000]))
    return list(numbers)[:1000]


def for_task(argument: str, task: int) -> str:
    """An argument of the run as one task of an array gets it."""
    return re.sub("%[a%]", lambda found: str(task) if found[0] == TASK else "%", argument)


def arguments_of_a_task(words: Sequence[str]) -> str:
    """Words for bash, which puts in the number of the task for ``%a``; ``%%`` is ``%``."""
    return " ".join(map(_word_of_a_task, words))


def _word_of_a_task(word: str) -> str:
    pieces = re.split("(%[a%])", word)
    text = [piece if piece != "%%" else "%" for piece in pieces]
    if TASK not in text:
        return shlex.quote("".join(text))
    # Bash joins what touches: 'run_'"${SLURM_ARRAY_TASK_ID}"'.h5'
    return "".join(_TASK_IN_BASH if piece == TASK else shlex.quote(piece) for piece in text if piece)
