"""What an installed copy needs is listed, and what the scripts install is pinned."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())

DATA_PACKAGES = {"hpcpinn.jobs": "jobs", "hpcpinn.meshes": "meshes"}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_listed() -> None:
    found = {
        ".".join(file.parent.relative_to(REPOSITORY).parts)
        for file in (REPOSITORY / "hpcpinn").rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | DATA_PACKAGES.keys()


def test_every_data_file_is_packed() -> None:
    """What is no Python beside the code, and every file of the data folders, belongs to an installed copy."""
    packed = PROJECT["tool"]["setuptools"]["package-data"]
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        folder = REPOSITORY / DATA_PACKAGES.get(package, package.replace(".", "/"))
        for file in folder.iterdir():
            if file.is_dir() or file.suffix in (".py", ".pyc"):
                continue
            assert any(fnmatch(file.name, pattern) for pattern in packed.get(package, ())), (
                f"{file.relative_to(REPOSITORY)} would be missing from an installed copy: no pattern of "
                f"package-data matches it"
            )


def test_every_folder_with_files_is_a_package() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    for file in (REPOSITORY / "hpcpinn").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert ".".join(file.parent.relative_to(REPOSITORY).parts) in listed, file


def test_data_folders_exist() -> None:
    assert PROJECT["tool"]["setuptools"]["package-dir"] == DATA_PACKAGES
    for name, folder in DATA_PACKAGES.items():
        patterns = PROJECT["tool"]["setuptools"]["package-data"][name]
        for pattern in patterns:
            assert list((REPOSITORY / folder).glob(pattern)), f"nothing matches {folder}/{pattern}"


def test_every_dependency_has_an_exact_version() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^=<>]+", line) for line in pins)
    pinned = {normalised(line.split("==")[0]) for line in pins}
    wanted = [*PROJECT["project"]["dependencies"]]
    for group in PROJECT["project"]["optional-dependencies"].values():
        wanted += group
    names = {normalised(re.split(r"[<>=\[ ]", requirement)[0]) for requirement in wanted}
    assert names <= pinned
