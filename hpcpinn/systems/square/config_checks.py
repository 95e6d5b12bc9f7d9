"""What single keys of a square's run description cannot tell: contradictions, keys without effect, odd numbers."""

from collections.abc import Iterator

from hpcpinn.config.declared import declared_quantity_of
from hpcpinn.config.inverse_conflicts import of_data_from_file, of_parameter
from hpcpinn.config.lines import Path
from hpcpinn.config.load import from_json
from hpcpinn.config.reading import Problem, Reading
from hpcpinn.config.unread import last_frame, unread_training
from hpcpinn.config.windows import windows_out_of_order
from hpcpinn.core.parameters import learnable_in, quantities
from hpcpinn.core.plausibility import Quantity
from hpcpinn.physics.dopamine_constants import DopamineConstants
from hpcpinn.systems.square.config import SquareConfig
from hpcpinn.wording import biology


def quantity_of(config: SquareConfig, path: Path) -> Quantity | None:
    """The quantity of a key; None where it has none."""
    match path:
        case ("parameter", int(number), "start" | "prior"):
            return quantities(DopamineConstants).get(config.parameter[number].name)
    return declared_quantity_of(config, path)


def idle(config: SquareConfig) -> Iterator[Problem]:
    """Keys that do nothing, or less than they say."""
    yield from unread_training(config.training, config.training.trainer)
    if config.run.duration is not None:
        yield from last_frame(config.run.duration, config.run.output_interval, config.run)


def conflicts(config: SquareConfig) -> Iterator[Problem]:
    """The keys that contradict each other, most basic first."""
    yield from _windows(config)
    yield from _network(config)
    yield from _parameters(config)
    yield from _data(config)
    yield from _study(config)


def _windows(config: SquareConfig) -> Iterator[Problem]:
    yield from windows_out_of_order(config)
    duration = config.run.duration
    if duration is not None and config.run.output_interval > duration:
        yield (
            ("run", "output_interval"),
            f"{biology(config.run.output_interval, 6)} is longer than the run (run.duration = {biology(duration, 6)}); "
            f"use at most {duration:g}",
        )


def _network(config: SquareConfig) -> Iterator[Problem]:
    for axis in ("space", "time"):
        features = getattr(config.network, f"features_{axis}")
        points = getattr(config.training, f"points_{axis}")
        if points is not None and points < features:
            yield (
                ("training", f"points_{axis}"),
                f"{points} points cannot tell network.features_{axis} = {features} features apart; "
                f"use at least {features}",
            )


def _parameters(config: SquareConfig) -> Iterator[Problem]:
    names = [parameter.name for parameter in config.parameter]
    for number, parameter in enumerate(config.parameter):
        name = parameter.name
        if name in names[:number]:
            yield ("parameter", number, "name"), f"{name!r} is learned twice; leave one away"
        for key in ("start", "prior"):
            if refusal := learnable_in(DopamineConstants)[name].bounds.refusal(name, getattr(parameter, key)):
                yield ("parameter", number, key), refusal
        yield from of_parameter(parameter, number, config.physics.constants)


def _data(config: SquareConfig) -> Iterator[Problem]:
    data = config.data
    if data.file is not None:
        yield from of_data_from_file(data, data.file)
        return
    if data.first >= data.last:
        yield ("data", "first"), f"{biology(data.first, 6)} is not before data.last = {biology(data.last, 6)}"
    if config.parameter and data.count < len(config.parameter):
        yield (
            ("data", "count"),
            f"{data.count} observations for {len(config.parameter)} parameters; give at least as many",
        )


def _study(config: SquareConfig) -> Iterator[Problem]:
    study = config.study
    for name in ("noise", "observations"):
        values = getattr(study, name)
        for number, value in enumerate(values):
            if value in values[:number]:
                yield ("study", name), f"{value:g} is listed twice; leave one away"
    fewest = min(study.observations)
    if fewest < len(config.parameter):
        yield (
            ("study", "observations"),
            f"{fewest} observations for {len(config.parameter)} parameters; give at least as many",
        )


SQUARE = Reading("square", SquareConfig, conflicts=conflicts, idle=idle, quantity_of=quantity_of)
"""How descriptions of squares are read."""


def square_from_json(text: str, source: str = "stored configuration") -> SquareConfig:
    """The run description that `SquareConfig.to_json` wrote.

    Raises:
        InputError: The text does not describe a run of this version.
    """
    config: SquareConfig = from_json(text, SQUARE, source)
    return config
