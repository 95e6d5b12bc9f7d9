"""D and k of dopamine over many noise draws: held against the Cramér-Rao bound and the closed form as model.

    python scripts/bench_dopamine_inverse.py [--draws 400] [--studies [--prior FACTOR]] [--out results/dopamine-studies]

Every draw has its own places, times and noise (published setting: 400 observations, 2 % of the peak). For
both settings: root-mean-square error of the logarithms over the bound, bias, coverage of 95 % intervals,
distance of the estimate from the one with the closed form as model, starts 0.5 to 2 times off, time.
--studies: instead, noise 0, 1, 2, 5, 10 % times 100 to 1600 observations, errors of the constants themselves over
the bound with 95 % intervals, as JSON and a picture; under mpirun the ranks share the cells. With --prior the fits
have log-normal priors around half the true D and twice the true k that allow this factor (68 %; 3 is what
`hpcpinn infer` takes where a prior is given); the bound remains that of the data alone.
"""

import argparse
import json
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from scipy.stats import chi2, norm  # noqa: E402

from hpcpinn.inference.gauss_newton import Prior  # noqa: E402
from hpcpinn.inference.observations import synthesised  # noqa: E402
from hpcpinn.inference.square_fit import (  # noqa: E402
    by_closed_form,
    by_networks,
    make_fit,
    make_many_fits,
    seen_by_networks,
    seen_exactly,
    stacked,
)
from hpcpinn.inference.square_model import make_square_model  # noqa: E402
from hpcpinn.parallel.communicator import make_communicator  # noqa: E402
from hpcpinn.physics.dopamine import PRESETS, DopamineConstants, exact  # noqa: E402
from hpcpinn.report.canvas import CYCLE, canvas  # noqa: E402

NAMES = ("D", "k")
FLAT = Prior(jnp.zeros(2), jnp.zeros(2))
PUBLISHED_START = np.log([0.30, 0.04])
FEATURES = 30


@dataclass(frozen=True)
class Setting:
    """One of the published settings.

    Attributes:
        constants: The truth.
        last: Until when observations are made, ms.
    """

    constants: DopamineConstants
    last: float


SETTINGS = (
    Setting(PRESETS["dopamine"], 18.0),
    Setting(PRESETS["dopamine-slow"], 18.0),
    Setting(PRESETS["dopamine-slow"], 45.0),
)


def tables(setting: Setting, draws: int, count: int, noise: float):
    """Observations of every draw."""
    return [
        synthesised(setting.constants, count=count, noise=noise, first=0.5, last=setting.last, seed=seed)
        for seed in range(draws)
    ]


def bounds(fisher: np.ndarray) -> np.ndarray:
    """Standard deviations of the logarithms, (draws, 2)."""
    return np.sqrt(np.diagonal(np.linalg.inv(fisher), axis1=1, axis2=2))


def root_mean_square(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(values**2, axis=0))


def study(setting: Setting, draws: int, count: int, noise: float, closed_form: bool = True) -> dict:
    """All figures of one kind of data."""
    model = make_square_model(setting.constants, FEATURES)
    drawn = tables(setting, draws, count, noise)
    seen = stacked([seen_by_networks(model, table) for table in drawn])
    truth = np.log([setting.constants.D, setting.constants.k])
    many = make_many_fits(by_networks(model), NAMES, FLAT)
    starts = jnp.tile(jnp.asarray(PUBLISHED_START), (draws, 1))
    fit = jax.block_until_ready(many(seen, starts))
    begun = time.perf_counter()
    fit = jax.block_until_ready(many(seen, starts))
    seconds = (time.perf_counter() - begun) / draws
    at_truth = make_many_fits(by_networks(model), NAMES, FLAT, max_steps=0)
    bound = bounds(np.asarray(at_truth(seen, jnp.tile(jnp.asarray(truth), (draws, 1))).fisher))
    z, sd = np.asarray(fit.z), bounds(np.asarray(fit.fisher))
    error = z - truth
    ratio = root_mean_square(error) / root_mean_square(bound)
    interval = np.sqrt(chi2.ppf([0.025, 0.975], draws) / draws)
    covered = np.abs(error) <= norm.ppf(0.975) * sd
    found = {
        "setting": setting.constants.name, "last": setting.last, "draws": draws, "observations": count,
        "noise": noise, "bound": root_mean_square(bound).tolist(), "rms_over_bound": ratio.tolist(),
        "sampling_interval_of_a_perfect_method": interval.tolist(),
        "bias_over_sd": (error.mean(axis=0) / root_mean_square(bound)).tolist(),
        "coverage_95": covered.mean(axis=0).tolist(), "converged": float(np.asarray(fit.converged).mean()),
        "seconds_per_inversion_batched": seconds,
    }  # fmt: skip
    if closed_form:
        exactly = make_many_fits(by_closed_form(setting.constants), NAMES, FLAT)
        other = exactly(stacked([seen_exactly(table) for table in drawn]), starts)
        found["from_closed_form_over_sd"] = root_mean_square((z - np.asarray(other.z)) / sd).tolist()
        found["from_closed_form_over_sd_worst"] = float(np.abs((z - np.asarray(other.z)) / sd).max())
    return found


def starts_off(setting: Setting, count: int = 20) -> dict:
    """One data set from starts between half and twice the truth, one at a time."""
    model = make_square_model(setting.constants, FEATURES)
    table = tables(setting, 1, 400, 0.02)[0]
    one, seen = make_fit(by_networks(model), NAMES, FLAT), seen_by_networks(model, table)
    truth = np.log([setting.constants.D, setting.constants.k])
    corners = [(a, b) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    inside = np.random.default_rng(0).uniform(-1.0, 1.0, (count - len(corners), 2))
    starts = truth + np.log(2.0) * np.concatenate([corners, inside])
    jax.block_until_ready(one(seen, jnp.asarray(starts[0])))
    begun = time.perf_counter()
    fits = [jax.block_until_ready(one(seen, jnp.asarray(start))) for start in starts]
    seconds = (time.perf_counter() - begun) / count
    z = np.array([fit.z for fit in fits])
    sd = bounds(np.asarray(fits[0].fisher)[None])[0]
    return {
        "starts": count, "converged": int(sum(bool(fit.converged) for fit in fits)),
        "spread_over_sd": float(np.abs((z - z[0]) / sd).max()),
        "most_steps": int(max(int(fit.steps) for fit in fits)), "seconds_per_inversion": seconds,
    }  # fmt: skip


COUNTS = (100, 200, 400, 800, 1600)
NOISES = (0.0, 0.01, 0.02, 0.05, 0.10)
TOGETHER = 20
"""Data sets that are fitted at once, so that large ones fit into memory and caches."""
STUDY_FEATURES = 20
"""Of the model: within 5e-8 of the closed form at the observations."""
LESS = 1e-3
"""Noise that data without any are said to have."""


class Studies:
    """The studies, part by part; what is compiled for a number of observations is kept."""

    def __init__(self, setting: Setting, prior: Prior = FLAT):
        self.setting, self.prior = setting, prior
        self.model = make_square_model(setting.constants, STUDY_FEATURES)
        self.truth = np.log([setting.constants.D, setting.constants.k])
        self.fit = make_many_fits(by_networks(self.model), NAMES, prior)
        self.at_truth = make_many_fits(by_networks(self.model), NAMES, FLAT, max_steps=0)

    def part(self, count: int, first: int) -> dict[float, tuple[np.ndarray, ...]]:
        """Logarithms, their standard deviations, bounds and convergence of some draws, by noise.

        A draw has the same places, times and normal numbers whatever its noise.
        """
        drawn = [
            synthesised(self.setting.constants, count=count, noise=1.0, first=0.5, last=self.setting.last, seed=seed)
            for seed in range(first, first + TOGETHER)
        ]
        seen = stacked([seen_by_networks(self.model, table) for table in drawn])
        constants = self.setting.constants
        clean = jnp.stack([exact(table.x, table.y, table.t, constants) for table in drawn])
        truth = jnp.tile(jnp.asarray(self.truth), (TOGETHER, 1))
        found = {}
        for noise in NOISES:
            values = clean + noise * (seen.value - clean)
            data = seen._replace(value=values, noise=jnp.full_like(clean, (noise or LESS) * constants.C0))
            fit = self.fit(data, jnp.tile(jnp.asarray(PUBLISHED_START), (TOGETHER, 1)))
            bound = bounds(np.asarray(self.at_truth(data, truth).fisher))
            sd = bounds(np.asarray(fit.fisher) + np.diag(np.asarray(self.prior.precision)))
            found[noise] = (np.asarray(fit.z), sd, bound, np.asarray(fit.converged))
        return found

    def cell(self, count: int, noise: float, parts: list[tuple[np.ndarray, ...]]) -> dict:
        """Errors of D and k relative to the truth, over the Cramér-Rao bound of their places and times."""
        z, sd, bound, converged = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        draws, error = len(z), np.expm1(z - self.truth)
        told = {"noise": noise, "observations": count, "draws": draws, "converged": float(converged.mean())}
        if not noise:
            return told | {"largest_error": float(np.abs(error).max())}
        ratio = root_mean_square(error) / root_mean_square(bound)
        in_logarithms = root_mean_square(z - self.truth) / root_mean_square(bound)
        return told | {
            "bound": root_mean_square(bound).tolist(), "ratio": ratio.tolist(),
            "ratio_95": resampled(error, bound).tolist(), "ratio_of_logarithms": in_logarithms.tolist(),
            "coverage_95": np.mean(np.abs(z - self.truth) <= norm.ppf(0.975) * sd, axis=0).tolist(),
            "error_percentiles": percentiles(error), "undetermined": np.mean(sd > 1.0, axis=0).tolist(),
        }  # fmt: skip


def resampled(error: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """95 % intervals of the ratio of error and bound, by resampling the draws, (constants, 2)."""
    rows = np.random.default_rng(0).integers(len(error), size=(4000, len(error)))
    ratios = np.sqrt(np.mean(error[rows] ** 2, axis=1) / np.mean(bound[rows] ** 2, axis=1))
    return np.percentile(ratios, [2.5, 97.5], axis=0).T


def percentiles(error: np.ndarray) -> list:
    """2.5, 50 and 97.5 % of the errors of every constant."""
    return np.percentile(error, [2.5, 50.0, 97.5], axis=0).T.tolist()


def draw_studies(path: Path, cells: list[dict]) -> None:
    """Ratio of error and bound against the number of observations, and the band of errors, by noise."""
    with canvas(path, 7.0, 4.4) as figure:
        panels = figure.subplots(2, 2, sharex=True, sharey="row")
        for column, name in enumerate(NAMES):
            over, errors = panels[:, column]
            for number, noise in enumerate(NOISES[1:]):
                row = [cell for cell in cells if cell["noise"] == noise]
                colour, legend = CYCLE[number], f"{100 * noise:g} %"
                # Side by side, or the bars would hide each other.
                counts = np.array([cell["observations"] for cell in row]) * 1.06 ** (number - 1.5)
                ratio = np.array([cell["ratio"][column] for cell in row])
                low, high = np.array([cell["ratio_95"][column] for cell in row]).T
                bars = [ratio - low, high - ratio]
                over.errorbar(counts, ratio, bars, fmt="o", ms=3, lw=1, color=colour, label=legend)
                band = 100.0 * np.array([cell["error_percentiles"][column] for cell in row])
                errors.fill_between(counts, band[:, 0], band[:, 2], color=colour, alpha=0.2, lw=0)
                errors.plot(counts, band[:, 1], color=colour)
            over.axhline(1.0, color=CYCLE[6], lw=0.6)
            over.axhline(1.1, color=CYCLE[6], lw=0.6, ls="--")
            over.set(xscale="log", title=name, ylabel="" if column else "error / Cramér-Rao bound")
            errors.axhline(0.0, color=CYCLE[6], lw=0.6)
            errors.set(xlabel="observations", ylabel="" if column else "error (%), median and 95 %")
            errors.set_xticks(COUNTS, [str(count) for count in COUNTS])
            errors.minorticks_off()
        panels[0, 1].legend(title="noise", ncols=2)


def studies(draws: int, folder: Path, factor: float | None) -> None:
    """Every cell, its draws dealt to the ranks. Collective over all ranks."""
    communicator = make_communicator()
    prior = FLAT
    if factor is not None:
        truth = SETTINGS[0].constants
        centre = jnp.log(jnp.array([0.5 * truth.D, 2.0 * truth.k]))
        prior = Prior(centre, jnp.full(2, np.log(factor) ** -2))
    work = Studies(SETTINGS[0], prior)
    every = list(product(COUNTS, range(0, draws, TOGETHER)))
    mine = {}
    for count, first in every[communicator.rank :: communicator.size]:
        mine[count, first] = work.part(count, first)
        if first == 0:
            print(f"{count} observations", flush=True)
    found = communicator.gather(mine)
    if found is None:
        return
    parts = {place: part for share in found for place, part in share.items()}
    cells = [
        work.cell(count, noise, [parts[place][noise] for place in every if place[0] == count])
        for noise, count in product(NOISES, COUNTS)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "studies.json").write_text(json.dumps(cells, indent=2) + "\n")
    draw_studies(folder / "studies.png", cells)
    for cell in cells:
        shown = f"{cell['largest_error']:.1e}" if not cell["noise"] else " ".join(
            f"{name} {ratio:.3f} ({low:.3f} to {high:.3f})"
            for name, ratio, (low, high) in zip(NAMES, cell["ratio"], cell["ratio_95"], strict=True)
        )
        print(f"{100 * cell['noise']:>3g} % {cell['observations']:>5}  {shown}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--studies", action="store_true")
    parser.add_argument("--prior", type=float, help="factor of the priors of --studies", metavar="FACTOR")
    parser.add_argument("--out", type=Path, default=Path("results/dopamine-studies"), help="where studies go")
    arguments = parser.parse_args()
    if arguments.studies:
        studies(arguments.draws, arguments.out, arguments.prior)
        return
    for setting in SETTINGS:
        print(json.dumps(study(setting, arguments.draws, 400, 0.02)), flush=True)
    print(json.dumps(starts_off(SETTINGS[0])), flush=True)


if __name__ == "__main__":
    main()
