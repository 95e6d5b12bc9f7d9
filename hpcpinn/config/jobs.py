"""Which file a person means by JOB, and the jobs that come with hpcpinn."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from hpcpinn import bundled
from hpcpinn.config.load import Override
from hpcpinn.errors import InputError
from hpcpinn.files import check_regular
from hpcpinn.wording import as_typed

DEFAULT = "default"
"""The job of a command that is given none."""

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
        overrides: What lies on top of it where a cell was named: the cell and where its result goes.
        notice: A line that says what was taken, where that is not plain from what was typed.
    """

    file: Path | None
    overrides: tuple[Override, ...] = ()
    notice: str = ""


def bundled_names() -> list[str]:
    """Names of the jobs that come with hpcpinn."""
    return list(bundled.files("jobs", ".toml"))


def bundled_job(name: str) -> Path:
    """The job file ``NAME.toml`` that comes with hpcpinn.

    Raises:
        InputError: There is none of that name.
    """
    known = bundled.files("jobs", ".toml")
    if name in known:
        return known[name]
    raise InputError(f"no bundled job {name!r};{_near(name)} there are: {', '.join(known) or 'none'}")


def find_job(given: Path | None, default: str | None = None, morphology: str | None = None) -> NamedJob:
    """What JOB means: an existing job file, else the name of a bundled one, or a cell.

    Args:
        given: What was typed; None for nothing.
        default: Bundled job that stands for nothing and that cells are put into; None takes the
            defaults of every key instead.
        morphology: Cell that was named beside it (``--morphology``).

    Raises:
        InputError: It is neither, or two cells were named.
    """
    base = None if default is None else bundled_job(default)
    if given is None:
        return NamedJob(base)
    typed = str(given)
    if is_cell(given):
        if morphology is not None:
            raise InputError(f"--morphology {morphology}: {typed} is a cell already; name one of them")
        return _with_cell(typed, base)
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
    meant = _near(given.stem)
    if meant:
        raise InputError(f"{typed}: no such job file;{meant} `hpcpinn jobs` lists all of them")
    known = ", ".join(bundled_names())
    raise InputError(f"{typed}: no such job file; give the path of a TOML file, or a bundled job: {known}")


def is_cell(given: Path) -> bool:
    """Whether an SWC file (there or not) or a bundled cell was typed."""
    if str(given).startswith("builtin:") or given.suffix.lower() == ".swc":
        return True
    return given.suffix.lower() != ".toml" and given.is_file() and _reads_as_swc(given)


def _with_cell(cell: str, base: Path | None) -> NamedJob:
    taken: list[Override] = [(cell, f"morphology.file={_quoted(cell)}")]
    if base is None:
        return NamedJob(None, tuple(taken), f"{cell} is a cell: everything else has its default")
    output = f"results/{Path(cell.removeprefix('builtin:')).stem}.h5"
    taken.append((cell, f"run.output={_quoted(output)}"))
    return NamedJob(base, tuple(taken), f"{cell} is a cell: the bundled job {base.stem} on it, into {output}")


def _quoted(text: str) -> str:
    """As a TOML string, which JSON's are, too."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _near(name: str) -> str:
    near = get_close_matches(name.lower(), bundled_names(), n=1)
    return f" did you mean the bundled job {near[0]}?" if near else ""


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


def _reads_as_swc(file: Path) -> bool:
    """Whether the first line that is no comment holds the seven numbers of a point."""
    try:
        with file.open("rb") as stream:
            lines = stream.read(65536).decode("ascii", errors="replace").splitlines()
        point = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
        return len([float(word) for word in point.split("#")[0].replace(",", " ").split()]) >= 7
    except (OSError, ValueError):
        return False
