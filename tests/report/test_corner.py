"""The corner plot of a posterior."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from scipy.stats import chi2

from hpcpinn.io.draws import Draws
from hpcpinn.io.estimates import Estimates
from hpcpinn.report.corner import Cloud, density_of, draw_corner, shown_constants

SD, CENTRE = np.array([0.2, 0.1]), np.log([2.0, 30.0])
COVARIANCE = np.array([[0.04, 0.012], [0.012, 0.01]])


def estimates(truth=(2.2, np.nan), count=2):
    """A log-normal posterior of two constants, or of many with nearly no correlation."""
    sd, centre, covariance = SD, CENTRE, COVARIANCE
    if count > 2:
        sd, centre, covariance = np.full(count, 0.1), np.zeros(count), 0.01 * np.eye(count)
        covariance[0, count - 1] = covariance[count - 1, 0] = 0.009
    names = tuple(f"$k_{n}$" for n in range(count))
    return Estimates(
        names=names, units=("uM",) * count, start=np.exp(centre + 0.5 * sd), estimate=np.exp(centre),
        low=np.exp(centre - 1.96 * sd), high=np.exp(centre + 1.96 * sd), sd_log=sd, data_sd_log=sd,
        determined=np.ones(count, bool), measure=np.zeros(count), covariance=covariance,
        path=np.exp(centre)[None], config="{}", truth=np.asarray(truth, float),
    )  # fmt: skip


def drawn_from(value, weight, figures):
    ones, every = np.ones(value.shape[-1]), np.arange(weight.size)
    return Draws(value, weight, np.zeros_like(weight), every, ones, np.stack([ones, ones], axis=1), figures)


def weighted(n=4000):
    """Draws from twice the spread of the posterior, weighted to be draws from it."""
    rng = np.random.default_rng(2)
    z = rng.multivariate_normal(CENTRE, 4.0 * COVARIANCE, n)
    off = np.einsum("ni,ij,nj->n", z - CENTRE, np.linalg.inv(COVARIANCE), z - CENTRE)
    weight = np.exp(-0.5 * off * (1.0 - 0.25))
    weight /= weight.sum()
    figures = {"shape": 0.1, "effective": 1.0 / np.sum(weight**2)}
    return drawn_from(np.exp(z)[None], weight[None], figures)


def alike(z):
    """Chains of equal weight."""
    value = np.exp(z).reshape(4, -1, z.shape[1])
    return drawn_from(value, np.full(value.shape[:2], 1.0 / len(z)), {"rhat": np.ones(z.shape[1])})


def drawn(tmp_path, monkeypatch, result, draws):
    """The figure of a corner plot."""
    kept = []
    saved = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (kept.append(figure), saved(figure, *a, **k)))
    draw_corner(tmp_path / "corner.png", result, draws)
    return kept[0]


def test_weights_are_honoured(tmp_path, monkeypatch):
    draws = weighted()
    cloud = Cloud.of(draws)
    for number in range(2):
        for probability, z in ((0.025, -1.96), (0.5, 0.0), (0.975, 1.96)):
            found = np.log(cloud.quantile(number, probability))
            assert found == pytest.approx(CENTRE[number] + z * SD[number], abs=0.02)
    figure = drawn(tmp_path, monkeypatch, estimates(), draws)
    heights = np.array([bar.get_height() for bar in figure.axes[0].patches])
    edges = np.array([bar.get_x() for bar in figure.axes[0].patches])
    middle, width = edges + 0.5 * np.diff(edges)[0], np.diff(edges)[0]
    mean = np.sum(middle * heights) * width
    assert np.sum(heights) * width == pytest.approx(1.0)
    assert mean == pytest.approx(np.exp(CENTRE[0] + 0.5 * SD[0] ** 2), rel=0.02), "of the posterior, not of the draws"


def test_regions_hold_the_shares_they_are_said_to():
    smooth = density_of(estimates(), Cloud.of(weighted()), 0, 1)
    inverse = np.linalg.inv(COVARIANCE)
    normal = 1.0 / (2.0 * np.pi * np.sqrt(np.linalg.det(COVARIANCE)))
    for level, probability in zip(smooth.levels, (0.95, 0.5), strict=True):
        assert level == pytest.approx(normal * np.exp(-0.5 * chi2.ppf(probability, 2)), rel=0.25)
    first, second = np.meshgrid(np.log(smooth.first) - CENTRE[0], np.log(smooth.second) - CENTRE[1])
    off = np.einsum("ijk,kl,ijl->ij", np.stack([first, second], -1), inverse, np.stack([first, second], -1))
    inside, truly = smooth.density > smooth.levels[0], off < chi2.ppf(0.95, 2)
    assert np.mean(inside != truly) < 0.15 * np.mean(truly)


def test_a_corner_of_two_constants(tmp_path, monkeypatch):
    z = np.random.default_rng(1).multivariate_normal(CENTRE, COVARIANCE, 2000)
    figure = drawn(tmp_path, monkeypatch, estimates(), alike(z))
    first, above, pair, second = figure.axes
    assert not above.axison
    assert pair.get_xlim() == first.get_xlim()
    assert (pair.get_xlabel(), pair.get_ylabel(), second.get_xlabel()) == ("$k_0$ (µM)", "$k_1$ (µM)", "$k_1$ (µM)")
    assert any(isinstance(drawn, ContourSet) for drawn in pair.collections)
    assert any(isinstance(drawn, PathCollection) for drawn in pair.collections)
    at = [line.get_xdata()[0] for line in first.lines if len(line.get_xdata()) == 2]
    assert at == pytest.approx([*np.exp(np.quantile(z[:, 0], (0.025, 0.975))), 2.2, 2.0 * np.exp(0.1)], rel=5e-3)
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "truth" in shown and "start of the search, where in sight" in shown


def test_truth_is_marked_where_it_is_known_and_in_sight(tmp_path, monkeypatch):
    z = np.random.default_rng(1).multivariate_normal(CENTRE, COVARIANCE, 400)

    def crosses(truth):
        figure = drawn(tmp_path, monkeypatch, estimates(truth), alike(z))
        return [tuple(line.get_xydata()[0]) for line in figure.axes[2].lines if line.get_marker() == "x"]

    assert crosses((2.2, 31.0)) == [(2.2, 31.0)]
    assert crosses((2.2, np.nan)) == []
    assert crosses((9.0, 31.0)) == []


def test_draws_on_a_line_and_a_single_constant_are_drawn(tmp_path, monkeypatch):
    z = CENTRE + np.outer(np.linspace(-0.2, 0.2, 400), [1.0, 1.0])
    figure = drawn(tmp_path, monkeypatch, estimates(), alike(z))
    assert not any(isinstance(drawn, ContourSet) for drawn in figure.axes[2].collections)


def test_of_many_constants_those_that_depend_on_each_other_are_drawn():
    result = estimates(np.full(12, np.nan), 12)
    chosen = shown_constants(result)
    assert len(chosen) == 8 and {0, 11} <= set(chosen.tolist())
    assert shown_constants(estimates()).tolist() == [0, 1]
