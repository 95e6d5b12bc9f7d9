"""``mpirun -n 2 python -m pytest --with-mpi`` (pytest-mpi): the tests that want so many ranks, in one job.

The other way, `tests.mpi.plugin`, is one plain call of pytest that starts mpirun itself for every number of ranks.
Here mpirun is there already: tests that want another number of ranks, or none, are deselected, and rank 0 has the
word. A rank whose test fails says so and ends the job, for the others may wait for it; so does one that exceeds the
limit of its test.
"""

import os
import signal
import sys
from tempfile import TemporaryDirectory

import pytest

from hpcpinn.parallel import launch
from tests.mpi.plugin import limit_of
from tests.mpi.runner import NOTES

_JOB = pytest.StashKey["_Job"]()


class _Job:
    """This rank's part of the job.

    Attributes:
        size: Number of ranks.
        folder: What all ranks share, on rank 0, which made it.
        failed: Whether the session ended otherwise than well.
    """

    def __init__(self, size: int, folder: "TemporaryDirectory[str] | None"):
        self.size = size
        self.folder = folder
        self.failed = False


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Without ``--with-mpi`` pytest-mpi would skip whatever lies in a folder named mpi: it goes."""
    manager = session.config.pluginmanager
    for plugin in manager.get_plugins():
        if type(plugin).__name__ == "MPIPlugin" and not _asked(session.config):
            manager.unregister(plugin)


def _asked(config: pytest.Config) -> bool:
    return bool(config.getoption("--with-mpi", False) or config.getoption("--only-mpi", False))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Where mpirun started several of us with ``--with-mpi``, be one of its ranks."""
    if not _asked(config) or launch.promised_size() == 1 or NOTES in os.environ:
        return
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    folder = TemporaryDirectory(prefix="hpcpinn-ranks-") if world.rank == 0 else None
    os.environ[NOTES] = str(world.bcast(folder.name if folder else None, root=0))
    if world.rank > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (one voice, for as long as the process lives)
    config.stash[_JOB] = _Job(world.size, folder)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that want as many ranks as there are."""
    job = config.stash.get(_JOB, None)
    if job is None:
        return
    kept, others = [], []
    for item in items:
        ranks = item.callspec.params.get("ranks") if hasattr(item, "callspec") else None
        wanted = item.get_closest_marker("mpi_ranks") is not None and ranks == job.size
        (kept if wanted else others).append(item)
    for item in kept:
        item.add_marker(pytest.mark.mpi)
    config.hook.pytest_deselected(items=others)
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Start the clock of a test: the signal ends this rank even inside MPI, and mpirun then ends the others."""
    if _JOB in item.config.stash:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit_of(item))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Say what could not be collected: only rank 0 is heard otherwise."""
    if report.failed and NOTES in os.environ and launch.promised_rank() > 0:
        print(f"rank {launch.promised_rank()}, {report.nodeid}:\n{report.longreprtext}", file=sys.stderr)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note how it ended, here."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    if (job := session.config.stash.get(_JOB, None)) is not None:
        good = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        job.failed = exitstatus not in good


def pytest_unconfigure(config: pytest.Config) -> None:
    """End together: a rank that could not even collect its tests ends the job."""
    job = config.stash.get(_JOB, None)
    if job is None:
        return
    from mpi4py import MPI

    sys.stdout.flush()
    if job.failed:
        MPI.COMM_WORLD.Abort(1)
    MPI.COMM_WORLD.Barrier()
    if job.folder is not None:
        job.folder.cleanup()
    del os.environ[NOTES]
