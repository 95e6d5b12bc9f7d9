"""Synapses, fluxes, clamps, probes and the field on the tree."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcpinn.systems.cell.pictures.cell import cells_into
from hpcpinn.systems.cell.pictures.change import change_of, shading_of
from hpcpinn.systems.cell.pictures.marks import Mark, arrow_along, draw_marks, field_entry, legend_of_marks, marks_of
from tests.systems.cell.pictures.synthetic import config_of, run_of

ACTING = {
    "synapse": [{"site": "apic[0](1)", "start": 1.0}, {"site": "dend[0](0)", "start": 2.0}],
    "flux": [{"site": "dend[0](1)", "value": 2.0}],
    "clamp": [{"site": "root", "start": 1.0, "duration": 1.0, "current": 2.0}],
}
PROBES = ("soma", "tip", "fork")


@pytest.fixture
def result(communicator, tmp_path):
    return run_of(communicator, tmp_path, **ACTING)


def drawn_at(axes, kind):
    (line,) = (line for line in axes.lines if line.get_gid() == kind)
    return line.get_xydata()


def test_marks_stand_where_the_description_says(result):
    axes = Figure().subplots()
    draw_marks(axes, marks_of(result))
    cable = result.cable
    np.testing.assert_allclose(drawn_at(axes, "synapse"), [cable.xyz[10, 1, :2], cable.xyz[3, 0, :2]], atol=1e-9)
    np.testing.assert_allclose(drawn_at(axes, "flux"), [cable.xyz[6, 1, :2]], atol=1e-9)
    np.testing.assert_allclose(drawn_at(axes, "current clamp"), [cable.xyz[0, 0, :2]], atol=1e-9)
    expected = [0.5 * cable.xyz[0].sum(axis=0)[:2], cable.xyz[10, 1, :2], cable.xyz[3, 0, :2]]
    np.testing.assert_allclose(drawn_at(axes, "probe"), expected, atol=1e-9)
    assert [text.get_text() for text in axes.texts] == list(PROBES)


def test_a_place_that_no_probe_has_seen_is_no_probe(result):
    axes, marks = Figure().subplots(), [*marks_of(result), Mark("place", "axon[4]", (1.0, 2.0))]
    draw_marks(axes, marks)
    assert [entry.get_label() for entry in legend_of_marks(marks)][-2:] == ["3 probes", "place"]
    assert [text.get_text() for text in axes.texts] == [*PROBES, "axon[4]"]
    assert len(drawn_at(axes, "place")) == 1 and len(drawn_at(axes, "probe")) == 3


def test_a_name_stands_where_it_hides_least_of_the_tree(result):
    """Beside a branch that goes up on the right; where nothing is near, above on the right."""
    cable, at = result.cable, result.cable.xyz[9, 0, :2]  # in the branch to the right
    axes = Figure().subplots()
    draw_marks(axes, [Mark("probe", "here", tuple(at)), Mark("probe", "far", tuple(at + 1e3))], cable)
    here, far = axes.texts
    x, y = here.get_position()
    assert (x > 0.0) != (y > 0.0)  # the branch goes up on the right, and comes from below on the left
    assert far.get_position() == (6, 4)
    draw_marks(axes, [Mark("probe", "here", tuple(at))])
    assert axes.texts[-1].get_position() == (6, 4)


def test_wedges_touch_their_place_and_lie_beside_it(result):
    axes = Figure().subplots()
    draw_marks(axes, marks_of(result))
    for line in axes.lines:
        if line.get_gid() != "probe":
            corners = line.get_marker().vertices
            np.testing.assert_allclose(corners[0], 0.0)
            body = corners[1:3].mean(axis=0)
            assert np.linalg.norm(body) == pytest.approx(1.0) and np.all(corners @ body >= -1e-12)


def test_the_legend_counts_marks_and_explains_widths(result):
    assert [entry.get_label() for entry in legend_of_marks(marks_of(result))] == [
        "2 synapses", "flux", "current clamp", "3 probes"
    ]  # fmt: skip
    field = config_of(field={"magnitude": 150.0, "direction": (1.0, 1.0, 0.0)}, **ACTING)
    change = change_of(result)
    figure = Figure()
    cells_into(figure, dataclasses.replace(result, config=field), change, np.array([3]), shading_of(result, change))
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown[-2] == "field 150 V/m, towards (0.71, 0.71, 0)"
    assert shown[-1] in ("widths to scale", *(f"width: diameter × {n} (soma to scale)" for n in range(2, 101)))


@pytest.mark.parametrize(
    ("given", "pointing"),
    [
        ((150.0, (0.0, 1.0, 0.0)), (0.0, 1.0)),
        ((-150.0, (3.0, 0.0, 0.0)), (-1.0, 0.0)),
        ((9.0, (1.0, -1.0, 0.5)), (1.0, -1.0)),
    ],
)
def test_the_arrow_points_along_the_field(given, pointing):
    entry = field_entry(config_of(field={"magnitude": given[0], "direction": given[1]}))
    tip = entry.get_marker().vertices[3]
    np.testing.assert_allclose(tip, np.array(pointing) / np.linalg.norm(pointing), atol=1e-12)
    np.testing.assert_allclose(arrow_along(np.array([0.0, 2.0])).vertices[3], [0.0, 1.0], atol=1e-12)


def test_a_field_across_the_picture_points_out_of_it_or_into_it():
    towards = field_entry(config_of(field={"magnitude": 100.0, "direction": (0.0, 0.0, 2.0)}))
    away = field_entry(config_of(field={"magnitude": -100.0, "direction": (0.0, 0.0, 2.0)}))
    assert (towards.get_marker(), away.get_marker()) == (r"$\odot$", r"$\otimes$")
    assert field_entry(config_of()) is None and field_entry({}) is None


def test_places_that_the_cable_does_not_know_are_left_out(result):
    elsewhere = config_of(synapse=[{"site": "point:99999", "start": 1.0}])
    assert {mark.kind for mark in marks_of(dataclasses.replace(result, config=elsewhere))} == {"probe"}


def test_many_probes_are_marked_but_not_named(result):
    many = dataclasses.replace(
        result.probes,
        name=tuple(f"probe {n}" for n in range(100)),
        places={"piece": np.arange(100) % 11, "fraction": np.full(100, 0.5)},
    )
    axes = Figure().subplots()
    marks = marks_of(dataclasses.replace(result, probes=many, config={}))
    draw_marks(axes, marks)
    assert len(drawn_at(axes, "probe")) == 100 and not axes.texts
    assert [entry.get_label() for entry in legend_of_marks(marks)] == ["100 probes"]
