"""Names and files that nobody expects: no UTF-8, pipes and devices, thousands of ranks."""

import os
from pathlib import Path

import pytest

from hpcpinn.errors import InputError
from tests.cli.in_process import hpcpinn

CELL = "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 60 0 0 1 2\n"
NAME = "la\udce9t.swc"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_cell_whose_name_is_not_utf8_is_inspected():
    Path(NAME).write_text(CELL)
    hpcpinn("inspect", NAME, "--json", "--picture", "cell.png")
    assert Path("cell.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        (["partition", NAME, "-n", "2"], "la\udce9t.swc: "),
        (["run", "--morphology", NAME], "--morphology la\udce9t.swc: "),
        (["run", NAME], "la\udce9t.swc: "),
        (["run", "y_branch", "--output", NAME], "--output la\udce9t.swc: "),
    ],
)
def test_what_a_result_must_name_is_utf8(typed, place):
    Path(NAME).write_text(CELL)
    with pytest.raises(InputError) as refused:
        hpcpinn(*typed)
    line = str(refused.value).removesuffix(" (and 1 more)")
    assert line.startswith(place)
    assert line.endswith(r"'la\udce9t.swc' is not UTF-8; rename the file (or its folder)")


def test_in_a_locale_without_utf8_it_is_the_locale_that_is_named():
    with pytest.raises(InputError, match=r"is UTF-8, but the locale is not; set LC_ALL=C.UTF-8, or rename the file$"):
        hpcpinn("partition", "l\udcc3\udca4t.swc", "-n", "2")


@pytest.mark.parametrize(
    "typed",
    [
        ["inspect", "pipe"], ["partition", "pipe", "-n", "2"], ["run", "pipe"], ["infer", "pipe"], ["plot", "pipe"],
        ["validate", "pipe"], ["run", "y_branch", "--resume", "pipe"], ["run", "--morphology", "pipe"],
        ["run", "y_branch", "--set", "voltage.file='pipe'"], ["protocols", "iTBS600", "--waveform", "./pipe"],
    ],
)  # fmt: skip
def test_a_pipe_is_not_waited_for(typed):
    os.mkfifo("pipe")
    with pytest.raises(InputError, match="pipe: is not a regular file but a pipe; write what it holds to a file"):
        hpcpinn(*typed)


@pytest.mark.parametrize("command", ["inspect", "run", "plot"])
def test_a_device_is_not_read(command):
    with pytest.raises(InputError, match="^/dev/zero: is not a regular file but a device"):
        hpcpinn(command, "/dev/zero")


def test_more_ranks_than_any_cluster_has_are_refused():
    with pytest.raises(InputError, match="-n 99999999: cannot share a cell among 99999999 ranks; use at most 65535"):
        hpcpinn("partition", "builtin:y_branch", "-n", 99999999)


@pytest.mark.parametrize(
    ("picture", "expected"), [(".", r"\. is a directory"), ("p.txt", "p.txt: no format of pictures; let it end in")]
)
def test_a_bad_place_for_the_picture_of_a_protocol_comes_before_the_table(capsys, picture, expected):
    with pytest.raises(InputError, match=expected):
        hpcpinn("protocols", "iTBS600", "--picture", picture)
    assert capsys.readouterr().out == "" and not list(Path().iterdir())
