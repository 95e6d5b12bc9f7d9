"""The seal at the end of every file of hpcpinn: its length and digest, so that damage is found before HDF5 reads it.

The seal lies behind the last byte that HDF5 knows of: other programs open the file as ever. HDF5 cuts it off when
another program changes the file. The digest is one of the digests of blocks, so that a file that grows is sealed again
at the cost of what has changed.
"""

import os
import secrets
import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from hpcpinn.io.disk import write_all

BLOCK = 1 << 16
"""Bytes that have a digest of their own."""

_MAGIC = b"hpcpinn:sealed:1"
_BODY = struct.Struct("<16sQ16s32s")
_CHECK = 16
SIZE = _BODY.size + _CHECK
"""Bytes of a seal."""

_HASHED_TOGETHER = 64
"""Blocks that a thread takes at once."""
_THREADS = 4

Reads = Callable[[int, int], bytes | memoryview]
"""Reads so many bytes (second) from a place on (first)."""


class DamagedError(OSError):
    """A file is not what it was when it was sealed."""


class UnsealedError(OSError):
    """A file has no seal: it was cut off, or another program, or an older hpcpinn, has written it."""


@dataclass(frozen=True)
class Seal:
    """What is said of a file at its end.

    Attributes:
        length: Number of bytes before the seal.
        identity: Random number of the file, kept while it grows.
        digest: Digest of the digests of its blocks.
    """

    length: int
    identity: bytes
    digest: bytes

    def packed(self) -> bytes:
        """The bytes of the seal, with a check of their own."""
        body = _BODY.pack(_MAGIC, self.length, self.identity, self.digest)
        return body + blake2b(body, digest_size=_CHECK).digest()

    @classmethod
    def unpacked(cls, data: bytes) -> "Seal | None":
        """The seal of some bytes; None where they are none."""
        body, check = data[: _BODY.size], data[_BODY.size :]
        if len(data) != SIZE or blake2b(body, digest_size=_CHECK).digest() != check:
            return None
        magic, length, identity, digest = _BODY.unpack(body)
        return cls(length, identity, digest) if magic == _MAGIC else None


@dataclass(frozen=True)
class Sealed:
    """A file that was found whole, or has just been written.

    Attributes:
        identity: Random number of the file, kept while it grows.
        length: Number of bytes before the seal.
        blocks: Digests of its blocks, in order.
    """

    identity: bytes
    length: int
    blocks: tuple[bytes, ...]

    @property
    def seal(self) -> Seal:
        """What stands at its end."""
        whole = blake2b(self.identity + self.length.to_bytes(8, "little"), digest_size=32)
        whole.update(b"".join(self.blocks))
        return Seal(self.length, self.identity, whole.digest())

    @classmethod
    def of(cls, read: Reads, length: int, identity: bytes | None = None) -> "Sealed":
        """Everything of a file."""
        blocks = digests(read, length, range(-(-length // BLOCK)))
        return cls(identity or secrets.token_bytes(16), length, tuple(blocks.values()))

    def changed(self, read: Reads, length: int, blocks: Iterable[int]) -> "Sealed":
        """The same after some blocks have changed, and its length."""
        count = -(-length // BLOCK)
        edge = {min(self.length, length) // BLOCK} if length != self.length else set()
        new = {number for number in {*blocks, *edge, *range(len(self.blocks), count)} if number < count}
        known = [*self.blocks[:count], *[b""] * (count - len(self.blocks))]
        for number, digest in digests(read, length, sorted(new)).items():
            known[number] = digest
        return Sealed(self.identity, length, tuple(known))


def digests(read: Reads, length: int, numbers: Iterable[int]) -> dict[int, bytes]:
    """Digests of some blocks of a file, by number."""
    wanted = list(numbers)

    def some(part: list[int]) -> list[bytes]:
        return [blake2b(read(n * BLOCK, min(BLOCK, length - n * BLOCK)), digest_size=32).digest() for n in part]

    parts = [wanted[at : at + _HASHED_TOGETHER] for at in range(0, len(wanted), _HASHED_TOGETHER)]
    if len(parts) < 2:
        return dict(zip(wanted, some(wanted), strict=True))
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(min(_THREADS, usable)) as pool:  # hashing lets other threads run
        return dict(zip(wanted, (digest for part in pool.map(some, parts) for digest in part), strict=True))


def read_seal(descriptor: int) -> Seal | None:
    """The seal of an open file; None where it has none, or one of another length."""
    size = os.fstat(descriptor).st_size
    if size < SIZE:
        return None
    found = Seal.unpacked(os.pread(descriptor, SIZE, size - SIZE))
    return found if found is not None and found.length == size - SIZE else None


def write_seal(descriptor: int, seal: Seal) -> None:
    """Puts a seal at the end of an open file.

    Raises:
        OSError: It cannot be written.
    """
    write_all(descriptor, seal.packed(), seal.length)
    os.ftruncate(descriptor, seal.length + SIZE)


def seal_file(path: Path) -> Sealed:
    """Seals a file as it is; one that is sealed gets a new seal. Serial.

    Raises:
        OSError: It cannot be read or written.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        old = read_seal(descriptor)
        length = os.fstat(descriptor).st_size if old is None else old.length
        sealed = Sealed.of(lambda start, count: os.pread(descriptor, count, start), length)
        write_seal(descriptor, sealed.seal)
    finally:
        os.close(descriptor)
    return sealed


def verified(path: Path) -> Sealed:
    """A file that is what it was when it was sealed. Serial.

    Raises:
        UnsealedError: It has no seal.
        DamagedError: It is something else.
        OSError: It cannot be read.
    """
    found = os.stat(path)
    return _verified(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=8)
def _verified(path: Path, device: int, inode: int, size: int, changed: int) -> Sealed:
    """As `verified`, once for a file as long as nobody touches it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        seal = read_seal(descriptor)
        if seal is None:
            raise UnsealedError(f"{path}: has no seal")
        sealed = Sealed.of(lambda start, count: os.pread(descriptor, count, start), seal.length, seal.identity)
    finally:
        os.close(descriptor)
    if sealed.seal != seal:
        raise DamagedError(f"{path}: does not fit its seal")
    return sealed
