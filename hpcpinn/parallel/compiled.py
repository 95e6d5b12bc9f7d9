"""Compiled programs are kept from one run to the next, in the user's cache folder.

JAX has such a cache and is told where it lies. Its own way of writing is not enough for ranks: every rank of a
run is a process of its own that may write the entry another is writing or reading, and an entry that a killed
process left half written would stay. Here an entry is written aside and renamed, carries a checksum, and
whatever goes wrong (no home, read-only, full) means a compilation, never an error or a line.
"""

import contextlib
import hashlib
import os
import platform
import re
import tempfile
import time
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

VARIABLE = "HPCPINN_CACHE"
"""``off``, or the folder to keep compiled programs in."""

JAX_VARIABLE = "JAX_COMPILATION_CACHE_DIR"

LARGEST = 512 * 2**20
"""Bytes that all compiled programs may take at the start of a run; a rank of a job adds one or two MiB."""

_SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,  # to compile the smallest takes ten times as long as to read it
    "jax_persistent_cache_min_entry_size_bytes": -1,
    "jax_persistent_cache_enable_xla_caches": "none",  # folders that nothing here would keep small
}
"""What JAX keeps; its own environment variables of these names go first."""

_ENTRY, _ASIDE = ".program", ".part"
_DIGEST = 16
_MPI_CALL = re.compile(rb"mpi_[a-z]+_ffi")
_DAY = 86400.0


def folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where compiled programs are kept; None where hpcpinn keeps none.

    None for ``HPCPINN_CACHE=off``, and where the user has told JAX itself about a cache
    (``JAX_COMPILATION_CACHE_DIR``) and hpcpinn nothing.
    """
    named = environment.get(VARIABLE, "").strip()
    if named.lower() in ("off", "no", "none", "false", "0"):
        return None
    if named:
        return Path(named).expanduser()
    if environment.get(JAX_VARIABLE):
        return None
    return Path(platformdirs.user_cache_dir("hpcpinn", appauthor=False)) / "compiled"


def machine(environment: Mapping[str, str] = os.environ) -> str:
    """Name of a folder for programs that run here as they would if they were compiled here.

    Machine code is written for one processor, and loops are cut for a number of threads; nodes of a
    cluster that share a home may differ in both. JAX's own keys name the program, the compiler's
    options and the accelerator.
    """
    parts = [
        version("jax"), version("jaxlib"), platform.python_version(), platform.system(), platform.machine(),
        _processor(), str(_usable_processors()), environment.get("NPROC", ""),
    ]  # fmt: skip
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def _processor() -> str:
    """Model and instruction sets of the first processor."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
    return "\n".join(line for line in first.splitlines() if line.startswith(wanted))


def _usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Store:
    """Compiled programs as files, as JAX's compilation cache asks for them.

    Args:
        path: An existing folder that belongs to one kind of machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path  # JAX reads this name for its log

    def get(self, key: str) -> bytes | None:
        """The program of this key; None if there is none, or none that is whole."""
        place = self._path / (key + _ENTRY)
        try:
            content = place.read_bytes()
            if time.time() - place.stat().st_mtime > _DAY:
                os.utime(place)  # the longest unused go first; once a day spares a shared file system
        except OSError:
            return None
        digest, program = content[:_DIGEST], content[_DIGEST:]
        if _checksum(program) == digest:
            return program
        with contextlib.suppress(OSError):
            place.unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep a program. Readers see all of it or nothing, whoever else writes the same one."""
        if _belongs_to_one_process(value):
            return
        aside = ""
        try:
            with tempfile.NamedTemporaryFile(dir=self._path, suffix=_ASIDE, delete=False) as file:
                aside = file.name
                file.write(_checksum(value) + value)
            os.replace(aside, self._path / (key + _ENTRY))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(aside)


def _belongs_to_one_process(value: bytes) -> bool:
    """Whether a program talks to other ranks through handles that are addresses in this process.

    mpi4jax writes them into the program, so that no other process has a program of this key.
    """
    from jax._src.compilation_cache import decompress_executable

    return _MPI_CALL.search(decompress_executable(value)) is not None


def _checksum(program: bytes) -> bytes:
    return hashlib.blake2b(program, digest_size=_DIGEST).digest()


def prune(kept: Path, largest: int = LARGEST) -> None:
    """Remove what was not used for longest until three quarters of `largest` are left; nothing below that.

    Programs of other machines and versions count too. What a killed process left half written goes after a day.

    Args:
        kept: The folder of all machines.
        largest: Bytes.
    """
    found, now = [], time.time()
    with contextlib.suppress(OSError):
        for place in kept.glob("*/*"):
            with contextlib.suppress(OSError):
                status = place.stat()
                if place.suffix == _ASIDE and now - status.st_mtime > _DAY:
                    place.unlink()
                elif place.suffix == _ENTRY:
                    found.append((status.st_mtime, status.st_size, place))
    total = sum(size for _, size, _ in found)
    if total <= largest:
        return
    for _, size, place in sorted(found):
        if total <= 0.75 * largest:
            return
        with contextlib.suppress(OSError):  # another run may be doing the same
            place.unlink()
        total -= size


def keep(first_rank: bool) -> Path | None:
    """Let JAX keep what it compiles, and find what earlier runs compiled. Call before anything is compiled.

    Args:
        first_rank: Whether this process removes what has become too much.

    Returns:
        The folder in use, None if none is.
    """
    kept = folder()
    if kept is None:
        return None
    own = kept / machine()
    try:
        # Whoever can write here can have a run execute what they like.
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    if first_rank:
        prune(kept)

    return own if _tell_jax(own) else None


def _tell_jax(own: Path) -> bool:
    """Make JAX use a `Store` in this folder, unless it was told about another one; whether it does."""
    import jax  # after what `prepare` writes into the environment

    told = jax.config.values["jax_compilation_cache_dir"]
    if told and told != os.environ.get(JAX_VARIABLE):
        return bool(told == str(own))
    try:
        from jax._src import compilation_cache

        # JAX has no public way to hand it a cache; without this one it would write entries in place.
        otherwise = compilation_cache.get_file_cache
    except (ImportError, AttributeError):
        return False

    def file_cache(path: str) -> Any:
        return (Store(own), path) if path == str(own) else otherwise(path)

    compilation_cache.get_file_cache = file_cache
    jax.config.update("jax_compilation_cache_dir", str(own))
    for name, value in _SETTINGS.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
    return True
