"""The project built once for all tests of this folder, and installed once into an environment of its own."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.installed.archives import Archives, build_all
from tests.installed.environment import Environment, install


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """Source archive and wheels."""
    if find_spec("build") is None:
        pytest.skip("build is not installed: pip install 'hpcpinn[test]'")
    return build_all(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="session")
def fresh(archives: Archives) -> Iterator[Environment]:
    """A new environment with the wheel and what it needs, and nothing else; 0.8 GB that go afterwards."""
    with TemporaryDirectory(prefix="hpcpinn-installed-") as folder:
        yield install(archives.wheel, Path(folder))
