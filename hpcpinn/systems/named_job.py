"""JOB, as every command takes it: a job file, the name of a bundled job, or what its system takes for a whole job."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.config.jobs import bundled_job, bundled_names, near_job
from hpcpinn.config.load import Override
from hpcpinn.errors import InputError
from hpcpinn.files import check_regular
from hpcpinn.parallel import launch
from hpcpinn.systems import bare_things, system_names
from hpcpinn.wording import as_typed

if TYPE_CHECKING:
    from hpcpinn.core.front import Bare

MorphologyOption = Annotated[str | None, typer.Option(help="SWC file to use instead of the job's.", metavar="FILE")]
"""``--morphology``"""
OutputOption = Annotated[str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")]
"""``--output``"""
JOB_HELP = "Job file (TOML), or the name of a bundled one (hpcpinn jobs)"
"""Begins the help of JOB."""

_HDF5 = b"\x89HDF\r\n\x1a\n"

_OTHERS = {
    ".csv": "a table, which a job names ([voltage] file, [field] file, [data] file)",
    ".ipynb": "a notebook",
    ".py": "a Python program",
    ".json": "JSON, and jobs are TOML",
    ".yaml": "YAML, and jobs are TOML",
    ".yml": "YAML, and jobs are TOML",
    ".asc": "no SWC file; convert the morphology to SWC",
    ".hoc": "no SWC file; convert the morphology to SWC",
    ".nml": "no SWC file; convert the morphology to SWC",
}
"""What files of other kinds are, in the words of a refusal."""


@dataclass(frozen=True)
class NamedJob:
    """What a person named in the place of JOB.

    Attributes:
        file: The run description; None takes the defaults of every key.
        overrides: Keys on top of it where a thing that is no job was named: the thing and where its result goes.
        notice: A line that says what was taken, where that is not plain from what was typed.
    """

    file: Path | None
    overrides: tuple[Override, ...] = ()
    notice: str = ""


def find_job(given: Path | None, default: str | None = None, morphology: str | None = None) -> NamedJob:
    """What JOB means: an existing job file, else the name of a bundled one, or what a system takes for one.

    Args:
        given: What was typed; None for nothing.
        default: Bundled job that stands for nothing; None takes the defaults of every key instead, and puts what is no
            job into them.
        morphology: Cell that was named beside it (``--morphology``).

    Raises:
        InputError: It is none of these, or two cells were named.
    """
    if given is None:
        return NamedJob(None if default is None else bundled_job(default))
    typed = str(given)
    bare = bare_of(given)
    if bare is not None:
        if morphology is not None:
            raise InputError(f"--morphology {morphology}: {typed} is {bare.kind} already; name one of them")
        return _put_into(bare, typed, None if default is None else bundled_job(bare.base))
    if given.is_file():
        _check_kinds(given)
        return NamedJob(given)
    if typed in bundled_names():
        own = Path(f"{typed}.toml")
        other = f"; {own} here is another one: name it with its ending" if own.is_file() else ""
        return NamedJob(bundled_job(typed), notice=f"{typed} is the bundled job{other}")
    check_regular(given)
    if given.is_dir():
        return NamedJob(given)  # refused where it is read
    if typed in system_names():
        raise InputError(
            f"{typed}: is a system, no job; a job of it begins with system = {json.dumps(typed)}, and hpcpinn systems "
            f"{typed} lists its tables and keys"
        )
    near = near_job(given.stem)
    if near:
        raise InputError(f"{typed}: no such job file;{near} `hpcpinn jobs` lists all of them")
    known = ", ".join(bundled_names())
    raise InputError(f"{typed}: no such job file; give the path of a TOML file, or a bundled job: {known}")


def bare_of(typed: Path) -> "Bare | None":
    """How what was typed is taken by the system that takes it for a whole job; None where none does."""
    return next((bare for bare in bare_things() if bare.is_one(typed)), None)


def chosen_job(given: Path | None, default: str | None = None, morphology: str | None = None) -> NamedJob:
    """What JOB means (`find_job`), with a line on what was taken where that is not plain."""
    job = find_job(given, default, morphology)
    if job.notice and launch.promised_rank() == 0:
        print(f"hpcpinn: {job.notice}", file=sys.stderr)
    return job


def chosen_file(given: Path, command: str, wanted: str, example: str) -> Path:
    """The job file of a command to which a cell alone, or another thing that is no job, says too little.

    Args:
        given: What was typed.
        command: Name of the command.
        wanted: What it needs besides.
        example: A bundled job that has it.

    Raises:
        InputError: As `find_job`, or no job was named.
    """
    bare = bare_of(given)
    if bare is not None:
        table, _, key = bare.key.rpartition(".")
        raise InputError(
            f"{given}: is {bare.kind}, and hpcpinn {command} needs a job with {wanted}; hpcpinn init {example} writes "
            f"one to start from, and its [{table}] {key} names the {bare.kind.partition(' ')[2]}"
        )
    file = chosen_job(given).file
    assert file is not None
    return file


def overrides_of(flags: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Flags that stand for keys of the run description, as overrides that remember the flag.

    Args:
        flags: Values by key; ``run.output`` is typed ``--output``, ``morphology.file`` ``--morphology``.
    """
    typed = {"morphology.file": "morphology"}
    return [
        (f"--{typed.get(key, key.rpartition('.')[2])} {value}", _changed(key, value))
        for key, value in flags.items()
        if value is not None
    ]


def _put_into(bare: "Bare", typed: str, base: Path | None) -> NamedJob:
    taken: list[Override] = [(typed, _changed(bare.key, typed))]
    if base is None:
        return NamedJob(None, tuple(taken), f"{typed} is {bare.kind}: everything else has its default")
    output = f"results/{Path(typed.rpartition(':')[2]).stem}.h5"
    taken.append((typed, _changed("run.output", output)))
    return NamedJob(base, tuple(taken), f"{typed} is {bare.kind}: the bundled job {base.stem} on it, into {output}")


def _changed(key: str, text: str) -> str:
    """The override of a key by text, as a TOML string, which JSON's are, too."""
    return f"{key}={json.dumps(text, ensure_ascii=False)}"


def _check_kinds(file: Path) -> None:
    """Raises where a file is plainly no job."""
    if _starts_with(file, _HDF5):
        if file.name.endswith(".checkpoint.h5"):
            raise InputError(f"{file}: is a checkpoint, no job; go on from it with the job and --resume {file}")
        raise InputError(
            f"{file}: is a result, no job; did you mean hpcpinn validate {as_typed(file)} or hpcpinn plot "
            f"{as_typed(file)}? A run goes on with its job and --resume"
        )
    what = _OTHERS.get(file.suffix.lower())
    if what is not None:
        raise InputError(f"{file}: is {what}; give a job file (TOML): hpcpinn init writes one to start from")


def _starts_with(file: Path, mark: bytes) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(len(mark)) == mark
    except OSError:
        return False  # said where it is read
