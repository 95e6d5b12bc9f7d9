"""D and k of dopamine over many noise draws: held against the Cramér-Rao bound and the closed form as model.

    python scripts/bench_dopamine_inverse.py [--draws 400]

Every draw has its own places, times and noise (published setting: 400 observations, 2 % of the peak). For
both settings: root-mean-square error of the logarithms over the bound, bias, coverage of 95 % intervals,
distance of the estimate from the one with the closed form as model, starts 0.5 to 2 times off, time. Other noise
and numbers of observations: `hpcpinn uq jobs/dopamine_study.toml --study`.
"""

import argparse
import json
import time
from dataclasses import dataclass

import numpy as np

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from scipy.stats import chi2, norm  # noqa: E402

from hpcpinn.inference.fits import make_fit, make_many_fits  # noqa: E402
from hpcpinn.inference.forward_model import data_of, stacked  # noqa: E402
from hpcpinn.inference.gauss_newton import Prior  # noqa: E402
from hpcpinn.physics.dopamine import PRESETS, DopamineConstants  # noqa: E402
from hpcpinn.systems.square.inverse import by_closed_form, by_networks, synthesised  # noqa: E402
from hpcpinn.systems.square.model import make_square_model  # noqa: E402

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
    model = by_networks(make_square_model(setting.constants, FEATURES), NAMES)
    drawn = tables(setting, draws, count, noise)
    seen = stacked([data_of(model, table) for table in drawn])
    truth = np.log([setting.constants.D, setting.constants.k])
    many = make_many_fits(model, FLAT)
    starts = jnp.tile(jnp.asarray(PUBLISHED_START), (draws, 1))
    fit = jax.block_until_ready(many(seen, starts))
    begun = time.perf_counter()
    fit = jax.block_until_ready(many(seen, starts))
    seconds = (time.perf_counter() - begun) / draws
    at_truth = make_many_fits(model, FLAT, max_steps=0)
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
        exact = by_closed_form(setting.constants, NAMES)
        other = make_many_fits(exact, FLAT)(stacked([data_of(exact, table) for table in drawn]), starts)
        found["from_closed_form_over_sd"] = root_mean_square((z - np.asarray(other.z)) / sd).tolist()
        found["from_closed_form_over_sd_worst"] = float(np.abs((z - np.asarray(other.z)) / sd).max())
    return found


def starts_off(setting: Setting, count: int = 20) -> dict:
    """One data set from starts between half and twice the truth, one at a time."""
    model = by_networks(make_square_model(setting.constants, FEATURES), NAMES)
    one, seen = make_fit(model, FLAT), data_of(model, tables(setting, 1, 400, 0.02)[0])
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    arguments = parser.parse_args()
    for setting in SETTINGS:
        print(json.dumps(study(setting, arguments.draws, 400, 0.02)), flush=True)
    print(json.dumps(starts_off(SETTINGS[0])), flush=True)


if __name__ == "__main__":
    main()
