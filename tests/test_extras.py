"""Every extra gives what it promises, and who lacks one is told its name."""

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.parallel import launch, transports
from hpcpinn.parallel.communicator import SerialCommunicator

REPOSITORY = Path(__file__).resolve().parent.parent
EXTRAS: dict[str, list[str]] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


def needs(extra: str, *modules: str) -> None:
    """Skips where the extra is not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'hpcpinn[{extra}]'")


def written_run(path: Path) -> Path:
    from hpcpinn.io.results import ResultWriter
    from tests.io import runs

    with ResultWriter(path, SerialCommunicator(), runs.header(1)) as writer:
        runs.write_window(writer, 0)
    return path


def gives_draws() -> None:
    """uq: the no-U-turn sampler draws, ArviZ judges the draws."""
    needs("uq", "blackjax", "arviz", "h5netcdf")
    import jax
    import jax.numpy as jnp

    from hpcpinn.inference.mixing import mixing_of
    from hpcpinn.inference.nuts import Effort, require_libraries, sample

    require_libraries()
    keys = jax.random.split(jax.random.key(0), 2)
    chains = jax.jit(jax.vmap(lambda key: sample(lambda z: -0.5 * z @ z, jnp.zeros(1), key, Effort(100, 300))))(keys)
    z = np.asarray(chains.z)
    assert z.shape == (2, 300, 1)
    assert abs(z.std() - 1.0) < 0.3
    assert mixing_of(z).rhat[0] < 1.1


def gives_datasets(folder: Path) -> None:
    """xarray: a run as a Dataset, which becomes a netCDF file."""
    needs("xarray", "xarray", "h5netcdf")
    import xarray

    from hpcpinn.io import read

    run = read(written_run(folder / "run.h5"))
    data = run.to_xarray()
    np.testing.assert_array_equal(data["calcium"].values, run.calcium)
    data[["calcium"]].to_netcdf(folder / "run.nc", engine="h5netcdf")
    with xarray.open_dataset(folder / "run.nc", engine="h5netcdf") as again:
        np.testing.assert_array_equal(again["calcium"].values, run.calcium)


def gives_ranks() -> None:
    """mpi: both ways in which ranks talk."""
    needs("mpi", "mpi4py", "mpi4jax")
    for transport in ("mpi4jax", "mpi4py"):
        ranks = transports.make_communicator(transport)
        assert (ranks.rank, ranks.size) == (0, 1)


def gives_heads(folder: Path) -> None:
    """tms: fields of gmsh 4 files and of images."""
    needs("tms", "meshio", "nibabel")
    from hpcpinn.physics.stimulation.head.mesh_file import read_mesh_field
    from tests.physics.head.heads import head_with

    corners = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    path = head_with(
        folder / "head.msh", lambda places: np.tile([1.0, 2.0, 3.0], (len(places), 1)), corners, kind="gmsh"
    )
    np.testing.assert_allclose(read_mesh_field(path).at(corners), [[1.0, 2.0, 3.0]] * 2)


def gives_neuron() -> None:
    needs("neuron", "neuron")
    from neuron import h

    section = h.Section(name="dend")
    section.L, section.nseg = 100.0, 5
    assert [segment.x for segment in section] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


def gives_deepxde() -> None:
    needs("deepxde", "deepxde", "torch")
    from hpcpinn.reference.deepxde_peer import require_deepxde

    require_deepxde(sys.executable)


def gives_tests() -> None:
    """test: what scripts/test.sh calls."""
    needs("test", "pytest", "xdist", "slipcover", "pytest_mpi", "hypothesis", "mypy", "build", "morphio")
    assert (Path(sys.prefix) / "bin" / "ruff").is_file()


def gives_hooks() -> None:
    needs("dev", "pre_commit")


def gives_gpus(version: int) -> None:
    """cuda12, cuda13: JAX has an extra of that name, and with it an NVIDIA device where there is one."""
    (requirement,) = EXTRAS[f"cuda{version}"]
    assert requirement.startswith(f"jax[cuda{version}]")
    offered = importlib.metadata.metadata("jax").get_all("Provides-Extra") or []
    assert f"cuda{version}" in offered
    needs(f"cuda{version}", f"jax_cuda{version}_plugin")


PROMISES: dict[str, Callable[[Path], None]] = {
    "cuda12": lambda _: gives_gpus(12),
    "cuda13": lambda _: gives_gpus(13),
    "deepxde": lambda _: gives_deepxde(),
    "dev": lambda _: gives_hooks(),
    "mpi": lambda _: gives_ranks(),
    "neuron": lambda _: gives_neuron(),
    "test": lambda _: gives_tests(),
    "tms": gives_heads,
    "uq": lambda _: gives_draws(),
    "xarray": gives_datasets,
}


def test_every_extra_promises_something() -> None:
    assert PROMISES.keys() == EXTRAS.keys()


@pytest.mark.parametrize("extra", sorted(PROMISES))
def test_an_extra_gives_what_it_promises(extra: str, tmp_path: Path) -> None:
    PROMISES[extra](tmp_path)


def test_every_extra_that_is_named_exists() -> None:
    files = [*(REPOSITORY / "hpcpinn").rglob("*.py"), *(REPOSITORY / "tests").rglob("*.py")]
    files += [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), *(REPOSITORY / "scripts").glob("*.py")]
    for file in files:
        for named in re.findall(r"'hpcpinn\[([\w,]+)\]'", file.read_text()):
            assert set(named.split(",")) <= EXTRAS.keys(), f"{file.name}: hpcpinn[{named}]"


def test_who_lacks_xarray_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpcpinn.io import read

    run = read(written_run(tmp_path / "run.h5"))
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(InputError, match=r"^to_xarray needs xarray, .*: pip install 'hpcpinn\[xarray\]'$"):
        run.to_xarray()


@pytest.mark.parametrize("library", ["mpi4py", "mpi4jax"])
def test_who_lacks_mpi_is_told(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "started_by_launcher", lambda *_: True)
    for name in list(sys.modules):
        if name.partition(".")[0] == library or name == f"hpcpinn.parallel.{library}_transport":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"^{library} cannot be loaded .*pip install 'hpcpinn\[mpi\]'$"):
        transports.make_communicator(library)


def test_who_lacks_meshio_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpcpinn.physics.stimulation.head.mesh_file import read_mesh_field

    path = tmp_path / "head.msh"
    path.write_text("$MeshFormat\n4.1 0 8\n$EndMeshFormat\n")
    monkeypatch.setitem(sys.modules, "meshio", None)
    with pytest.raises(InputError, match=r"^reading head.msh needs meshio, .*: pip install 'hpcpinn\[tms\]'$"):
        read_mesh_field(path)
