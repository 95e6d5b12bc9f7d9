"""Why a file is not read, in the words of a person, with what can be done; and what it says of itself."""

import contextlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import h5py

from hpcpinn import bundled
from hpcpinn.io.names import stem_of
from hpcpinn.wording import as_typed

READERS = {
    "hpcpinn-result": "hpcpinn.io.read",
    "hpcpinn-inference": "hpcpinn.io.inference.read_inference",
    "hpcpinn-study": "hpcpinn.io.study.read_study",
    "hpcpinn-flow-map": "hpcpinn.io.flow_map_file.read_flow_map",
    "hpcpinn-reference": "hpcpinn.io.sidecar.read_reference",
}
"""What reads each kind of file, for who calls the reader of another."""

PEEKED = ("format", "format_version", "hpcpinn", "system")
_PEEK = (
    "import sys, json, h5py; file = h5py.File(sys.argv[1], 'r', locking=False); "
    "print(json.dumps({name: str(file.attrs[name]) for name in sys.argv[2:] if name in file.attrs}))"
)

FORMER = {"hpcpinn-square": "hpcpinn-result", "hpcpinn-square-reference": "hpcpinn-reference"}
"""Formats that older versions wrote, and what such a file is today."""

_CONVERT = "`hpcpinn convert {path} NEW` writes it anew as this one does"
_AGAIN = "its job with this one writes it anew"
_OLDER = {
    "hpcpinn-result": _CONVERT,
    "hpcpinn-square": _CONVERT,
    "hpcpinn-checkpoint": "a run goes on with the version that began it alone: finish it with that, or begin anew",
    "hpcpinn-inference": f"{_AGAIN} (hpcpinn infer, or uq)",
    "hpcpinn-study": f"{_AGAIN} (hpcpinn uq --study)",
    "hpcpinn-reference": "hpcpinn validate, of the result that it lies beside, writes it anew",
    "hpcpinn-square-reference": "hpcpinn validate, of the result that it lies beside, writes it anew",
    "hpcpinn-flow-map": "hpcpinn flow-map writes it anew",
}
"""What can be done with a file of an older version, by kind."""


def peeked(path: Path) -> dict[str, str] | None:
    """What a file without a seal says of itself, as another process finds; None where that cannot open it."""
    if not h5py.is_hdf5(path):
        return None
    of_ranks = ("OMPI_", "PMI", "PRTE_", "SLURM_", "HYDRA_", "MPI_")  # the other process is no rank
    apart = {name: value for name, value in os.environ.items() if not name.startswith(of_ranks)}
    command = [sys.executable, "-c", _PEEK, str(path), *PEEKED]
    try:
        done = subprocess.run(
            command, env=apart | {"MPI4PY_RC_INITIALIZE": "0"}, capture_output=True, text=True, timeout=60, check=True
        )
        found: dict[str, str] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return found


def _reader(path: Path, kind: str) -> str:
    """What reads a file of another kind, for the end of a message; empty for what is none of ours."""
    if kind in FORMER:
        return f"; {_OLDER[kind].format(path=as_typed(path))}"
    return f"; {READERS[kind]} reads it" if kind in READERS else ""


def meant(path: Path) -> str:
    """The result that somebody means who types its stem, or the name of a bundled job; empty for none."""
    name = path.name.removesuffix(".toml") if path.suffix == ".toml" else stem_of(path)
    places = (path.with_name(f"{name}.h5"), path.parent / "results" / f"{name}.h5", Path("results", f"{name}.h5"))
    there = next((place for place in places if name and place != path and place.is_file()), None)
    if there is not None:
        return f"did you mean {there}? If not, "
    job = bundled.files("jobs", ".toml").get(name)
    if job is None:
        return ""
    output = _result_of(job)
    written = "is there" if Path(output).is_file() else "the bundled job has not written yet"
    return f"did you mean {output}, which {written}? If not, "


def _result_of(job: Path) -> str:
    """The result that a job file names, as it says it.

    Raises:
        ValueError: It is no TOML.
    """
    run = tomllib.loads(job.read_text(encoding="utf-8")).get("run", {})
    return str(run.get("output", "results/run.h5") if isinstance(run, dict) else "results/run.h5")


def _as_job(path: Path) -> str:
    """What a person is told who gives a job file in the place of its result; empty for what is none."""
    if path.suffix.lower() != ".toml":
        return ""
    try:
        output = Path(_result_of(path))
    except ValueError:
        return ""
    if output.is_file():
        return f"{path}: is a job, no result; its result is {output}"
    return f"{path}: is a job, no result; hpcpinn run {as_typed(path)} solves it, into {output}"


def _owner(path: Path) -> str:
    """The result that a file lies beside (``run.checkpoint.h5``), for the end of a message; empty for none."""
    stem, dot, _ = stem_of(path).rpartition(".")
    own = path.with_name(f"{stem}{path.suffix}")
    return f"; did you mean {own}, beside which it lies?" if dot and own.is_file() else ""


def of_another_kind(path: Path, kind: str, found: str) -> str:
    """What becomes of a file of another kind."""
    return f"{path}: is no {kind} file (its attribute 'format' is {found!r}){_reader(path, found)}{_owner(path)}"


def of_another_version(path: Path, kind: str, found: Any, known: int) -> str:
    """What becomes of a file whose version is not the one that is known."""
    told = f"{path}: is of version {found} of an {kind} file, and this hpcpinn reads version {known}"
    is_older = str(found).isdecimal() and int(found) < known
    advice = _OLDER.get(kind, _AGAIN).format(path=as_typed(path)) if is_older else "use the newer one that wrote it"
    return f"{told}; {advice}"


def of_unsealed(path: Path, kind: str, version: int) -> str:
    """Why a file without a seal is not read."""
    with contextlib.suppress(OSError):
        if path.stat().st_size == 0:
            return f"{path}: is empty; run the job again"
        if not h5py.is_hdf5(path):
            return _as_job(path) or f"{path}: is no HDF5 file; give the path of an {kind} file"
    found = peeked(path)
    if found is None:
        return _DAMAGED.format(path=path)
    if found.get("format") == kind and found.get("format_version") != str(version):
        return of_another_version(path, kind, found.get("format_version", 0), version)
    if found.get("format") == kind:
        return (
            f"{path}: has no seal: hpcpinn {found.get('hpcpinn', '')} did not write one yet, or another program has "
            f"changed the file; `hpcpinn check --accept {path}` takes it as it is"
        )
    other = found.get("format", "nothing")
    return of_another_kind(path, kind, other)


DAMAGED = "truncated or damaged"
"""Said of a file that is not as it was written."""
_DAMAGED = f"{{path}}: cannot be read, it is {DAMAGED}; restore it from a copy, or run the job again"


def what_is_wrong(path: Path, kind: str, error: Exception) -> str:
    """Why a file cannot be opened, in the words of a person; HDF5's own come with --debug."""
    if isinstance(error, PermissionError):
        return f"{path}: cannot be read ({error.strerror}); make it readable"
    with contextlib.suppress(OSError):
        if path.stat().st_size == 0:
            return f"{path}: is empty; run the job again"
        if not h5py.is_hdf5(path):
            return _as_job(path) or f"{path}: is no HDF5 file; give the path of an {kind} file"
    return _DAMAGED.format(path=path)
