"""Whether files are whole, how far they go, and what can be done with them, in lines for people. Serial."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py

from hpcpinn.errors import InputError
from hpcpinn.io import checkpoint, flow_map_file, schema, storage
from hpcpinn.io.change import journal_path
from hpcpinn.io.describing import extent_of
from hpcpinn.io.layout import Committed
from hpcpinn.io.metrics import metrics_path, read_metrics
from hpcpinn.io.owner import owner_of
from hpcpinn.io.seal import UnsealedError, seal_file, verified
from hpcpinn.io.sidecar import reference_path
from hpcpinn.wording import counted

VERSIONS = {
    schema.FORMAT: schema.FORMAT_VERSION,
    checkpoint.FORMAT: checkpoint.FORMAT_VERSION,
    schema.INFERENCE_FORMAT: schema.INFERENCE_FORMAT_VERSION,
    schema.STUDY_FORMAT: schema.STUDY_FORMAT_VERSION,
    schema.REFERENCE_FORMAT: schema.REFERENCE_FORMAT_VERSION,
    flow_map_file.FORMAT: flow_map_file.FORMAT_VERSION,
}
"""Versions that this hpcpinn reads, by kind of file."""

_WHOLE = "whole"


@dataclass(frozen=True)
class CheckedFile:
    """One of the files of a result, as it was found.

    Attributes:
        label: Word for it of at most nine letters, such as ``saved`` for a checkpoint.
        text: Sentence on it.
        is_bad: Whether it is there and cannot be used.
    """

    label: str
    text: str
    is_bad: bool = False


def parts_of(path: Path) -> list[CheckedFile]:
    """What is to be said of a file, and of those beside it that belong to it.

    Raises:
        InputError: It is none of ours.
    """
    kind = storage.format_of(path)
    if kind not in VERSIONS:
        kind = schema.FORMAT
    label = "saved" if kind == checkpoint.FORMAT else kind.removeprefix("hpcpinn-").replace("-", " ")
    whole = _looked_at(label, path, kind)
    if kind != schema.FORMAT:
        return [whole]
    found = [whole, *_checkpoints(path), *_beside(path)]
    return [*found, CheckedFile("next", _next(path, found))]


def accept(path: Path) -> None:
    """Seals a file that has no seal as it is: one of an older hpcpinn, or one that another program has changed.

    Raises:
        InputError: It is none of ours, cannot be opened, or has a seal already.
    """
    try:
        verified(path)
    except UnsealedError:
        kind = storage.format_of(path)
        if kind not in VERSIONS:
            raise InputError(f"{path}: is no file of hpcpinn that can be opened: nothing to accept") from None
        try:
            seal_file(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be sealed ({error.strerror}); make it writable") from error
        return
    except OSError as error:
        raise InputError(f"{path}: is not what it was when it was sealed; restore it from a copy") from error
    raise InputError(f"{path}: is whole; there is nothing to accept")


def _looked_at(label: str, path: Path, kind: str) -> CheckedFile:
    try:
        with storage.open_existing(path, kind, VERSIONS[kind]) as file:
            said = [f"{path}: {_WHOLE}", *_facts(file, kind), _origin(file, kind)]
            return CheckedFile(label, ", ".join(said))
    except InputError as error:
        return CheckedFile(label, str(error), is_bad=True)


def _facts(file: h5py.File, kind: str) -> Iterator[str]:
    if kind == schema.FORMAT:
        committed, attributes = Committed(*file["committed"][:].tolist()), file.attrs
        end = float(file["time"][committed.frames - 1]) if committed.frames else 0.0
        duration = json.loads(file["config"].asstr()[()]).get("run", {}).get("duration")
        has_unit = "units" in file["time"].attrs
        yield extent_of(end, duration, bool(attributes["complete"]), has_unit=has_unit)
        yield f"{counted(committed.frames, 'frame')} of a {attributes['system']} on {attributes['geometry']}"
    if kind == checkpoint.FORMAT:
        yield f"after {counted(int(file['scalars/march_windows'][()]), 'window')}"
    if kind == schema.INFERENCE_FORMAT:
        yield "with draws" if "draws" in file else "without draws"


def _origin(file: h5py.File, kind: str) -> str:
    revision = str(file.attrs.get("git", ""))[:12]
    made = f"version {VERSIONS[kind]} by hpcpinn {file.attrs.get('hpcpinn', 'unknown')}"
    return f"{made} ({revision})" if revision else made


def _checkpoints(result: Path) -> Iterator[CheckedFile]:
    for label, path in zip(("saved", "before it"), checkpoint.paths_of(result), strict=True):
        yield _looked_at(label, path, checkpoint.FORMAT) if path.exists() else CheckedFile(label, "none")


def _beside(result: Path) -> Iterator[CheckedFile]:
    owner = owner_of(result)
    yield CheckedFile("writer", "none" if owner is None else str(owner))
    if journal_path(result).exists() and owner is None:
        yield CheckedFile("journal", "a change was cut short and does not count; --resume undoes it")
    if reference_path(result).exists():
        yield _looked_at("reference", reference_path(result), schema.REFERENCE_FORMAT)
    if metrics_path(result).exists():
        try:
            read_metrics(result)
            yield CheckedFile("metrics", f"{metrics_path(result)}: {_WHOLE}")
        except InputError as error:
            yield CheckedFile("metrics", str(error), is_bad=True)


def _next(result: Path, found: list[CheckedFile]) -> str:
    """What can be done, by what was found of result, checkpoint and the one before it."""
    whole, last, previous = found[0], found[1], found[2]
    can_resume = any(_WHOLE in part.text and not part.is_bad for part in (last, previous))
    if whole.is_bad:
        return "restore the result from a copy, or run the job again without --resume"
    if "complete," in whole.text:
        on = "; --resume --set run.duration=... goes on to a later time" if can_resume else ""
        return f"hpcpinn validate {result}  and  hpcpinn plot {result}{on}"
    if can_resume:
        return f"hpcpinn run with its job and --resume; hpcpinn plot {result} shows what is there"
    return f"the run can only begin anew: it has no checkpoint; hpcpinn plot {result} shows what is there"
