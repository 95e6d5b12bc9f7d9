"""Noise and density studies: many data sets, fitted in batches that the ranks share."""

import time as clock
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hpcpinn.config.square import SquareConfig
from hpcpinn.errors import InputError
from hpcpinn.inference.study import BATCH, Cell, Fitter, Outcomes, Setting, joined, summarised
from hpcpinn.io.metrics import write_metrics
from hpcpinn.io.study import FORMAT, StudyResult, write_study
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.workflows import estimates
from hpcpinn.workflows.infer import UNITS, square_model, starts_and_prior, truth_of


@dataclass(frozen=True)
class Study:
    """A study and its cost.

    Attributes:
        result: What was found; also in the result file.
        seconds: Wall time of the whole, compilation included.
    """

    result: StudyResult
    seconds: float


def refuse_unusable_places(config: SquareConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a result cannot, or must not, be written.

    Raises:
        InputError: It is an input, a directory or a file of another kind, or cannot be made.
    """
    estimates.refuse_unusable_places(config.run.output, {"the job file": job}, FORMAT)


def study(config: SquareConfig, communicator: Communicator, progress: ProgressDisplay = NO_PROGRESS) -> Study:
    """Studies the estimates of a run description's constants and writes the result. Collective over all ranks.

    Batches of draws are dealt to the ranks; a draw depends on its number and data.seed alone.

    Args:
        config: The run description.
        communicator: All ranks.
        progress: Told how many of a rank's batches are done, on every rank.

    Raises:
        InputError: No parameters, or data from a file.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    progress.doing("setting up")
    setting = _setting(config)
    outcomes = _all_outcomes(config, communicator, setting, progress)
    result = _result(config, setting, outcomes)
    write_study(config.run.output, communicator, result)
    done = Study(result, clock.perf_counter() - began)
    write_metrics(config.run.output, communicator, figures(done))
    return done


def _setting(config: SquareConfig) -> Setting:
    if not config.parameter:
        raise InputError("[[parameter]]: none is given, so there is nothing to study; name at least one, such as D")
    if config.data.file is not None:
        raise InputError(
            f"data.file = {config.data.file!r}: a study makes its own data, of known truth; leave it away",
            ("data", "file"),
        )
    start, prior = starts_and_prior(config)
    return Setting(
        truth=truth_of(config),
        model=square_model(config),
        names=tuple(parameter.name for parameter in config.parameter),
        start=start,
        prior=prior,
        first=config.data.first,
        last=config.data.last,
        seed=config.data.seed,
        tolerance=config.inference.tolerance,
        max_steps=config.inference.max_steps,
    )


def _all_outcomes(
    config: SquareConfig, communicator: Communicator, setting: Setting, progress: ProgressDisplay
) -> dict[tuple[int, int], Outcomes]:
    """Of every noise and number of observations, on every rank. Collective over all ranks."""
    settings, fitter = config.study, Fitter(setting)
    # The largest first, so that ranks end together.
    batches = list(product(sorted(settings.observations, reverse=True), range(0, settings.draws, BATCH)))
    mine = batches[communicator.rank :: communicator.size]
    found = {}
    progress.doing("fitting data sets", len(mine), "batches of this rank")
    for number, (observations, first) in enumerate(mine):
        found[observations, first] = fitter.batch(observations, first, settings.noise)
        progress.done(number + 1)
    every = {place: outcomes for share in communicator.share(found) for place, outcomes in share.items()}
    return {
        (n, m): joined([every[observations, first][n] for first in range(0, settings.draws, BATCH)]).first(
            settings.draws
        )
        for n, (m, observations) in product(range(len(settings.noise)), enumerate(settings.observations))
    }


def _result(config: SquareConfig, setting: Setting, outcomes: dict[tuple[int, int], Outcomes]) -> StudyResult:
    settings = config.study
    shape = (len(settings.noise), len(settings.observations))
    above = config.inference.undetermined_above

    def stacked(entries: dict[tuple[int, int], Any], name: str) -> Any:
        rows = [[getattr(entries[n, m], name) for m in range(shape[1])] for n in range(shape[0])]
        return np.array(rows)

    cells = {(n, m): summarised(one, setting.true_log, settings.noise[n], above) for (n, m), one in outcomes.items()}
    draws = {field.name: stacked(outcomes, field.name) for field in fields(Outcomes)}
    return StudyResult(
        names=setting.names,
        units=tuple(UNITS[name] for name in setting.names),
        truth=np.exp(setting.true_log),
        start=np.exp(setting.start),
        noise=np.array(settings.noise),
        observations=np.array(settings.observations),
        draws={"estimate": np.exp(draws.pop("z"))} | draws,
        cells={field.name: stacked(cells, field.name) for field in fields(Cell)},
        config=config.to_json(),
    )


def figures(done: Study) -> dict[str, Any]:
    """The numbers of a study, for its file of metrics."""
    result = done.result
    return {
        "parameters": list(result.names),
        "noise": result.noise,
        "observations": result.observations,
        "draws": result.n_draws,
        "cells": dict(result.cells),
        "seconds": done.seconds,
    }
