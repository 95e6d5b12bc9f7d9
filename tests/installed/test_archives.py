"""Source archive and wheel are complete, whichever way they are built."""

from tests.installed.archives import Archives, names_in, source_files

DATA_FOLDERS = ("jobs/", "meshes/")


def test_the_source_archive_holds_the_whole_checkout(archives: Archives) -> None:
    packed = names_in(archives.source)
    assert source_files() - packed == set()
    assert {"LICENSE", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", ".pre-commit-config.yaml"} <= packed


def test_the_wheel_holds_the_package_and_its_data(archives: Archives) -> None:
    wanted = {name for name in source_files() if name.startswith("hpcpinn/")}
    wanted |= {f"hpcpinn/{name}" for name in source_files() if name.startswith(DATA_FOLDERS)}
    packed = {name for name in names_in(archives.wheel) if not name.partition("/")[0].endswith(".dist-info")}
    assert packed == wanted
    licence = [name for name in names_in(archives.wheel) if name.endswith(".dist-info/licenses/LICENSE")]
    assert len(licence) == 1
    assert {"hpcpinn/jobs/voltage_train.csv", "hpcpinn/jobs/neuron_fork.swc", "hpcpinn/py.typed"} <= packed


def test_the_wheel_is_the_same_from_the_source_archive_and_from_the_tree(archives: Archives) -> None:
    assert names_in(archives.wheel) == names_in(archives.wheel_of_tree)
