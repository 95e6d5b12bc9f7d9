"""Names and files that nobody expects: no UTF-8, pipes and devices, thousands of ranks."""

import os
from pathlib import Path

import h5py
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


@pytest.mark.parametrize("command", ["plot", "validate"])
def test_the_result_that_a_name_stands_for_is_named(command):
    with pytest.raises(InputError, match=r"did you mean results/y_branch\.h5, which the bundled job has not w"):
        hpcpinn(command, "y_branch")
    with pytest.raises(InputError, match="mine: no such file; give the path of an hpcpinn-result file$"):
        hpcpinn(command, "mine")
    Path("results").mkdir()
    for name in ("y_branch", "mine"):
        Path("results", f"{name}.h5").touch()
        for typed in (name, f"{name}.toml", f"{name}.h5"):
            with pytest.raises(InputError, match=rf"{typed}: no such file; did you mean results/{name}.h5\?"):
                hpcpinn(command, typed)


def test_a_checkpoint_names_the_result_that_it_lies_beside():
    with h5py.File("x.checkpoint.h5", "w") as file:
        file.attrs["format"] = "hpcpinn-checkpoint"
    with pytest.raises(InputError, match=r"x.checkpoint.h5: is no hpcpinn-result file \(.*\)$"):
        hpcpinn("plot", "x.checkpoint.h5")
    Path("x.h5").touch()
    with pytest.raises(InputError, match=r"; did you mean x.h5, beside which it lies\?$"):
        hpcpinn("plot", "x.checkpoint.h5")


@pytest.mark.parametrize(
    "typed", [["inspect", "y_branch"], ["partition", "y_branch", "-n", "2"], ["run", "--morphology", "y_branch"]]
)
def test_a_bundled_cell_is_named_where_its_prefix_is_missing(typed):
    with pytest.raises(InputError, match=r"y_branch: no such file; did you mean builtin:y_branch\?"):
        hpcpinn(*typed)
