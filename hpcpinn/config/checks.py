"""What single keys cannot tell: contradictions between keys, and defaults that follow others."""

from collections import Counter
from collections.abc import Iterator

from hpcpinn.config.lines import Path
from hpcpinn.config.schema import RunConfig

Problem = tuple[Path, str]
"""A key and what is wrong with it."""

_FOLLOW_DURATION = (
    ("window", "longest"),
    ("window", "first"),
    ("window", "shortest"),
    ("run", "output_interval"),
    ("run", "probe_interval"),
)
"""Times that, unless given, shrink to a run that is shorter than their default."""


def fit_defaults(config: RunConfig) -> RunConfig:
    """A copy in which no default is longer than the run; what the user gave stays as it is."""
    changed: dict[str, dict[str, float]] = {}
    for table, key in _FOLLOW_DURATION:
        section = getattr(config, table)
        if key not in section.model_fields_set and getattr(section, key) > config.run.duration:
            changed.setdefault(table, {})[key] = config.run.duration
    if "first" not in config.window.model_fields_set:
        first = min(config.window.first, config.window.longest, config.run.duration)
        changed.setdefault("window", {})["first"] = max(first, config.window.shortest)
    sections = {name: getattr(config, name).model_copy(update=values) for name, values in changed.items()}
    return config.model_copy(update=sections)


def conflicts(config: RunConfig) -> Iterator[Problem]:
    """The keys that contradict each other, most basic first."""
    yield from _times(config)
    yield from _physics(config)
    if config.pieces.source_length > config.pieces.max_length:
        yield (
            ("pieces", "source_length"),
            f"{config.pieces.source_length:g} µm is longer than pieces.max_length = "
            f"{config.pieces.max_length:g} µm; make it the shorter one",
        )
    for name, times in Counter(probe.label for probe in config.probe).items():
        if times > 1:
            last = max(i for i, probe in enumerate(config.probe) if probe.label == name)
            yield (
                ("probe", last, "name"),
                f"{name!r} names {times} probes; give each its own name",
            )


def _times(config: RunConfig) -> Iterator[Problem]:
    duration = config.run.duration
    for table, key in _FOLLOW_DURATION:
        value = getattr(getattr(config, table), key)
        if value > duration:
            yield (
                (table, key),
                f"{value:g} ms is longer than the run (run.duration = {duration:g} ms); "
                f"use at most {duration:g}",
            )
    window = config.window
    for lower, upper in (("shortest", "longest"), ("shortest", "first"), ("first", "longest")):
        low, high = getattr(window, lower), getattr(window, upper)
        if low > high:
            given = lower if lower in window.model_fields_set else upper
            yield (
                ("window", given),
                f"window.{lower} = {low:g} ms is longer than window.{upper} = {high:g} ms; "
                "expected shortest <= first <= longest",
            )


def _physics(config: RunConfig) -> Iterator[Problem]:
    constants, preset = config.physics.constants, config.physics.preset
    if constants.ghk_sign == "as_printed" and preset != "seed":
        yield (
            ("physics", "constants", "ghk_sign"),
            f"'as_printed' drains the cell at rest and is offered for preset 'seed' only, "
            f"not {preset!r}; use 'influx'",
        )
    if {"constant", "file"} <= config.voltage.model_fields_set and config.voltage.file:
        yield (
            ("voltage", "constant"),
            f"{config.voltage.constant:g} mV contradicts voltage.file = "
            f"{config.voltage.file!r}; give one of the two",
        )
