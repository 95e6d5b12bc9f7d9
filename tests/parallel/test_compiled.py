"""What is compiled is kept: whole or not at all, small, out of the way, and the same to the bit."""

import os
import resource
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest

from hpcpinn.parallel import compiled
from hpcpinn.parallel.compiled import Store, folder, machine, prune

PROGRAM = zlib.compress(os.urandom(50_000))

SOLVE = """
import jax
from hpcpinn.parallel.device import prepare
prepare()
import jax.numpy as jnp
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None)
x = jnp.linspace(0.0, 1.0, 40)
solved = jax.jit(lambda x: jnp.linalg.solve(jnp.exp(-jnp.abs(x[:, None] - x)), jnp.sin(9 * x)))(x)
print(len(hits) > 0, jax.device_get(solved).tobytes().hex())
"""


def solve(**environment: str) -> tuple[str, str]:
    """Compiles something in a process of its own: whether it came from the cache, and the bits of its answer."""
    unset = (
        "HPCPINN_CACHE",
        "JAX_COMPILATION_CACHE_DIR",
        "JAX_PERSISTENT_CACHE_",
        "PYTHONWARNINGS",
        "XDG_CACHE_HOME",
    )
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(unset)} | environment
    done = subprocess.run([sys.executable, "-c", SOLVE], env=surroundings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    hit, bits = done.stdout.split()
    return hit, bits


def test_programs_lie_in_the_cache_folder_of_the_user_unless_told_otherwise(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert folder({}) == tmp_path / "hpcpinn" / "compiled"
    assert folder({"HPCPINN_CACHE": "off"}) is None
    assert folder({"HPCPINN_CACHE": "OFF", "JAX_COMPILATION_CACHE_DIR": "/a"}) is None
    assert folder({"JAX_COMPILATION_CACHE_DIR": "/a"}) is None, "the user has told JAX"
    assert folder({"HPCPINN_CACHE": "/b", "JAX_COMPILATION_CACHE_DIR": "/a"}) == Path("/b")
    assert folder({"HPCPINN_CACHE": "~/c"}) == Path.home() / "c"


def test_other_processors_and_other_numbers_of_them_have_other_folders(monkeypatch) -> None:
    here = machine({})
    assert machine({}) == here
    assert machine({"NPROC": "3"}) != here
    monkeypatch.setattr(compiled, "_usable_processors", lambda: 1000)
    assert machine({}) != here
    monkeypatch.undo()
    monkeypatch.setattr(compiled, "_processor", lambda: "flags: avx512f")
    assert machine({}) != here
    monkeypatch.undo()
    monkeypatch.setattr(compiled, "version", lambda name: "0.11.0")
    assert machine({}) != here


def test_a_program_comes_back_as_it_was(tmp_path) -> None:
    store = Store(tmp_path)
    assert store.get("key") is None
    store.put("key", PROGRAM)
    assert store.get("key") == PROGRAM
    assert [place.name for place in tmp_path.iterdir()] == ["key.program"]


@pytest.mark.parametrize("keep", [0, 10, 1000, len(PROGRAM) + 15])
def test_a_damaged_program_is_none_and_goes(tmp_path, keep: int) -> None:
    store = Store(tmp_path)
    store.put("key", PROGRAM)
    place = tmp_path / "key.program"
    place.write_bytes(place.read_bytes()[:keep])
    assert store.get("key") is None
    assert not place.exists()


def test_many_writers_of_one_program_are_never_seen_at_it(tmp_path) -> None:
    store, wrong = Store(tmp_path), []

    def write() -> None:
        for _ in range(30):
            store.put("key", PROGRAM)

    def look() -> None:
        for _ in range(300):
            if store.get("key") not in (None, PROGRAM):
                wrong.append("part")

    threads = [threading.Thread(target=work) for work in (write, write, write, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [place.name for place in tmp_path.iterdir()] == ["key.program"], "and it was never taken for damaged"


def test_a_program_with_addresses_of_this_process_is_not_kept(tmp_path) -> None:
    Store(tmp_path).put("key", zlib.compress(b"call mpi_sendrecv_ffi {comm = 94382343 : i64}"))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_error_and_leaves_nothing(tmp_path) -> None:
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        Store(tmp_path).put("key", PROGRAM)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    assert list(tmp_path.iterdir()) == []
    Store(tmp_path / "absent").put("key", PROGRAM)
    assert Store(tmp_path / "absent").get("key") is None


def test_the_longest_unused_go_until_there_is_room(tmp_path) -> None:
    for number in range(8):
        place = tmp_path / f"machine{number % 2}" / f"{number}.program"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(bytes(100))
        os.utime(place, (1e9 + number, 1e9 + number))
    (tmp_path / "machine0" / "own.txt").write_text("not ours")
    (tmp_path / "machine0" / "killed.part").write_bytes(bytes(100))
    os.utime(tmp_path / "machine0" / "killed.part", (1e9, 1e9))
    prune(tmp_path, largest=800)
    assert len(list(tmp_path.glob("*/*.program"))) == 8
    assert not list(tmp_path.glob("*/*.part"))
    prune(tmp_path, largest=600)
    assert sorted(int(place.stem) for place in tmp_path.glob("*/*.program")) == [4, 5, 6, 7]
    assert (tmp_path / "machine0" / "own.txt").exists()


def test_what_is_read_counts_as_used(tmp_path) -> None:
    Store(tmp_path).put("key", PROGRAM)
    os.utime(tmp_path / "key.program", (1e9, 1e9))
    Store(tmp_path).get("key")
    assert (tmp_path / "key.program").stat().st_mtime > 1.7e9


def test_answers_are_the_same_to_the_bit_with_and_without_and_a_bad_place_is_no_matter(tmp_path) -> None:
    (tmp_path / "file").touch()
    without, bits = solve(HPCPINN_CACHE="off", XDG_CACHE_HOME=str(tmp_path / "unused"))
    assert without == "False" and not (tmp_path / "unused").exists()
    assert solve(XDG_CACHE_HOME=str(tmp_path)) == ("False", bits)
    assert solve(XDG_CACHE_HOME=str(tmp_path)) == ("True", bits), "found what the last process compiled"
    assert solve(XDG_CACHE_HOME=str(tmp_path / "file")) == ("False", bits), "a place that cannot be"
