"""What an installed copy needs is listed, and what the scripts install is pinned."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from hpcpinn import __version__

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())

DATA_PACKAGES = {"hpcpinn.jobs": "jobs", "hpcpinn.meshes": "meshes"}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_listed() -> None:
    found = {
        ".".join(file.parent.relative_to(REPOSITORY).parts) for file in (REPOSITORY / "hpcpinn").rglob("__init__.py")
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
    for extra, group in PROJECT["project"]["optional-dependencies"].items():
        if not extra.startswith("cuda"):  # what JAX brings for a GPU follows from the version of JAX
            wanted += group
    names = {normalised(re.split(r"[<>=\[ ]", requirement)[0]) for requirement in wanted}
    assert names <= pinned


def test_the_licence_is_named_as_it_is_given() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert PROJECT["project"]["license-files"] == ["LICENSE"]
    text = (REPOSITORY / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert not any(name.startswith("License ::") for name in PROJECT["project"]["classifiers"])  # PEP 639


def test_the_citation_is_that_of_this_version_with_the_five_works() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}  # what CFF 1.2.0 requires
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == __version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert [author["name"] for author in citation["authors"]] == [a["name"] for a in PROJECT["project"]["authors"]]
    works = citation["references"]
    assert all(work.keys() >= {"type", "title", "authors"} for work in works)
    text = " ".join(f"{work['title']} {work['authors']}" for work in works)
    assert len(works) == 5
    assert all(mark in text for mark in ("dopamine-PINN-", "Miksis", "NeuroPINNs", "Shekarpaz", "Chesebro"))


def test_the_changelog_has_this_version_and_what_comes() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert __version__ in headings


def test_hooks_run_what_the_test_command_runs() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (local,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"  # no network
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in local["hooks"])
    commands = {hook["id"]: hook["entry"] for hook in local["hooks"]}
    lines = (REPOSITORY / "scripts" / "test.sh").read_text().splitlines()
    checks = [line for line in lines if line.startswith(".venv/bin/")]
    assert checks  # every check of its own, before pytest, has a hook
    assert set(checks) <= set(commands.values())
    for command in commands.values():
        for named in re.findall(r"tests/[\w/]+\.py", command):
            assert (REPOSITORY / named).is_file()
    assert "test.sh" in (REPOSITORY / ".ci" / "run").read_text()
