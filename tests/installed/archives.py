"""The project's archives, built from a copy of the checkout so that nothing of an earlier build gets into them."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.mpi.runner import REPOSITORY

NOT_SOURCES = (".git", ".venv", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "results", "build", "dist")


@dataclass(frozen=True)
class Archives:
    """What was built.

    Attributes:
        source: The source archive.
        wheel: The wheel built from `source`.
        wheel_of_tree: The wheel built from the checkout itself.
    """

    source: Path
    wheel: Path
    wheel_of_tree: Path


def source_files() -> set[str]:
    """Paths, from the top of the repository, of the files that make it up."""
    listing = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.CalledProcessError):  # an unpacked source archive
        return {
            str(file.relative_to(REPOSITORY))
            for file in REPOSITORY.rglob("*")
            if file.is_file() and not any(part.match(name) for name in NOT_SOURCES for part in _parts(file))
        }
    return {name for name in done.stdout.splitlines() if (REPOSITORY / name).is_file()}


def _parts(file: Path) -> list[Path]:
    return [Path(part) for part in file.relative_to(REPOSITORY).parts]


def build_all(folder: Path) -> Archives:
    """Builds the source archive, the wheel from it, and the wheel from the tree.

    Args:
        folder: An empty one, for the copy and the archives.
    """
    tree = folder / "tree"
    for name in sorted(source_files()):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, tree / name)
    for out, what in ((folder / "from-tree", ["--wheel"]), (folder / "from-source", [])):
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *what, str(tree)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (source,) = (folder / "from-source").glob("*.tar.gz")
    (wheel,) = (folder / "from-source").glob("*.whl")
    (wheel_of_tree,) = (folder / "from-tree").glob("*.whl")
    return Archives(source, wheel, wheel_of_tree)


def names_in(archive: Path) -> set[str]:
    """Files of a wheel, or of a source archive below its one folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name for name in wheel.namelist() if not name.endswith("/")}
    with tarfile.open(archive) as source:
        return {member.name.partition("/")[2] for member in source if member.isfile()}
