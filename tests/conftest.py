"""Fixtures for every test. Surroundings first: they must stand before JAX is loaded."""

import os
import tempfile
from pathlib import Path

from tests.mpi.runner import NOTES, ONE_THREAD, QUICK_TO_COMPILE, REPOSITORY, hear_ctrl_c, is_rank

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
# Two processes share the tests: threads of one would wait for processors that the other has.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", f"{QUICK_TO_COMPILE} {ONE_THREAD}")

# Many tests, and the processes and ranks that they start, compile the same programs: they share a folder that
# goes when this process ends, or one that is kept (JAX_COMPILATION_CACHE_DIR).
if not is_rank() and "PYTEST_XDIST_WORKER" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="hpcpinn-tests-")
    os.environ["HPCPINN_CACHE"] = os.environ.get("JAX_COMPILATION_CACHE_DIR", COMPILED.name)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.05"

import pytest
from hypothesis import HealthCheck, settings

from tests import shapes

if os.environ.get("HPCPINN_TEST_SHAPES") != "off":  # so that their price can be measured
    shapes.check()

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.device import prepare
from hpcpinn.parallel.transports import make_communicator

prepare()
hear_ctrl_c()

# How fast examples are drawn says how busy the machine is, and nothing about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

pytest_plugins = ["tests.mpi.plugin", "tests.mpi.one_job"]

LONGEST = ("mpi", "installed", "systems")
"""Folders whose files take longest: they go first, so that two processes end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONGEST) if name in item.path.parts), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real cells and reference trajectories, which are not part of the repository."""
    folder = Path(os.environ.get("HPCPINN_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "morphologies").is_dir():
        pytest.skip(f"no shared data in {folder}; set HPCPINN_SHARED to the folder that holds morphologies/")
    return folder


@pytest.fixture
def communicator() -> Communicator:
    """The ranks of this test: one in an ordinary test, as many as asked for in an `mpi_ranks` test."""
    return make_communicator()


@pytest.fixture
def common_path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A fresh folder that is the same one on all ranks."""
    if not is_rank():
        return tmp_path_factory.mktemp("common")
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.nodeid)[-100:]
    folder = Path(os.environ[NOTES]) / name
    folder.mkdir(exist_ok=True)
    return folder
