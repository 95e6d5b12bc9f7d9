"""Files that a description names: known by their contents, wherever they lie and whatever they are called."""

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from hpcpinn.config.reading import files_in

IN_SETTINGS = "file "
"""Begins the keys of a run's settings that hold digests."""

_NAMELESS = "a file"
_TAKEN = b"# what hpcpinn took of a file: its digest, and that of what follows: "
_LONGEST = 256
"""Bytes of the line that begins so."""
_hash = partial(hashlib.blake2b, digest_size=16)
_BUILTIN = "builtin:"


def input_names(described: BaseModel) -> dict[str, str]:
    """Names of the files that a description reads, by dotted key; those that come with hpcpinn are left out."""
    document = described.model_dump(mode="json")
    found = {".".join(map(str, path)): str(holder[key]) for holder, key, path in files_in(document, type(described))}
    return {key: name for key, name in found.items() if not name.startswith(_BUILTIN)}


def files_read(described: BaseModel, job: FilePath | None = None) -> dict[str, FilePath]:
    """Files that a description is read from, by what a person calls them.

    Args:
        described: The description.
        job: File of it.
    """
    found = {f"the {_noun(key)} ({key})": FilePath(name).expanduser() for key, name in input_names(described).items()}
    return found if job is None else {"the job file": job, **found}


def _noun(key: str) -> str:
    """What a person calls the file of a key: ``voltage file`` of voltage.file, ``waveform file`` of ….waveform."""
    *above, last = (word for word in key.split(".") if not word.isdecimal())
    return f"{(above[-1] if last == 'file' and above else last).replace('_', ' ').removesuffix('s')} file"


def without_names(document: Mapping[str, Any], tables: type[BaseModel]) -> dict[str, Any]:
    """A description as plain values in which files have no names: it does not depend on them.

    Args:
        document: All or some of its tables; changed in place.
        tables: The class of the whole description.
    """
    for holder, key, _ in list(files_in(document, tables)):
        if not holder[key].startswith(_BUILTIN):
            holder[key] = _NAMELESS
    return dict(document)


def digest_of(path: FilePath) -> str | None:
    """What identifies the contents of a file; None where it cannot be read, which is said by who needs it.

    A file in the place of a large one (`as_taken`) has the digest of that one.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(_LONGEST)
            of, _, own = first.removeprefix(_TAKEN).decode("ascii", "replace").strip().partition(" ")
            if not first.startswith(_TAKEN):
                file.seek(0)
            found = hashlib.file_digest(file, _hash).hexdigest()
            if not first.startswith(_TAKEN) or found == own:
                return of if found == own else found
            file.seek(0)  # somebody has changed it
            return hashlib.file_digest(file, _hash).hexdigest()
    except OSError:
        return None


def is_taken(path: FilePath) -> bool:
    """Whether a file stands for a large one (`as_taken`)."""
    try:
        with path.open("rb") as file:
            return file.read(len(_TAKEN)) == _TAKEN
    except OSError:
        return False


def as_taken(contents: bytes, digest: str) -> bytes:
    """A text file that stands for a large one of which it holds what was taken, as long as nobody changes it.

    Args:
        contents: Lines of the file; its format takes those that begin with # for comments.
        digest: Digest of the large one.
    """
    return _TAKEN + f"{digest} {_hash(contents).hexdigest()}\n".encode() + contents


def with_digests(settings: Mapping[str, str], described: BaseModel) -> dict[str, str]:
    """Settings of a run, with the contents of the files that they depend on.

    Args:
        settings: Text by dotted key, whose file names were taken out by `without_names`.
        described: The description.
    """
    digests = {}
    for key, name in input_names(described).items():
        if any(key == own or key.startswith(f"{own}.") for own in settings):
            digest = digest_of(FilePath(name).expanduser())
            digests[IN_SETTINGS + key] = f"{digest or ''} {name}"
    return {**settings, **digests}
