"""Whether files are whole, how far they go, and what can be done with them, in lines for people. Serial."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py

from hpcpinn.config.inputs import IN_SETTINGS, digest_of
from hpcpinn.errors import InputError
from hpcpinn.io import checkpoint, draws, flow_map_file, refusals, schema, storage
from hpcpinn.io.change import journal_path
from hpcpinn.io.describing import extent_of
from hpcpinn.io.inputs import KeptInput, inputs_in
from hpcpinn.io.layout import Committed
from hpcpinn.io.metrics import metrics_path, read_metrics
from hpcpinn.io.owner import owner_of
from hpcpinn.io.seal import UnsealedError, seal_file, verified
from hpcpinn.io.sidecar import reference_path
from hpcpinn.wording import bytes_of, counted, listed

VERSIONS = {
    **schema.RESULTS,
    checkpoint.FORMAT: checkpoint.FORMAT_VERSION,
    schema.REFERENCE_FORMAT: schema.REFERENCE_FORMAT_VERSION,
    flow_map_file.FORMAT: flow_map_file.FORMAT_VERSION,
    draws.FORMAT: draws.FORMAT_VERSION,
}
"""Versions that this hpcpinn reads, by kind of file."""

_BY_NAME = {
    ".checkpoint.h5": checkpoint.FORMAT,
    ".checkpoint.previous.h5": checkpoint.FORMAT,
    ".reference.h5": schema.REFERENCE_FORMAT,
    ".nc": draws.FORMAT,
}
"""Kinds of files whose names end so."""

_SAVED = ("saved", "before it")
"""Labels of the checkpoint and the one before it."""
_MEMBERS = " in a population"
_WHOLE, _LOST = "whole", "needed as it was: restore it"


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
        InputError: It is a directory.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give the path of an hpcpinn-result file")
    kind = _kind_of(path)
    label = "saved" if kind == checkpoint.FORMAT else kind.removeprefix("hpcpinn-").replace("-", " ")
    found = [_looked_at(label, path, kind)]
    if kind in schema.RESULTS and not found[0].is_bad:
        found += _inputs(path, kind)
    if kind == schema.FORMAT:
        found += _checkpoints(path)
    if kind in schema.RESULTS:
        found += _beside(path)
    return [*found, CheckedFile("next", _next(path, kind, found))]


def _kind_of(path: Path) -> str:
    """What kind of file it is; of one that does not say, the one that its name speaks of."""
    kind = storage.format_of(path)
    if kind in VERSIONS:
        return str(kind)
    return next((one for ending, one in _BY_NAME.items() if path.name.endswith(ending)), schema.FORMAT)


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
        members = f"{counted(len(file['members/name']), 'member')}{_MEMBERS}, each " if "members" in file else ""
        yield f"{counted(committed.frames, 'frame')} of {members}a {attributes['system']} on {attributes['geometry']}"
    if kind == checkpoint.FORMAT:
        yield f"after {counted(int(file['scalars/march_windows'][()]), 'window')}"
        read = [value for key, value in checkpoint.settings_in(file).items() if key.startswith(IN_SETTINGS)]
        if read:
            yield f"with {listed([value.partition(' ')[2] for value in read])}"
    if kind == schema.INFERENCE_FORMAT:
        yield "with draws" if "draws" in file else "without draws"


def _origin(file: h5py.File, kind: str) -> str:
    revision = str(file.attrs.get("git", ""))[:12]
    made = f"version {VERSIONS[kind]} by hpcpinn {file.attrs.get('hpcpinn', 'unknown')}"
    return f"{made} ({revision})" if revision else made


def _inputs(path: Path, kind: str) -> list[CheckedFile]:
    """What was read for a result, and whether it is needed still."""
    with storage.open_existing(path, kind, VERSIONS[kind]) as file:
        found = inputs_in(file)
    if not found:
        return [CheckedFile("inputs", "none are kept: none were read, or an older hpcpinn wrote the result")]
    return [CheckedFile("inputs", _of_input(one)) for one in found]


def _of_input(one: KeptInput) -> str:
    file = Path(one.name).expanduser()
    is_same = digest_of(file) == one.digest
    now = f"{'the same' if is_same else 'another one'} now" if file.is_file() else "gone now"
    if one.is_whole:
        how = "kept whole"
    elif one.start >= 0:
        how = "what was taken of it is kept"
    else:
        how = "too large to be kept" + ("" if is_same else f", and {_LOST}")
    size = bytes_of(one.size)
    return f"{one.name} ({one.key}), {size}, digest {one.digest[:12]}: {how}; where it was it is {now}"


def _checkpoints(result: Path) -> Iterator[CheckedFile]:
    for label, path in zip(_SAVED, checkpoint.paths_of(result), strict=True):
        yield _looked_at(label, path, checkpoint.FORMAT) if path.exists() else CheckedFile(label, "none")


def _beside(result: Path) -> Iterator[CheckedFile]:
    owner = owner_of(result)
    yield CheckedFile("writer", "none" if owner is None else str(owner))
    if journal_path(result).exists() and owner is None:
        yield CheckedFile("journal", "a change was cut short and does not count; --resume undoes it")
    for other, kind in ((reference_path(result), schema.REFERENCE_FORMAT), (draws.netcdf_path(result), draws.FORMAT)):
        if other.exists():
            yield _looked_at(kind.removeprefix("hpcpinn-"), other, kind)
    if metrics_path(result).exists():
        try:
            read_metrics(result)
            yield CheckedFile("metrics", f"{metrics_path(result)}: {_WHOLE}")
        except InputError as error:
            yield CheckedFile("metrics", str(error), is_bad=True)


_NEXT = {
    checkpoint.FORMAT: "hpcpinn run with its job and --resume {path}",
    schema.INFERENCE_FORMAT: "hpcpinn plot {path}; hpcpinn infer or uq with its job does it again",
    schema.STUDY_FORMAT: "hpcpinn plot {path}; hpcpinn uq --study with its job does it again",
    schema.REFERENCE_FORMAT: "hpcpinn plot, of the result that it lies beside, draws it too",
    flow_map_file.FORMAT: "a job names it: split.flow_map",
    draws.FORMAT: "arviz.from_netcdf({path!r}) reads it",
}
"""What can be done with a whole file that is no run."""
_ANEW = {
    schema.FORMAT: "run the job again without --resume",
    checkpoint.FORMAT: "go on from the one before it: --resume of the run takes that by itself",
}
"""What can be done without a file that is damaged."""


def _next(path: Path, kind: str, found: list[CheckedFile]) -> str:
    """What can be done, by what was found: of a run the result, its checkpoint and the one before it."""
    whole = found[0]
    if whole.is_bad and "hpcpinn convert" in whole.text:
        return f"hpcpinn convert {path} NEW, and then plot or validate NEW"
    saved = [part for part in found[1:] if part.label in _SAVED]
    can_resume = any(_WHOLE in part.text and not part.is_bad for part in saved)
    if whole.is_bad and (refusals.DAMAGED in whole.text or (can_resume and not path.exists())):
        return f"restore {path} from a copy, or {_ANEW.get(kind, 'make it anew')}"
    if whole.is_bad:
        return "what the first line says"
    if kind != schema.FORMAT:
        return _NEXT[kind].format(path=str(path))
    lost = any(_LOST in part.text for part in found)
    first = "restore the inputs that are needed; then " if lost else ""
    if "complete," in whole.text:
        on = "; --resume --set run.duration=... goes on to a later time" if can_resume else ""
        check = "" if _MEMBERS in whole.text else f"hpcpinn validate {path}  and  "  # one cell is validated at a time
        return f"{first}{check}hpcpinn plot {path}{on}"
    if can_resume:
        return f"{first}hpcpinn run with its job and --resume; hpcpinn plot {path} shows what is there"
    return f"the run can only begin anew: it has no checkpoint; hpcpinn plot {path} shows what is there"
