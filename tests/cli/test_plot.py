"""``hpcpinn plot`` as a person types it."""

import pytest

from hpcpinn.io.results import ResultWriter
from hpcpinn.systems.cell.pictures import gallery
from hpcpinn.terminal.progress import LogProgress
from tests.cli import forked, in_process
from tests.io import runs


def plot(*arguments):
    return forked.command(["plot", *arguments], limit=60.0)


@pytest.fixture
def path(communicator, tmp_path):
    with ResultWriter(tmp_path / "run.h5", communicator, runs.header(1)) as writer:
        for index in range(3):
            runs.write_window(writer, index)
    return tmp_path / "run.h5"


def test_the_pictures_stand_beside_the_result_and_are_listed(path):
    done = plot(path, "--times", "1,2.5")
    assert done.returncode == 0, done.stderr
    pictures = sorted((path.parent / "run-pictures").iterdir())
    assert [picture.stem for picture in pictures] == [
        "cell",
        "convergence",
        "kymograph",
        "overview",
        "traces",
        "voltage",
    ]
    assert all(f"picture: {picture}" in done.stdout for picture in pictures)
    assert "no partition: one rank computed the whole cell" in done.stdout
    assert f"hpcpinn validate {path}" in done.stdout


def test_progress_ends_before_the_list(path, monkeypatch, capsys):
    """Its last line once came after the pictures, and counted one less than there are."""

    def draw(run, folder, watch, **_):
        for name in ("cell", "traces"):
            watch(name, 2)
        return [folder / "cell.png", folder / "traces.png"], []

    monkeypatch.setattr(gallery, "draw_all", draw)
    monkeypatch.setattr(LogProgress, "_changed", lambda self: setattr(self, "_said", "a line"))  # it has spoken before
    in_process.hpcpinn("plot", path)
    lines = capsys.readouterr().out.splitlines()
    last = lines.index("drawing 2 of 2 pictures (100 %)")
    assert last < min(number for number, line in enumerate(lines) if line.startswith("picture: "))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--times", "soon"], "--times soon: not numbers with commas between"),
        (["--times", "99"], "--times 99: "),
        (["--format", "doc"], "--format doc: no such format; use png, pdf or svg"),
    ],
)
def test_what_cannot_be_plotted_is_one_line_and_exit_code_2(path, arguments, line):
    done = plot(path, *arguments)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_result_is_named(tmp_path):
    done = plot(tmp_path / "gone.h5")
    assert done.returncode == 2
    assert "gone.h5: no such file" in done.stderr


def test_a_folder_that_cannot_be_is_refused_with_the_flag(path):
    done = plot(path, "--out", path)
    assert done.returncode == 2
    assert f"{path} is a file, not a directory; name another folder with --out" in done.stderr
    done = plot(path, "--out", path / "pictures")
    assert done.returncode == 2
    assert "(Not a directory); name another folder with --out" in done.stderr


def test_no_picture_replaces_the_result(path):
    result = path.rename(path.with_name("overview.png"))
    before = result.read_bytes()
    done = plot(result, "--out", path.parent)
    assert done.returncode == 2
    assert "overview.png: a picture could replace it; name another folder with --out" in done.stderr
    assert result.read_bytes() == before
