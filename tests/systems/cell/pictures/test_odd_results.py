"""Names and shapes that no picture may break on."""

import dataclasses
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcpinn.io import read
from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.morphology.cable import Section
from hpcpinn.systems.cell.pictures.gallery import draw_all
from hpcpinn.systems.cell.pictures.traces import traces_into
from tests.io import runs
from tests.io.runs import FIELDS
from tests.morphology.test_simplify import chain

ODD = ("a $x_1$ of $5", "dend[12](0.5)_^{", "Dendrit µ Ωé 树突", "n" * 120, "\\frac{1}{0}", "#%&~")


def write(communicator, folder, header: ResultHeader, frames=8, samples=9, name="run.h5"):
    """A result of any cable: calcium rises at the end of the last piece."""
    n, probes = header.n_values, len(header.probes)
    with ResultWriter(folder / name, communicator, header) as writer:
        for frame in range(frames):
            rise = np.exp(-((np.arange(n) - n) ** 2) / (0.05 * n) ** 2) * frame
            fields = {"calcium": 0.05 + rise, "calbindin": 149.0 - rise, "voltage": np.full(n, -65.0) + 3 * frame}
            shaped = {name: values.reshape(-1, header.geometry.values_per_piece) for name, values in fields.items()}
            writer.frame(float(frame), shaped)
        times = np.linspace(0.0, frames - 1.0, samples) if frames > 1 else np.zeros(samples)
        if probes and samples:
            traces = 0.05 + times[:, None] * np.linspace(0.1, 1.0, probes)
            writer.probes(times, dict.fromkeys(FIELDS, traces))
        writer.windows([runs.window(index) for index in range(max(frames - 1, 0))])
    return read(folder / name)


def nothing_sticks_out(figure, path):
    """That all that is drawn lies on the page, but for the width of a letter."""
    figure.canvas.draw()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches.padded(0.08)
    assert page.contains(drawn.x0, drawn.y0) and page.contains(drawn.x1, drawn.y1), (path.name, drawn)


@pytest.fixture
def checked(monkeypatch):
    """Every picture is looked at before it is saved; warnings of the layout are errors."""
    saved = Figure.savefig

    def look(figure, path, **settings):
        nothing_sticks_out(figure, path)
        saved(figure, path, **settings)

    monkeypatch.setattr(Figure, "savefig", look)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


ALL = ["overview", "cell", "voltage", "kymograph", "traces", "convergence"]
ONE_RANK = ["no partition: one rank computed the whole cell"]


def test_odd_names_stand_as_they_are(communicator, tmp_path, checked):
    probes = tuple(ProbeSite(name, index, 0.5) for index, name in enumerate(ODD))
    result = write(communicator, tmp_path, dataclasses.replace(runs.header(1), probes=probes), name="odd $r_1$ µ.h5")
    drawn, left_out = draw_all(result, tmp_path / "p")
    assert [path.stem for path in drawn] == ALL and left_out == ONE_RANK
    figure = Figure()
    traces_into(figure, result, None)
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert shown[0] == ODD[0] and shown[2] == ODD[2] and len(shown[3]) == 28


def test_a_hundred_probes_have_a_legend_that_can_be_read(communicator, tmp_path, checked):
    probes = tuple(ProbeSite(f"probe number {n}", n % 11, 0.5) for n in range(100))
    result = write(communicator, tmp_path, dataclasses.replace(runs.header(1), probes=probes))
    assert [path.stem for path in draw_all(result, tmp_path / "p")[0]] == ALL
    figure = Figure()
    traces_into(figure, result, None)
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert shown == ["probe number 0", "probe number 50", "probe number 99", "100 probes, first to last"]
    assert len(figure.axes[0].lines) == 100


def test_a_cell_of_one_section_in_one_piece(communicator, tmp_path, checked):
    cable = dataclasses.replace(chain([100.0], [(0.5, 0.4)]), sections=(Section("$odd$_" + "n" * 80, 3, -1),))
    end = (ProbeSite("end", 0, 1.0),)
    header = dataclasses.replace(runs.header(1), geometry=Tree(cable, np.zeros(1, int), 4), probes=end)
    assert [path.stem for path in draw_all(write(communicator, tmp_path, header), tmp_path / "p")[0]] == ALL


def test_one_frame_only(communicator, tmp_path, checked):
    drawn, left_out = draw_all(write(communicator, tmp_path, runs.header(1), frames=1, samples=1), tmp_path / "p")
    assert [path.stem for path in drawn] == ["cell", "traces"]
    missing = ["no partition", "no overview", "no kymograph", "no convergence"]
    assert [reason.split(":")[0] for reason in left_out] == missing


def test_no_probes(communicator, tmp_path, checked):
    header = dataclasses.replace(runs.header(1), probes=())
    drawn, left_out = draw_all(write(communicator, tmp_path, header), tmp_path / "p")
    assert [path.stem for path in drawn] == [name for name in ALL if name != "traces"]
    assert [reason.split(":")[0] for reason in left_out] == ["no partition", "no traces"]


@pytest.mark.slow
def test_a_cell_of_five_thousand_pieces(communicator, tmp_path, checked):
    cable = chain([1.0] * 5000, [(0.5, 0.5)] * 5000)
    end = (ProbeSite("end", 4999, 1.0),)
    header = dataclasses.replace(runs.header(1), geometry=Tree(cable, np.zeros(5000, int), 4), probes=end)
    assert [path.stem for path in draw_all(write(communicator, tmp_path, header, frames=4), tmp_path / "p")[0]] == ALL
