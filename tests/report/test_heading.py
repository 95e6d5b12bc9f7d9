"""What pictures say of themselves."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcpinn.errors import InputError
from hpcpinn.report.canvas import canvas
from hpcpinn.report.heading import Heading, abridged, heading_of, partial
from hpcpinn.systems.cell.pictures import gallery
from hpcpinn.systems.cell.pictures.gallery import draw_all
from tests.systems.cell.pictures.synthetic import run_of


@pytest.mark.parametrize(
    ("reached", "duration", "unit", "said"),
    [
        (12.3456, 50.0, "ms", "partial: 12.3 of 50 ms"),
        (3000.0, 30_000.0, "ms", "partial: 3 of 30 s"),
        (90_000.0, 2_250_000.0, "ms", "partial: 1.5 of 37.5 min"),
        (0.25, 1.0, "", "partial: 0.25 of 1"),
        (0.0, None, "ms", "partial: 0 ms"),
    ],
)
def test_a_partial_run_says_how_far_it_came(reached, duration, unit, said):
    assert partial(reached, duration, unit) == said


def test_every_picture_of_a_partial_run_is_marked(communicator, tmp_path, monkeypatch):
    result = run_of(communicator, tmp_path, complete=False, name="killed.h5")
    headings = []
    saved = Figure.savefig

    def remember(figure, path, **settings):
        headings.append((path.stem, figure.get_suptitle(), settings["metadata"]["Title"]))
        saved(figure, path, **settings)

    monkeypatch.setattr(Figure, "savefig", remember)
    drawn, left_out = draw_all(result, tmp_path / "pictures")
    assert len(left_out) == 1 and [stem for stem, _, _ in headings] == [path.stem for path in drawn]
    assert {text for _, text, _ in headings} == {"killed.h5 – partial: 4 of 6 ms"}
    assert {title for _, _, title in headings} == {"killed.h5 – partial: 4 of 6 ms"}


def test_a_complete_run_is_named_without_more(communicator, tmp_path):
    result = run_of(communicator, tmp_path, name="a_$run$.h5")
    assert heading_of(result) == Heading("a_$run$.h5")
    member = dataclasses.replace(result, attributes=result.attributes | {"member": "2000 V/m"})
    assert str(heading_of(member)) == "a_$run$.h5, member 2000 V/m"


def test_long_names_are_shortened_in_their_middle(tmp_path):
    assert abridged("a" * 10, 10) == "a" * 10
    assert abridged("abcdefghij", 5) == "ab…ij"
    line = Heading("x" * 300 + ".h5", "partial: 1 of 2 ms").fitting(6.0)
    assert len(line) <= 102 and line.endswith(".h5 – partial: 1 of 2 ms")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "GTK", "svg", ""])
def test_the_backend_of_the_user_neither_matters_nor_changes(tmp_path, backend):
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from hpcpinn.report.canvas import canvas\n"
        f"with canvas(Path({str(tmp_path / 'a.png')!r}), 2.0, 1.0) as figure:\n"
        "    figure.subplots()\n"
        "import sys, matplotlib\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "print(os.environ['MPLBACKEND'], dict.__getitem__(matplotlib.rcParams, 'backend') if "
        "isinstance(matplotlib.rcParams, dict) else '')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"MPLBACKEND": backend}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:1] == ([backend] if backend else done.stdout.split()[:1])
    if backend == "svg":
        assert "svg" in done.stdout.split()[1]
    assert (tmp_path / "a.png").stat().st_size > 100


def test_settings_of_the_user_neither_matter_nor_change(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 40.0, "text.usetex": True, "axes.grid": True}):
        with canvas(tmp_path / "a.png", 2.0, 1.0, Heading("run.h5")) as figure:
            axes = figure.subplots()
            axes.plot(np.arange(3))
        assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["text.usetex"]) == (40.0, True)
    assert axes.xaxis.label.get_fontsize() == 8.0 and not axes.xaxis.label.get_usetex()


def test_names_of_pictures_are_those_of_their_kind(communicator, tmp_path):
    result = run_of(communicator, tmp_path)
    with pytest.raises(InputError, match="--times 99"):
        draw_all(result, tmp_path / "p", times=[99.0])
    assert gallery.draw_all(result, tmp_path / "p")[0][0] == tmp_path / "p" / "overview.png"
