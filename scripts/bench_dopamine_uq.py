"""Whether posteriors of dopamine's D and k can be trusted: coverage of intervals, simulation-based calibration.

    python scripts/bench_dopamine_uq.py [--sets 120] [--seed 0] [--only calibration] [--out results/dopamine-uq]

Coverage: 95 % intervals by the no-U-turn sampler and by Laplace, over data sets of the published setting (400
observations, 2 % of the peak, flat prior); so many of them should hold the truth. Calibration (Talts et al. 2018,
arXiv:1804.06788): truths drawn from a log-normal prior, 100 observations of 5 %; the rank of the truth among the
posterior's draws, and that of its likelihood (Modrák et al. 2025, doi:10.1214/23-BA1404), is uniform. Under mpirun the
ranks share the data sets.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from scipy.stats import binom, binomtest, chisquare, kstest, norm  # noqa: E402

from hpcpinn.inference.fits import make_many_fits  # noqa: E402
from hpcpinn.inference.forward_model import data_of, rows_of, stacked  # noqa: E402
from hpcpinn.inference.gauss_newton import Prior  # noqa: E402
from hpcpinn.inference.nuts import Effort  # noqa: E402
from hpcpinn.inference.sample import make_chain  # noqa: E402
from hpcpinn.parallel.threads import loop_options  # noqa: E402
from hpcpinn.parallel.transports import make_communicator  # noqa: E402
from hpcpinn.physics.dopamine import PRESETS, exact  # noqa: E402
from hpcpinn.report.canvas import CYCLE, canvas  # noqa: E402
from hpcpinn.systems.square.inverse import by_networks, synthesised  # noqa: E402
from hpcpinn.systems.square.model import make_square_model  # noqa: E402

NAMES = ("D", "k")
CONSTANTS = PRESETS["dopamine"]
TRUTH = np.log([CONSTANTS.D, CONSTANTS.k])
FLAT = Prior(jnp.zeros(2), jnp.zeros(2))
WIDTH = np.log(1.5)
"""Of the prior that truths are drawn from, around the published constants."""
EFFORT = Effort(warmup=200, draws=504, acceptance=0.8)
FEATURES = 20
"""Enough to be far closer to the closed form than the noise."""
THIN = 8
"""One in so many draws is ranked, so that they are independent."""
BINS = 20


def posteriors(model, prior, tables, starts, numbers, seed):
    """Modes, standard deviations by Laplace, draws and how many diverged, of many data sets.

    The random numbers of a chain depend on the number of its data set, not on the rank that draws it.
    """
    networks = by_networks(model, NAMES)
    seen = stacked([data_of(networks, table) for table in tables])
    fit = make_many_fits(networks, prior)(seen, jnp.asarray(starts))
    centre = np.asarray(fit.z)
    covariance = np.linalg.inv(np.asarray(fit.fisher) + np.diag(np.asarray(prior.precision)))
    root = np.linalg.cholesky(covariance)

    def run(given):
        seen, centre, root, key = given
        chain = make_chain(networks, prior, EFFORT, centre, root)(seen, key)
        return chain.z, jnp.sum(chain.diverging)

    def likelihood(given):
        seen, z = given
        row = rows_of(networks, seen)(z)
        return -0.5 * row @ row

    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(seed), jnp.asarray(numbers))
    # One after another: chains in step would all take as many steps of the integrator as the longest.
    many = jax.jit(lambda given: jax.lax.map(run, given), compiler_options=loop_options(len(tables[0].value)))
    z, diverged = jax.tree.map(np.asarray, many((seen, jnp.asarray(centre), jnp.asarray(root), keys)))
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    likelihoods = jax.jit(jax.vmap(lambda seen, zs: jax.lax.map(lambda z: likelihood((seen, z)), zs)))
    return {"centre": centre, "sd": sd, "z": z, "diverged": diverged, "likelihoods": likelihoods, "seen": seen}


def model_error(model) -> float:
    """Largest distance from the closed form at the places of some observations."""
    table = synthesised(CONSTANTS, count=400, noise=0.02, first=0.5, last=18.0, seed=0)
    x, y, t = table["x"], table["y"], table["t"]
    at = (jnp.asarray(model.along(x)), jnp.asarray(model.along(y)))
    return float(jnp.abs(model.predicted({}, *at, t) - exact(x, y, t, CONSTANTS)).max())


def coverage(communicator, sets: int, seed: int) -> dict:
    """Share of 95 % intervals that hold the truth."""
    model = make_square_model(CONSTANTS, FEATURES)
    mine = list(range(communicator.rank, sets, communicator.size))
    tables = [
        synthesised(CONSTANTS, count=400, noise=0.02, first=0.5, last=18.0, seed=seed + number) for number in mine
    ]
    found = posteriors(model, FLAT, tables, np.tile(TRUTH, (len(mine), 1)), mine, seed + 1)
    low, high = np.quantile(found["z"], [0.025, 0.975], axis=1)
    by_draws = (low <= TRUTH) & (high >= TRUTH)
    by_laplace = np.abs(found["centre"] - TRUTH) <= norm.ppf(0.975) * found["sd"]
    shift = (found["z"].mean(axis=1) - found["centre"]) / found["sd"]
    widths = (high - low) / (2.0 * norm.ppf(0.975) * found["sd"])
    shares = communicator.share((by_draws, by_laplace, shift, widths))
    rows = [np.concatenate(parts) for parts in zip(*shares, strict=True)]
    told = {"sets": sets, "diverged": int(sum(communicator.share(int(found["diverged"].sum()))))}
    told["model_from_closed_form_over_noise"] = model_error(model) / 0.02
    for name, held in (("nuts", rows[0]), ("laplace", rows[1])):
        told[name] = {
            "coverage_95": held.mean(axis=0).tolist(),
            "known_to": [list(binomtest(int(n), sets).proportion_ci()) for n in held.sum(axis=0)],
        }
    told["mean_from_mode_over_sd"] = rows[2].mean(axis=0).tolist()
    told["width_over_laplace"] = rows[3].mean(axis=0).tolist()
    return told


def calibration(communicator, sets: int, seed: int) -> dict:
    """Ranks of truths among the draws of their posteriors."""
    model = make_square_model(CONSTANTS, FEATURES)
    prior = Prior(jnp.asarray(TRUTH), jnp.full(2, WIDTH**-2.0))
    mine = list(range(communicator.rank, sets, communicator.size))
    truths = TRUTH + WIDTH * np.random.default_rng(77 + seed).standard_normal((sets, 2))[mine]
    tables = [
        synthesised(
            CONSTANTS.replace(D=float(np.exp(z[0])), k=float(np.exp(z[1]))),
            count=100, noise=0.05, first=0.5, last=18.0, seed=20_000 + seed + number,
        )
        for number, z in zip(mine, truths, strict=True)
    ]  # fmt: skip
    found = posteriors(model, prior, tables, truths, mine, seed + 2)
    draws = found["z"][:, THIN - 1 :: THIN]
    ranks = [np.sum(draws < truths[:, None, :], axis=1)]
    with_truth = jnp.asarray(np.concatenate([draws, truths[:, None]], axis=1))
    likelihood = np.asarray(found["likelihoods"](found["seen"], with_truth))
    ranks.append(np.sum(likelihood[:, :-1] < likelihood[:, -1:], axis=1, keepdims=True))
    together = np.concatenate(communicator.share(np.concatenate(ranks, axis=1)))
    values = draws.shape[1] + 1
    told = {"sets": sets, "ranks": values, "diverged": int(sum(communicator.share(int(found["diverged"].sum()))))}
    told["posterior_sd_over_prior"] = (found["sd"].mean(axis=0) / WIDTH).tolist()
    for i, name in enumerate((*NAMES, "likelihood")):
        # Spread within a rank, so that a discrete rank is a continuous uniform number.
        smooth = (together[:, i] + np.random.default_rng(i).uniform(size=sets)) / values
        counts = np.histogram(smooth, BINS, (0.0, 1.0))[0]
        told[name] = {
            "counts": counts.tolist(), "chi_square_p": float(chisquare(counts).pvalue),
            "kolmogorov_smirnov_p": float(kstest(smooth, "uniform").pvalue),
        }  # fmt: skip
    return told


def draw(path: Path, told: dict) -> None:
    """Histograms of ranks; the band holds 95 % of the bars of uniform ranks."""
    with canvas(path, 7.4, 2.3) as figure:
        for axes, name in zip(figure.subplots(1, 3, sharey=True), (*NAMES, "likelihood"), strict=True):
            low, high = binom.ppf([0.025, 0.975], told["sets"], 1.0 / BINS)
            axes.axhspan(low, high, color=CYCLE[6], alpha=0.15, lw=0)
            edges = np.linspace(0.0, 1.0, BINS + 1)
            axes.stairs(told[name]["counts"], edges, fill=True, color=CYCLE[5], alpha=0.7)
            axes.axhline(told["sets"] / BINS, color=CYCLE[6], lw=0.6)
            axes.set(xlabel=f"rank of the truth's {name}", xlim=(0.0, 1.0))
            axes.set_title(f"χ² p = {told[name]['chi_square_p']:.2f}, KS p = {told[name]['kolmogorov_smirnov_p']:.2f}")
            axes.set_ylabel("data sets" if name == NAMES[0] else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=120, help="data sets of the coverage; twice as many for ranks")
    parser.add_argument("--seed", type=int, default=0, help="of places, times, noise, truths and chains")
    parser.add_argument("--only", choices=("coverage", "calibration"), help="one of the two studies")
    parser.add_argument("--out", type=Path, default=Path("results/dopamine-uq"))
    arguments = parser.parse_args()
    communicator = make_communicator()
    told = {}
    for name, study, sets in (
        ("coverage", coverage, arguments.sets),
        ("calibration", calibration, 2 * arguments.sets),
    ):
        if arguments.only not in (None, name):
            continue
        begun = time.perf_counter()
        told[name] = study(communicator, sets, arguments.seed) | {"seconds": time.perf_counter() - begun}
        if communicator.rank == 0:
            print(json.dumps({name: told[name]}), flush=True)
    if communicator.rank == 0:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "uq.json").write_text(json.dumps(told, indent=2) + "\n")
        if "calibration" in told:
            draw(arguments.out / "ranks.png", told["calibration"])


if __name__ == "__main__":
    main()
