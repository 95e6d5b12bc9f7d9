"""Checkpoints: the state at the end of a window, in canonical piece order, replaced atomically.

    /arrays/*     one row per piece
    /scalars/*    numbers, text and small arrays that all ranks share
    /settings     what the state depends on, as JSON text

A checkpoint is written beside its name, sealed, forced to disk and then renamed: there is always one
whole checkpoint, the old one or the new one. The one before it is kept for the day when the last is damaged.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.config.inputs import IN_SETTINGS
from hpcpinn.errors import InputError, OutputError
from hpcpinn.io import storage
from hpcpinn.io.disk import replace
from hpcpinn.io.geometry import PIECE_ARRAYS
from hpcpinn.io.names import beside
from hpcpinn.io.seal import seal_file
from hpcpinn.morphology.cable import Cable

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-checkpoint"
FORMAT_VERSION = 2

GEOMETRY = "geometry"
"""Key of the fingerprint for the pieces themselves."""

FOLLOWING = "following"
"""Key of the fingerprint for a list of keys whose values follow others: where both runs say so, they may differ."""

Scalars = dict[str, float | int | bool | str | ndarray]


def checkpoint_path(result: str | Path) -> Path:
    """Where the checkpoint of a result lies."""
    return beside(result, "checkpoint.h5")


def previous_path(checkpoint: str | Path) -> Path:
    """Where the checkpoint before it is kept: ``run.checkpoint.h5`` → ``run.checkpoint.previous.h5``."""
    return beside(checkpoint, "previous.h5")


def paths_of(result: str | Path) -> tuple[Path, Path]:
    """The checkpoint of a result, and the one before it."""
    last = checkpoint_path(result)
    return last, previous_path(last)


def fingerprint(settings: Mapping[str, Any], cable: Cable | None = None) -> dict[str, str]:
    """What a state depends on, key by key, so that a mismatch can be named.

    Args:
        settings: The parts of the run description that shape the state, nested as they are there;
            leave out what may change on resume (duration, output path, number of ranks).
        cable: The refined cable, where the geometry does not follow from the settings alone.

    Returns:
        ``{"network.features": "64", ..., "geometry": "<hash>"}``.
    """
    if cable is None:
        return _flat("", settings)
    digest = hashlib.sha256()
    for name in PIECE_ARRAYS:
        digest.update(np.ascontiguousarray(getattr(cable, name)).tobytes())
    return _flat("", settings) | {GEOMETRY: digest.hexdigest()[:16]}


def _flat(prefix: str, settings: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(f"{prefix}{key}.", value)
        else:
            flat[prefix + key] = json.dumps(value, default=str)
    return flat


def save(
    path: str | Path,
    communicator: "Communicator",
    pieces: Int[ndarray, " n"],
    n_pieces: int,
    arrays: Mapping[str, Shaped[ndarray, "..."]],
    scalars: Mapping[str, Any],
    fingerprint: Mapping[str, str],
) -> None:
    """Writes a checkpoint. Collective over all ranks.

    Args:
        path: Path of the checkpoint; an older one there is replaced once the new one is safely on disk.
        communicator: All ranks.
        pieces: Pieces of this rank, in the order of the rows of `arrays`.
        n_pieces: Pieces of the whole cable.
        arrays: Arrays by name, one row per piece of this rank; the same names, types and trailing shapes on every rank.
        scalars: Values that all ranks share, by name: numbers, text, arrays. Those of rank 0 are kept.
        fingerprint: Settings and cell in short, as `fingerprint` gives them.

    Raises:
        OutputError: On all ranks; an older checkpoint stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".new")
    kept = f" ({path} stays as it was)" if path.exists() else storage.NO_CHECKPOINT
    order = np.argsort(pieces)
    rows = np.asarray(pieces, np.int64)[order]
    values = {name: np.asarray(array)[order] for name, array in arrays.items()}
    root = (communicator, path, kept)
    try:
        storage.on_root(*root, _create, temporary, n_pieces, values, scalars, fingerprint)
        if communicator.size > 1 and not storage.mpi_hdf5():
            everything = communicator.gather((rows, values))
            storage.on_root(*root, _write_gathered, temporary, everything)
        else:
            storage.together(*root, _write_share, temporary, communicator, rows, values)
        storage.on_root(*root, _replace, temporary, path)
    except OutputError:
        communicator.on_root(storage.remove, temporary)
        raise


def load(
    path: str | Path,
    communicator: "Communicator",
    pieces: Int[ndarray, " n"],
    fingerprint: Mapping[str, str],
) -> tuple[dict[str, Shaped[ndarray, "..."]], Scalars]:
    """Reads this rank's share of a checkpoint, on any number of ranks. Collective over all ranks.

    Args:
        path: The checkpoint.
        communicator: All ranks.
        pieces: Pieces of this rank, in the order wanted for the rows.
        fingerprint: Settings and cell of the run that wants to go on, in short.

    Returns:
        The arrays, one row per piece of `pieces`, and the scalars.

    Raises:
        InputError: On all ranks: there is no such file, it is damaged, of another version, or
            was made with other settings or for another cell; the message names the first that differs.
    """
    path = Path(path)
    communicator.on_root(check, path, fingerprint)  # one rank reads all of it, the others their shares
    loaded, error = None, None
    try:
        with storage.open_serial(path, "r") as file:
            loaded = _read(file, np.asarray(pieces, np.int64))
    except Exception as caught:
        error = InputError(f"{path}: cannot be read ({' '.join(str(caught).split())}); start without --resume")
    communicator.agree(error)
    assert loaded is not None  # agree has raised otherwise
    return loaded


def check(path: Path, fingerprint: Mapping[str, str] | None = None) -> None:
    """Looks at a checkpoint. Serial.

    Args:
        path: Path of the checkpoint.
        fingerprint: Fingerprint of the run that wants to go on; None for any.

    Raises:
        InputError: There is no such file, it is damaged, of another version, or of another run.
    """
    with storage.open_existing(path, FORMAT, FORMAT_VERSION) as file:
        if fingerprint is not None:
            _check_fingerprint(path, file, fingerprint)


def _create(
    path: Path,
    n_pieces: int,
    values: Mapping[str, ndarray],
    scalars: Mapping[str, Any],
    fingerprint: Mapping[str, str],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.open_serial(path, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["hpcpinn"] = __version__
        file["settings"] = json.dumps(dict(fingerprint))
        for group in ("arrays", "scalars"):  # there even where nothing is in them
            file.create_group(group)
        for name, array in values.items():
            early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            file.create_dataset(f"arrays/{name}", (n_pieces, *array.shape[1:]), array.dtype, dcpl=early)
        for name, value in scalars.items():
            file[f"scalars/{name}"] = value


def _write_share(
    path: Path,
    communicator: "Communicator",
    rows: Int[ndarray, " n"],
    values: Mapping[str, ndarray],
) -> None:
    with storage.open_shared(path, communicator) as file:
        for name in sorted(values):
            storage.write_rows(file[f"arrays/{name}"], rows, values[name])


def _write_gathered(path: Path, everything: list[tuple[Int[ndarray, " n"], Mapping[str, ndarray]]]) -> None:
    with storage.open_serial(path) as file:
        for rows, values in everything:
            for name, array in values.items():
                storage.write_rows(file[f"arrays/{name}"], rows, array)


def _replace(temporary: Path, path: Path) -> None:
    seal_file(temporary)
    if path.is_file():
        _keep(path)
    replace(temporary, path)


def _keep(path: Path) -> None:
    """Gives a checkpoint that is about to be replaced a second name: it is under one of the two at any time."""
    spare = path.with_name(path.name + ".spare")
    storage.remove(spare)
    try:
        os.link(path, spare)
    except OSError:  # a file system without links
        shutil.copyfile(path, spare)
    os.replace(spare, previous_path(path))


def fits(path: Path, settings: Mapping[str, str]) -> bool:
    """Whether a checkpoint is one of a run with these settings, which leave the pieces out. Serial.

    Raises:
        InputError: It cannot be read.
    """
    with storage.open_existing(path, FORMAT, FORMAT_VERSION) as file:
        return not set(_differing(settings_in(file), settings)) - {GEOMETRY}


def settings_in(file: h5py.File) -> dict[str, str]:
    """Settings of the run of an open checkpoint, by key."""
    saved: dict[str, str] = json.loads(file["settings"].asstr()[()])
    return saved


def _differing(saved: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    following = [set(json.loads(one.get(FOLLOWING, "[]"))) for one in (saved, wanted)]
    ignored = {FOLLOWING, *(following[0] & following[1])}
    keys = sorted((saved.keys() | wanted.keys()) - ignored)
    return [key for key in keys if _differs(key, saved, wanted)]


def _check_fingerprint(path: Path, file: h5py.File, wanted: Mapping[str, str]) -> None:
    saved = settings_in(file)
    differing = _differing(saved, wanted)
    if not differing:
        return
    # The cell follows from the rest: a person can do something about a key, not about its hash. And keys
    # that only one of the two has are so because of another.
    alone = saved.keys() ^ wanted.keys()
    key = min(differing, key=lambda key: (key == GEOMETRY, key in alone, not key.startswith("morphology"), key))
    does_not_fit = f"{path}: does not fit this run:"
    if key == GEOMETRY:
        raise InputError(
            f"{does_not_fit} the cell is another one: the file of `morphology` has changed, or how `pieces` are cut; "
            "restore the file, or start without --resume"
        )
    if key.startswith(IN_SETTINGS):
        name, of = (wanted.get(key) or saved[key]).partition(" ")[2], key.removeprefix(IN_SETTINGS)
        raise InputError(
            f"{does_not_fit} {name} ({of}) has changed since the checkpoint; restore it, or start without --resume"
        )
    before, now = saved.get(key, "not set"), wanted.get(key, "not set")
    raise InputError(f"{does_not_fit} {key} was {before} and is now {now}; set it back, or start without --resume")


def _differs(key: str, saved: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a key has another value; of a file its contents count, and not its name."""
    values = [one.get(key) for one in (saved, wanted)]
    if key.startswith(IN_SETTINGS):
        values = [value and value.partition(" ")[0] for value in values]
    return values[0] != values[1]


def _read(file: h5py.File, pieces: Int[ndarray, " n"]) -> tuple[dict[str, Shaped[ndarray, "..."]], Scalars]:
    arrays = {name: dataset[:][pieces] for name, dataset in file["arrays"].items()}
    scalars = {name: _plain(dataset) for name, dataset in file["scalars"].items()}
    return arrays, scalars


def _plain(dataset: h5py.Dataset) -> Any:
    if h5py.check_string_dtype(dataset.dtype):
        return dataset.asstr()[()]
    value = dataset[()]
    return value.item() if isinstance(value, np.generic) else value
