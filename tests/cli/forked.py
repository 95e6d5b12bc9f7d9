"""``python -m hpcpinn`` as a process of its own, without the seconds that its imports take.

A server with the libraries loaded forks for every command (multiprocessing's forkserver). What a command
does depends on its arguments, folder and environment as if it had been typed, but for the time it takes; what it
loads, and variables that JAX reads on import, are tested in processes that begin from nothing.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = (
    "jax", "scipy.special", "h5py", "networkx", "rich.table", "hpcpinn.cli.main", "hpcpinn.cli.run",
    "hpcpinn.cli.submit", "hpcpinn.systems.cell", "hpcpinn.systems.square", "hpcpinn.systems.work", "tests.cli.forked",
)  # fmt: skip
TIMED_OUT = 124


def command(
    arguments: Sequence[object],
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit: float = 120.0,
) -> subprocess.CompletedProcess[str]:
    """Runs hpcpinn.

    Args:
        arguments: Behind ``hpcpinn``.
        cwd: Its working directory.
        environment: Variables that differ from this process's.
        limit: Seconds after which it is stopped.
    """
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory(prefix="hpcpinn-forked-") as folder:
        streams = [Path(folder, name) for name in ("out", "err")]
        around = {**os.environ, **(environment or {})}
        process = _server().Process(target=_run, args=(words, str(cwd or Path.cwd()), around, *map(str, streams)))
        process.start()
        process.join(limit)
        code = TIMED_OUT
        if process.is_alive():
            process.kill()
            process.join()
        elif process.exitcode is not None:
            code = process.exitcode
        told = [stream.read_text() if stream.exists() else "" for stream in streams]
    return subprocess.CompletedProcess(["hpcpinn", *words], code, *told)


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _run(arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    """The command, in the forked process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    sys.stdout, sys.stderr = (os.fdopen(stream, "w") for stream in (1, 2))
    sys.argv = ["hpcpinn", *arguments]
    from hpcpinn.__main__ import main

    main()
