"""What all pictures share: names are letters, not formulas, and nobody's own style gets in."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcpinn.report.canvas import STYLE, canvas, logarithmic, plain
from hpcpinn.report.heading import Heading


def test_a_dollar_in_a_name_begins_no_formula(tmp_path, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: figure.draw_without_rendering())
    with canvas(tmp_path / "a.svg", 3.0, 2.0) as figure:
        axes = figure.add_subplot()
        axes.semilogy([1.0, 2.0], [1.0, 1e6], label=r"tip_$x^{$ of \frac$")
        axes.set_title("$\\nonsense$")
        legend = axes.legend()
    formulas = [text.get_parse_math() for text in (axes.title, *legend.get_texts())]
    assert formulas == [False, False]
    assert axes.get_yticklabels()[0].get_parse_math()


def test_the_backend_of_a_persons_own_figures_stays(tmp_path, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "backend", "svg")
    with canvas(tmp_path / "a.png", 2.0, 1.0) as figure:
        figure.text(0.5, 0.5, "x")
    assert matplotlib.get_backend() == "svg"


@pytest.mark.parametrize("wished", [{"text.usetex": True}, {"font.size": 40.0}])
def test_a_persons_own_style_stays_outside_and_as_it_was(tmp_path, wished):
    with matplotlib.rc_context(wished):
        with canvas(tmp_path / "a.png", 2.0, 1.0) as figure:
            figure.text(0.5, 0.5, "x")
            assert not matplotlib.rcParams["text.usetex"]
            assert matplotlib.rcParams["font.size"] == STYLE["font.size"]
        assert all(matplotlib.rcParams[name] == value for name, value in wished.items())
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize(("name", "drawn"), [("la\udce9t.swc", "la\ufffdt.swc"), ("l\udcc3\udca4t.swc", "lät.swc")])
def test_a_name_that_is_no_utf8_is_drawn(tmp_path, name, drawn):
    """Its bytes, or all of them where the locale is C, come from the system as halves of characters."""
    with canvas(tmp_path / "a.svg", 3.0, 2.0, Heading(name)) as figure:
        axes = figure.add_subplot()
        axes.plot([0.0, 1.0], label=name)
        axes.set_title(name)
        axes.set_yticks([0.0], [plain(name)])
        legend = axes.legend()
    texts = (axes.title, *legend.get_texts(), *axes.get_yticklabels())
    assert {text.get_text() for text in texts} == {drawn}
    assert f"<dc:title>{drawn}</dc:title>" in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.3, 5.0], [0.5, 1.0, 2.0, 5.0]),
        ([0.3, 0.4], [0.2, 0.5, 1.0]),
        ([5.0], [2.0, 5.0, 10.0]),
        ([1e-3, 1e2], [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0]),
    ],
)
def test_a_logarithmic_axis_has_at_least_two_plain_numbers(values, ticks):
    axes = Figure().subplots()
    axes.plot(values)
    logarithmic(axes, np.array(values))
    low, high = axes.get_ylim()
    assert [float(tick) for tick in axes.get_yticks() if low <= tick <= high] == ticks
    assert low < min(values) and high > max(values)
    assert axes.yaxis.get_major_formatter()(ticks[0]) == f"{ticks[0]:g}"
