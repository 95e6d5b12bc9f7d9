"""What a command says of an inference, of draws and of a study, line by line, and what it warns of."""

from collections.abc import Mapping, Sequence

from numpy import ndarray

from hpcpinn.inference.infer import Inference
from hpcpinn.inference.sample import Sampled
from hpcpinn.inference.study import Study
from hpcpinn.io.draws import netcdf_path
from hpcpinn.io.estimates import Estimates
from hpcpinn.wording import as_typed, counted, duration


def lines_of_inference(outcome: Inference, output: str) -> list[str]:
    """What an inference found.

    Args:
        outcome: The inference.
        output: The result file.
    """
    result = outcome.result
    lines = [_data(outcome)]
    for i, name in enumerate(result.names):
        shown, unit = name.ljust(_width(result)), _unit(result, i)
        sd, data_sd = (_deviation(x[i], result.measure[i], unit) for x in (result.sd_log, result.data_sd_log))
        if result.determined[i]:
            lines.append(
                f"{shown}{result.estimate[i]:.4g}{unit}, 95 % {result.low[i]:.4g} to {result.high[i]:.4g} "
                f"(sd {sd}, by the data alone {data_sd}{_truth(result, i)})"
            )
            continue
        of = "it" if result.measure[i] else "its logarithm"
        plain = data_sd if result.measure[i] else f"{result.data_sd_log[i]:.2g}"
        lines.append(
            f"{shown}not determined by the data: other values of it fit them as well (standard deviation of "
            f"{of} {plain}, linearised); fix it, or give more data"
        )
    for i in range(len(result.names)):
        for j in range(i):
            value = outcome.posterior.correlation[i, j]
            if value == value:
                lines.append(f"correlation {result.names[j]}, {result.names[i]}: {value:.2f}")
    return [
        *lines,
        *labelled(outcome.verdict.lines),
        f"cost        {counted(outcome.steps, 'step')} in {duration(outcome.seconds_fit)}, with compilation "
        f"{duration(outcome.seconds)}",
        f"result      {output}",
        f"next        hpcpinn plot {as_typed(output)}",
    ]


def lines_of_draws(outcome: Sampled, output: str) -> list[str]:
    """What draws from a posterior say.

    Args:
        outcome: The posterior.
        output: The result file.
    """
    inference, draws, figures = outcome.inference, outcome.draws, outcome.draws.figures
    result = inference.result
    lines = [_data(inference)]
    for i, name in enumerate(result.names):
        low, high = draws.interval[i]
        by_data = "" if result.determined[i] else "; the data alone do not determine it"
        lines.append(
            f"{name.ljust(_width(result))}{draws.median[i]:.4g}{_unit(result, i)}, 95 % {low:.4g} to {high:.4g} "
            f"(Laplace {result.low[i]:.4g} to {result.high[i]:.4g}{_truth(result, i)}){by_data}"
        )
    what = "draws" if draws.is_weighted else "chains, with compilation"
    if draws.is_weighted:
        lost = f", {outcome.lost} could not be solved" if outcome.lost else ""
        lines.append(
            f"draws       {draws.weight.size}, effective {figures['effective']:.0f}, Pareto k of their weights "
            f"{figures['shape']:.2f}{lost}"
        )
    else:
        chains, kept = draws.weight.shape
        lines.append(
            f"chains      {chains} of {kept} draws, no divergence, R-hat at most {figures['rhat'].max():.4f}, "
            f"effective draws at least {figures['ess_bulk'].min():.0f} (tails {figures['ess_tail'].min():.0f})"
        )
    if outcome.placement is not None:
        x, y, t = outcome.placement.best
        lines.append(
            f"measure     next at x = {x:.2f} um, y = {y:.2f} um, t = {t:.2f} ms: one more observation there shrinks "
            f"the log-volume by {outcome.placement.gain:.4f}"
        )
    return [
        *lines,
        *labelled(outcome.verdict.lines),
        f"cost        {duration(outcome.seconds_sampling)} for the {what}",
        f"result      {output}, {netcdf_path(output)}",
        f"next        hpcpinn plot {as_typed(output)}",
    ]


def warnings_of(outcome: Inference) -> list[str]:
    """What is wrong with the model of an inference, or the noise of its data; nothing where all is well."""
    warnings, check = [], outcome.check
    if check is not None and check.model_is_wrong:
        worst = min(check.each, key=lambda name: check.each[name])
        warnings.append(
            f"the model could hardly have made these data (posterior predictive check, most by {worst}: "
            f"{check.each[worst]:.2g} < {check.level:g}); a part of it is missing or wrong, and the intervals are "
            "not to be trusted"
        )
    if not outcome.verdict.fits:
        warnings.append(
            f"the model misses the data by {outcome.misfit**0.5:.1f} times their noise; the model or the noise is "
            "wrong, and the intervals are too narrow"
        )
    warnings += [
        f"the most probable {sentence}: the data or the model are wrong, or a prior (parameter.prior) is missing"
        for sentence in outcome.outside
    ]
    return warnings


def lines_of_study(done: Study, output: str) -> list[str]:
    """What a study found, a line for every level of noise and number of observations.

    Args:
        done: The study.
        output: The result file.
    """
    result = done.result
    lines = [
        f"{result.n_draws} data sets a line: root-mean-square error over the Cramer-Rao bound (95 % interval), and how "
        "many 95 % intervals hold the truth; without noise the largest error",
        "noise  observations" + "".join(f"  {name:<28}" for name in result.names).rstrip(),
    ]
    for n, noise in enumerate(result.noise):
        for m, observations in enumerate(result.observations):
            cell = {name: values[n, m] for name, values in result.cells.items()}
            shown = "".join(f"  {_of_cell(cell, number, noise):<28}" for number in range(len(result.names)))
            lines.append(f"{100 * noise:>4g} %  {observations:>11}{shown.rstrip()}")
    return [
        *lines,
        f"cost        {duration(done.seconds)}, with compilation",
        f"result      {output}",
        f"next        hpcpinn plot {as_typed(output)}",
    ]


def warnings_of_study(done: Study) -> list[str]:
    """What is to be known of the figures of a study; nothing where all is well."""
    warnings, cells = [], done.result.cells
    for name, share in zip(done.result.names, cells["open"].max(axis=(0, 1)), strict=True):
        if share and name not in done.with_prior:
            warnings.append(
                f"{name}: up to {100 * share:.3g} % of the data sets of a line leave it open, and its errors then have "
                "no bound; give a prior (parameter.prior)"
            )
    unfinished = 1.0 - float(cells["converged"].min())
    if unfinished:
        warnings.append(
            f"up to {100 * unfinished:.3g} % of the fits of a line did not come to their end (inference.max_steps)"
        )
    return warnings


def _of_cell(cell: Mapping[str, ndarray], number: int, noise: float) -> str:
    if not noise:
        return f"{cell['error_largest'][number]:.1e}"
    ratio, low, high = (cell[name][number] for name in ("ratio", "ratio_low", "ratio_high"))
    return f"{ratio:.3g} ({low:.3g} to {high:.3g}) {100 * cell['coverage'][number]:.0f} %"


def labelled(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Sentences with what they are about; a label that repeats is said once."""
    said, shown = "", []
    for label, text in lines:
        shown.append(f"{label if label != said else '':<12}{text}")
        said = label
    return shown


def _data(outcome: Inference) -> str:
    return f"data        {outcome.source}, mean square misfit over noise {outcome.misfit:.2f}"


def _width(result: Estimates) -> int:
    return max(12, *(len(name) + 2 for name in result.names))


def _unit(result: Estimates, number: int) -> str:
    return "" if result.units[number] == "1" else f" {result.units[number]}"


def _truth(result: Estimates, number: int) -> str:
    truth = result.truth[number]
    return f", truth {truth:.4g}" if truth == truth else ""


def _deviation(sd: float, measure: float, unit: str) -> str:
    """A standard deviation: of a positive constant in percent, of another in its unit."""
    return f"{sd * measure:.2g}{unit}" if measure else f"{100 * sd:.1f} %"
