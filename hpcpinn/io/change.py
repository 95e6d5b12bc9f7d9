"""Changes of a file that are made wholly or not at all, whatever ends the process.

HDF5 works on an `Overlay`, which keeps in memory what is to change. Then a journal beside the file takes what stood in
those places, the file is changed and sealed again, and the journal removed. A journal that is left says how the file
was: who goes on with the file restores that (`recover`), who only looks at it sees that (`look`).
"""

import contextlib
import io
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py

from hpcpinn.io import seal
from hpcpinn.io.disk import claim, force_to_disk, write_all
from hpcpinn.io.seal import BLOCK, DamagedError, Seal, Sealed, UnsealedError

PAGE = 1 << 12
"""Bytes that change together."""

_MAGIC = b"hpcpinn:journal1"
_RECORD = struct.Struct("<QQ")
_CHECK = 16
_EMPTY = bytes(PAGE)


class Overlay(io.RawIOBase):
    """What a file is to become: read and written like a file, while the file itself stays as it is.

    Attributes:
        length: Number of bytes of the file as it is to become.
        pages: Pages that differ, by number.
    """

    def __init__(self, descriptor: int, length: int) -> None:
        super().__init__()
        self._descriptor, self._base, self._at = descriptor, length, 0
        self.length = length
        self.pages: dict[int, bytes | bytearray] = {}

    def pread(self, start: int, count: int) -> bytes:
        """Bytes from a place on, fewer at the end."""
        stop = min(start + count, self.length)
        if stop <= start:
            return b""
        there = self._on_disk(start, stop)
        first, last = start // PAGE, (stop - 1) // PAGE
        if len(self.pages) < last - first:
            touched = [number for number in self.pages if first <= number <= last]
        else:
            touched = [number for number in range(first, last + 1) if number in self.pages]
        if not touched:
            return there
        patched = bytearray(there)
        for number in touched:
            begin, end = max(start, number * PAGE), min(stop, (number + 1) * PAGE)
            patched[begin - start : end - start] = self.pages[number][begin - number * PAGE : end - number * PAGE]
        return bytes(patched)

    def _on_disk(self, start: int, stop: int) -> bytes:
        """What the file has there; zeros beyond its end, where its seal may be."""
        there = os.pread(self._descriptor, max(0, min(stop, self._base) - start), start)
        return there.ljust(stop - start, b"\0")

    def page_before(self, number: int) -> bytes:
        """A whole page as the file has it."""
        return self._on_disk(number * PAGE, (number + 1) * PAGE)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.length}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self.pread(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        count = len(left)
        while left:
            number, inside = divmod(self._at, PAGE)
            part = left[: PAGE - inside]
            if len(part) == PAGE:
                self.pages[number] = bytes(part)
            else:
                page = bytearray(self.pages.get(number) or self.page_before(number))
                page[inside : inside + len(part)] = part
                self.pages[number] = page
            left, self._at = left[len(part) :], self._at + len(part)
        self.length = max(self.length, self._at)
        return count

    def truncate(self, size: int | None = None) -> int:
        size = self._at if size is None else size
        for number in [number for number in self.pages if number * PAGE >= size]:
            del self.pages[number]
        if size % PAGE and size // PAGE in self.pages:
            number = size // PAGE
            self.pages[number] = bytes(self.pages[number][: size % PAGE]).ljust(PAGE, b"\0")
        self._base, self.length = min(self._base, size), size
        return size

    def differing(self) -> dict[int, bytes]:
        """The pages that are not as the file has them, in order."""
        pages = {number: bytes(self.pages[number]) for number in sorted(self.pages)}
        return {n: page for n, page in pages.items() if n * PAGE >= self._base or page != self.page_before(n)}


@dataclass(frozen=True)
class Journal:
    """How a file was before a change that has not come to its end.

    Attributes:
        seal: Seal that the file had.
        pages: Old contents of pages that may have changed, by number.
    """

    seal: Seal
    pages: dict[int, bytes]

    def undone(self, descriptor: int) -> Overlay:
        """The file as it was."""
        overlay = Overlay(descriptor, self.seal.length)
        overlay.pages.update(self.pages)
        return overlay


def journal_path(path: Path) -> Path:
    """Where the journal of a file lies while it is changed: ``run.h5`` → ``run.h5.journal``."""
    path = Path(os.path.realpath(path))
    return path.with_name(path.name + ".journal")


def read_journal(path: Path) -> Journal | None:
    """The journal of a file; None where there is none, or it had only been begun and so nothing was changed.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        data = journal_path(path).read_bytes()
    except FileNotFoundError:
        return None
    start = len(_MAGIC) + seal.SIZE
    before = Seal.unpacked(data[len(_MAGIC) : start])
    if not data.startswith(_MAGIC) or before is None:
        return None
    pages: dict[int, bytes] = {}
    while (record := _record(data, start)) is not None:
        found, start = record
        pages = found | pages  # what was noted first is how it was
    return Journal(before, pages)


def _record(data: bytes, start: int) -> tuple[dict[int, bytes], int] | None:
    """Pages of a record of a journal, and where the next begins; None where it is not whole."""
    if len(data) < start + _RECORD.size:
        return None
    count, size = _RECORD.unpack_from(data, start)
    body = start + _RECORD.size
    end = body + 8 * count + size
    if len(data) < end + _CHECK or blake2b(data[start:end], digest_size=_CHECK).digest() != data[end : end + _CHECK]:
        return None
    entries = struct.unpack_from(f"<{count}q", data, body)
    at, pages = body + 8 * count, {}
    for entry in entries:
        if entry < 0:  # -1 - number: a page of zeros, of which nothing is kept
            pages[-1 - entry] = _EMPTY
        else:
            pages[entry] = data[at : at + PAGE]
            at += PAGE
    return pages, end + _CHECK


def _packed(pages: dict[int, bytes]) -> bytes:
    kept = [page for page in pages.values() if page != _EMPTY]
    entries = [-1 - number if page == _EMPTY else number for number, page in pages.items()]
    data = _RECORD.pack(len(pages), PAGE * len(kept)) + struct.pack(f"<{len(entries)}q", *entries) + b"".join(kept)
    return data + blake2b(data, digest_size=_CHECK).digest()


@contextmanager
def composed(path: Path, mode: str) -> Iterator[h5py.File]:
    """A file that HDF5 puts together in memory and that is written when it is closed. Serial.

    HDF5 that cannot write a file cannot close it either, and tries again, in vain, when the process ends.

    Args:
        path: The file.
        mode: ``w`` for a new one, ``r+`` for one that is changed.

    Raises:
        OSError: It cannot be written.
    """
    flags = os.O_RDWR | (os.O_CREAT | os.O_TRUNC if mode == "w" else 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        length = os.fstat(descriptor).st_size
        overlay = Overlay(descriptor, length)
        with h5py.File(overlay, mode) as file:
            yield file
        _become(descriptor, length, overlay, overlay.differing())
    finally:
        os.close(descriptor)


class Transaction:
    """One change of a sealed file, in several steps. Serial.

    Nothing counts until `commit`; `undo` makes the file what it was.

    Attributes:
        path: Path of the file.
        sealed: Seal and digests that it had before.
    """

    def __init__(self, path: Path, sealed: Sealed) -> None:
        """Begins a change; nothing is touched yet.

        Raises:
            OSError: The file cannot be opened, or is not what it was when it was sealed.
        """
        self.path, self.sealed = path, sealed
        self._descriptor = os.open(path, os.O_RDWR)
        self._length, self._noted, self._blocks = sealed.length, set[int](), set[int]()
        self._journal: int | None = None
        if seal.read_seal(self._descriptor) != sealed.seal:
            os.close(self._descriptor)
            raise DamagedError(f"{path}: another program has changed it")

    @contextmanager
    def edit(self) -> Iterator[h5py.File]:
        """The file, to be changed by HDF5; what was done is part of it afterwards.

        Raises:
            OSError: It cannot be written.
        """
        overlay = Overlay(self._descriptor, self._length)
        with h5py.File(overlay, "r+") as file:
            yield file
        self._put(overlay)

    def expose(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Notes places (start, number of bytes) that others are going to write.

        Raises:
            OSError: The journal cannot be written.
        """
        pages: set[int] = set()
        for start, count in ranges:
            pages.update(range(start // PAGE, (start + count - 1) // PAGE + 1))
        self._note(pages)

    def commit(self) -> Sealed:
        """Makes the change count.

        Raises:
            OSError: It cannot be written.
        """
        if self._journal is None:
            self._close()
            return self.sealed
        sealed = self.sealed.changed(self._read, self._length, self._blocks)
        seal.write_seal(self._descriptor, sealed.seal)
        os.fsync(self._descriptor)  # the seal, too: without the journal nothing else says how the file was
        journal_path(self.path).unlink()
        self._close()
        return sealed

    def undo(self) -> None:
        """Makes the file what it was before; where even that fails, the journal stays."""
        try:
            if self._journal is not None:
                journal = read_journal(self.path)
                if journal is not None:
                    _restore(self._descriptor, journal)
                journal_path(self.path).unlink()
        except OSError:
            pass
        finally:
            self._close()

    def _read(self, start: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, start)

    def _put(self, overlay: Overlay) -> None:
        pages = overlay.differing()
        if not pages and overlay.length == self._length:
            return
        cut_off = range(overlay.length // PAGE, -(-self._length // PAGE))  # none where the file grows
        self._note({*pages, *cut_off})
        _become(self._descriptor, self._length, overlay, pages)
        self._length = overlay.length

    def _note(self, pages: Iterable[int]) -> None:
        """Keeps what stands in some pages in the journal, before they change."""
        numbers = set(pages)
        self._blocks |= {number * PAGE // BLOCK for number in numbers}
        before = Overlay(self._descriptor, self.sealed.length)
        new = sorted(n for n in numbers - self._noted if n * PAGE < self.sealed.length)
        data = _packed({number: before.page_before(number) for number in new}) if new else b""
        if self._journal is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            self._journal = os.open(journal_path(self.path), flags, 0o666)
            force_to_disk(journal_path(self.path).parent)  # its name
            data = _MAGIC + self.sealed.seal.packed() + data
        write_all_appending(self._journal, data)
        os.fsync(self._journal)
        self._noted |= numbers

    def _close(self) -> None:
        descriptors, self._descriptor, self._journal = (self._descriptor, self._journal), -1, None
        for descriptor in descriptors:  # closed once: their numbers are given to other files
            if descriptor is not None and descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def write_all_appending(descriptor: int, data: bytes) -> None:
    """Appends all of some bytes to a file.

    Raises:
        OSError: They cannot be written.
    """
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _become(descriptor: int, length: int, overlay: Overlay, pages: dict[int, bytes]) -> None:
    """Gives a file of some length, but for its seal, the pages and the length that it is to have."""
    os.ftruncate(descriptor, min(length, overlay.length))  # the seal must not become part of the file
    claim(descriptor, length, overlay.length - length)
    _write_pages(descriptor, pages)
    os.ftruncate(descriptor, overlay.length)


def _write_pages(descriptor: int, pages: dict[int, bytes]) -> None:
    """Writes pages, those that follow each other in one go."""
    run: list[bytes] = []
    first = 0
    for number, page in sorted(pages.items()):
        if run and number != first + len(run):
            write_all(descriptor, b"".join(run), first * PAGE)
            run = []
        if not run:
            first = number
        run.append(page)
    if run:
        write_all(descriptor, b"".join(run), first * PAGE)


def _restore(descriptor: int, journal: Journal) -> None:
    os.ftruncate(descriptor, journal.seal.length)
    _write_pages(descriptor, journal.pages)
    os.ftruncate(descriptor, journal.seal.length)
    seal.write_seal(descriptor, journal.seal)
    os.fsync(descriptor)


def recover(path: Path) -> None:
    """Restores a file that a change was cut short in; leaves what no journal fits alone. Serial, for the owner.

    Raises:
        OSError: It cannot be read or written.
    """
    if not journal_path(path).exists():
        return
    journal = read_journal(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        if journal is not None and _as_it_was(descriptor, journal) is not None:
            _restore(descriptor, journal)
        elif seal.read_seal(descriptor) is None:
            return  # damaged: whoever reads it says so
    finally:
        os.close(descriptor)
    journal_path(path).unlink()


def _as_it_was(descriptor: int, journal: Journal) -> Overlay | None:
    """The file before the change; None where that is not what the journal says."""
    overlay = journal.undone(descriptor)
    whole = Sealed.of(overlay.pread, overlay.length, journal.seal.identity)
    return overlay if whole.seal == journal.seal else None


def look(path: Path) -> bytes:
    """All of a file that may be changed meanwhile, as it was when it was whole. Serial.

    Raises:
        UnsealedError: It has no seal.
        DamagedError: It was not whole in that moment: try again.
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        data = _all_of(descriptor)
    finally:
        os.close(descriptor)
    # A change begins with its journal: whatever was seen of it can be undone by the journal that is there by now.
    try:
        journal, found = read_journal(path), Seal.unpacked(data[-seal.SIZE :])
    except OSError as error:  # on network file systems what another computer has just removed
        raise DamagedError(f"{path}: its journal cannot be read") from error
    if journal is not None:
        image = bytearray(data[: journal.seal.length].ljust(journal.seal.length, b"\0"))
        for number, page in journal.pages.items():
            start = number * PAGE
            image[start : start + PAGE] = page[: max(0, len(image) - start)]
        if _is_whole(image, journal.seal):
            return bytes(image)
    if found is not None and _is_whole(data[: found.length], found):
        return data[: found.length]
    raise (UnsealedError if journal is None and found is None else DamagedError)(f"{path}: is not whole")


def _is_whole(image: bytes | bytearray, expected: Seal) -> bool:
    view = memoryview(image)
    return Sealed.of(lambda start, n: view[start : start + n], len(image), expected.identity).seal == expected


def _all_of(descriptor: int) -> bytes:
    parts: list[bytes] = []
    while part := os.pread(descriptor, 1 << 26, sum(map(len, parts))):
        parts.append(part)
    return b"".join(parts)
