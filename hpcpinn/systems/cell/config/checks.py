"""What single keys cannot tell: contradictions between keys, and defaults that follow others."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from hpcpinn.config.lines import Path
from hpcpinn.config.reading import Problem, files_in
from hpcpinn.config.values import Table
from hpcpinn.config.windows import windows_out_of_order
from hpcpinn.physics.constants import CALBINDIN, CALCIUM, CYTOSOL, PRESETS
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.wording import biology

T = TypeVar("T", bound=Table)

_WITHIN_RUN = (
    ("window", "longest"),
    ("window", "first"),
    ("window", "shortest"),
    ("run", "output_interval"),
    ("run", "probe_interval"),
)
"""Times that cannot exceed the run's."""


def fit_defaults(config: RunConfig) -> RunConfig:
    """A copy in which no default is longer than the run; what the user gave stays as it is."""
    duration, window, run = config.run.duration, config.window, config.run
    longest = _shrunk(window, "longest", duration)
    first = _shrunk(window, "first", min(duration, longest))
    windows = {"longest": longest, "first": first, "shortest": _shrunk(window, "shortest", first)}
    intervals = {name: _shrunk(run, name, duration) for name in ("output_interval", "probe_interval")}
    return _with(config, {"window": _with(window, windows), "run": _with(run, intervals)})


def following(config: RunConfig) -> list[str]:
    """Keys of windows that have the values which `fit_defaults` would give them: they follow others."""
    window = config.window
    usual = {key: type(window).model_fields[key].default for table, key in _WITHIN_RUN if table == "window"}
    duration = config.run.duration
    fitted = {
        "longest": min(usual["longest"], duration),
        "first": min(usual["first"], duration, window.longest),
        "shortest": min(usual["shortest"], window.first),
    }
    return [f"window.{key}" for key, value in fitted.items() if value == getattr(window, key)]


def _with(table: T, values: Mapping[str, Any]) -> T:
    """A copy with other values, checked; keys whose value stays do not count as given by the user."""
    given = {key: getattr(table, key) for key in table.model_fields_set}
    changed = {key: value for key, value in values.items() if value != getattr(table, key)}
    return table.model_validate(given | changed)


def _shrunk(table: Table, key: str, limit: float) -> float:
    """The value of a key, at most `limit` where the user did not give it."""
    value: float = getattr(table, key)
    return value if key in table.model_fields_set else min(value, limit)


def conflicts(config: RunConfig) -> Iterator[Problem]:
    """The keys that contradict each other, most basic first."""
    yield from _times(config)
    yield from _numbers(config)
    yield from _physics(config)
    yield from _buffers(config)
    yield from _stimulation(config)
    yield from _population(config)
    yield from _split(config)
    yield from _repeats(config)
    yield from _outward_releases(config)
    yield from _axon(config)
    yield from _remote(config)
    yield from _interfaces(config)
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
    for table, key in _WITHIN_RUN:
        value = getattr(getattr(config, table), key)
        if value > duration:
            yield (
                (table, key),
                f"{biology(value, 6)} is longer than the run (run.duration = {biology(duration, 6)}); "
                f"use at most {duration:g}",
            )
    yield from windows_out_of_order(config)


_MOST_FRAMES, _MOST_SAMPLES, _MOST_PULSES = 10**6, 10**8, 10**7
"""That a run writes or holds; more come from a slip of units."""


def _numbers(config: RunConfig) -> Iterator[Problem]:
    """How many of something a run would make; a long run chooses the intervals that are left out."""
    run, given = config.run, config.stimulation
    counted: list[tuple[Path, float, str, int]] = [
        (("stimulation", "pulses"), given.pulses * given.bursts * given.trains, "pulses", _MOST_PULSES),
    ]
    if not config.is_long or "output_interval" in run.model_fields_set:
        counted.append((("run", "output_interval"), run.duration / run.output_interval, "frames", _MOST_FRAMES))
    if not config.is_long or "probe_interval" in run.model_fields_set:
        counted.append((("run", "probe_interval"), run.duration / run.probe_interval, "samples", _MOST_SAMPLES))
    if config.parameter:
        bands = run.duration / config.inference.band_interval
        counted.append((("data", "interval"), run.duration / config.data.interval, "times", _MOST_FRAMES))
        counted.append((("inference", "band_interval"), bands, "times", _MOST_FRAMES))
    for key, count, what, most in counted:
        if count > most:
            yield key, f"makes {count:.3g} {what} in this run; {most:.0e} are the most"


def _buffers(config: RunConfig) -> Iterator[Problem]:
    """Names that something else has, volumes without calcium, and organelles that no leak can balance."""
    held = [organelle.name for organelle in config.organelle]
    for number, organelle in enumerate(config.organelle):
        if organelle.name in held[:number]:
            yield ("organelle", number, "name"), f"{organelle.name!r} is there already; leave one away"
        c_rest = config.physics.constants.c_rest or PRESETS[config.physics.preset].c_rest
        if organelle.leak is None and organelle.rest <= c_rest:
            yield (
                ("organelle", number, "rest"),
                f"{organelle.rest:g} µM is not above c_rest = {c_rest:g} µM, so no leak can balance the SERCA pumps; "
                "raise it, or set leak",
            )
    taken = [CALCIUM, CALBINDIN, "voltage", *(f"{name}_{CALCIUM}" for name in held)]
    for number, buffer in enumerate(config.buffer):
        if buffer.volume not in (CYTOSOL, *held):
            yield (
                ("buffer", number, "volume"),
                f"{buffer.volume!r} holds no calcium that {buffer.name!r} could bind; add [[organelle]], or leave "
                "volume away",
            )
        if buffer.name in taken:
            yield ("buffer", number, "name"), f"{buffer.name!r} is there already; give it a name of its own"
        taken.append(buffer.name)


_PULSES = ("pulses", "bursts", "trains", "pulse_interval", "burst_interval", "train_interval")


def _stimulation(config: RunConfig) -> Iterator[Problem]:
    field, stimulation = config.field, config.stimulation
    if not field.is_given and (field.model_fields_set or stimulation.model_fields_set):
        table, given = ("field", field) if field.model_fields_set else ("stimulation", stimulation)
        key = sorted(given.model_fields_set)[0]
        yield (table, key), "pulses need a field; give field.magnitude (V/m), or field.file"
    for key in ("direction", "polar", "azimuth"):
        if field.file is not None and key in field.model_fields_set:
            yield ("field", key), f"contradicts field.file = {field.file!r}; give one of the two"
    for key in ("depth", "surface_tag"):
        if config.placement.surface is None and key in config.placement.model_fields_set:
            yield ("placement", key), "is of a surface; give placement.surface, too"
    if field.locations is not None and field.file is None:
        yield ("field", "locations"), "are those of a file of vectors; give field.file, too"
    if field.has_angles and "direction" in field.model_fields_set:
        yield (
            ("field", "direction"),
            "contradicts field.polar and field.azimuth, which are one; give one of the two",
        )
    if field.polar is None and field.azimuth is not None:
        yield (
            ("field", "azimuth"),
            "is an angle about +y, and says nothing without field.polar, the one to it; give both",
        )
    if stimulation.protocol is not None:
        for key in _PULSES:
            if key in stimulation.model_fields_set:
                yield (
                    ("stimulation", key),
                    f"stimulation.protocol = {stimulation.protocol!r} has its own; give one of the two",
                )
    if config.solves_voltage:
        why = "a clamp" if config.clamp else "a field"
        for key in sorted(config.voltage.model_fields_set):
            yield (
                ("voltage", key),
                f"contradicts {why}, which drives the voltage; give one of the two",
            )
        if config.physics.preset == "seed":
            yield ("physics", "preset"), f"'seed' is dimensionless, but {why} is not; take a physical preset"


def _population(config: RunConfig) -> Iterator[Problem]:
    given = config.population
    if given.is_given and not config.is_long:
        yield ("population",), "members run together in split windows; set window.kind = 'split'"
    if given.directions and config.field.file is not None:
        yield ("population", "directions"), "a sampled field has its own; leave them away, or field.file"
    if given.directions and config.field.has_angles:
        yield ("population", "directions"), "contradict field.polar and field.azimuth; give one of the two"
    if (given.magnitudes or given.directions) and not config.field.is_given:
        yield ("population",), "members differ in the field, and there is none; set field.magnitude or field.file"


def _split(config: RunConfig) -> Iterator[Problem]:
    split, mixed = config.split, config.window.kind == "mixed"
    if mixed and split.diffusion == "exact" and "diffusion" in split.model_fields_set:
        yield (
            ("split", "diffusion"),
            "'exact' is on cells, and coupled windows hand over at the nodes of networks; leave it out where "
            "window.kind = 'mixed'",
        )
    if mixed and config.population.is_given:
        yield ("population",), "members run together in split windows alone; set window.kind = 'split'"
    if mixed and split.windows == "adaptive":
        yield ("split", "windows"), "'adaptive' ones cannot be mixed with coupled windows; use 'fixed'"
    if mixed and config.training.trainer != "least-squares":
        yield (
            ("training", "trainer"),
            f"{config.training.trainer!r} is for coupled windows alone; mixed ones take 'least-squares'",
        )
    if config.is_long and config.by_networks and config.flux:
        yield (
            ("flux",),
            "networks take no fluxes through free ends in split windows; use window.kind = 'split' with "
            "split.diffusion = 'exact'",
        )


def _repeats(config: RunConfig) -> Iterator[Problem]:
    """Trains of releases, and the period of a voltage file."""
    for number, synapse in enumerate(config.synapse):
        if synapse.count > 1 and synapse.interval is None:
            yield ("synapse", number, "interval"), f"missing; {synapse.count} releases need one, in ms"
        if synapse.count == 1 and synapse.interval is not None:
            yield (
                ("synapse", number, "interval"),
                f"{biology(synapse.interval, 6)} between releases, but there is one; give count, or leave it away",
            )
    if config.voltage.period is not None and config.voltage.file is None:
        yield (
            ("voltage", "period"),
            f"{biology(config.voltage.period, 6)}, but there is no table that could repeat; give voltage.file",
        )


_ADDRESS = re.compile(r"([a-z][a-z0-9]+):/+(?=[^/])", re.IGNORECASE)


def _remote(config: RunConfig) -> Iterator[Problem]:
    """Files that lie elsewhere in the world."""
    for holder, name, key in files_in(config.model_dump(mode="json"), type(config)):
        file = holder[name]
        if found := _ADDRESS.search(file):
            yield key, f"{file[found.start() :]!r} is an address, and files are read from disk; download it first"


def _axon(config: RunConfig) -> Iterator[Problem]:
    """An axon that has myelin already, and keys of one that is not grown."""
    axon = config.axon
    has_myelin = [kind for kind, region in config.channels.types.items() if region == "myelin"]
    if axon.myelinate is not None and has_myelin:
        yield (
            ("axon", "myelinate"),
            f"{axon.myelinate!r}, but channels.types says that type {has_myelin[0]} is myelin already; leave one of "
            "the two out",
        )
    for key in ("diameter", "direction"):
        if axon.length is None and key in axon.model_fields_set:
            yield ("axon", key), "is that of an axon that is grown; give axon.length, too"


def _outward_releases(config: RunConfig) -> Iterator[Problem]:
    """Releases of the wrong sign, which would take out calcium until less than none is left."""
    of_all = config.physics.constants.j_release
    given: list[tuple[Path, float | None]] = [(("physics", "constants", "j_release"), of_all)]
    given += [(("synapse", number, "flux"), synapse.flux) for number, synapse in enumerate(config.synapse)]
    for key, flux in given:
        if flux is not None and flux < 0.0:
            yield key, f"{flux:g} µM·µm/s would take calcium out, and a release brings it in: write {-flux:g}"


def _interfaces(config: RunConfig) -> Iterator[Problem]:
    schwarz = config.schwarz
    if schwarz.acceleration in ("tree", "stars") and schwarz.transmission != "robin":
        yield (
            ("schwarz", "acceleration"),
            f"{schwarz.acceleration!r} needs schwarz.transmission = 'robin', not {schwarz.transmission!r}; "
            "use 'anderson' or 'none'",
        )


def _physics(config: RunConfig) -> Iterator[Problem]:
    constants, preset = config.physics.constants, config.physics.preset
    if constants.ghk_sign == "as_printed" and preset != "seed":
        yield (
            ("physics", "constants", "ghk_sign"),
            f"'as_printed' drains the cell at rest and is offered for preset 'seed' only, not {preset!r}; use 'influx'",
        )
    if {"constant", "file"} <= config.voltage.model_fields_set and config.voltage.file:
        yield (
            ("voltage", "constant"),
            f"{config.voltage.constant:g} mV contradicts voltage.file = {config.voltage.file!r}; give one of the two",
        )
