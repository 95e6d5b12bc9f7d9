"""What a person gave that does nothing, or not all of what it says: no mistake, but never without a word."""

import math
from collections.abc import Iterator

from hpcpinn.config.lines import Path
from hpcpinn.config.reading import Problem
from hpcpinn.config.unread import SAME, given_keys, last_frame, unread_training
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.wording import biology, spoken


def idle(config: RunConfig) -> Iterator[Problem]:
    """Keys of a cell's description that do nothing, or less than they say."""
    yield from _of_nothing(config)
    yield from _unlikely(config)
    yield from _unread(config)
    yield from _rounded(config)


def _of_nothing(config: RunConfig) -> Iterator[Problem]:
    """Sources of strength zero."""
    for number, synapse in enumerate(config.synapse):
        if synapse.flux == 0.0:
            yield ("synapse", number, "flux"), "0 µM·µm/s, so the release does nothing"
    for number, flux in enumerate(config.flux):
        if flux.value == 0.0:
            yield ("flux", number, "value"), "0 µM·µm/s, so it does nothing: free ends are closed anyway"
    for number, clamp in enumerate(config.clamp):
        if clamp.current == 0.0:
            yield ("clamp", number, "current"), "0 nA, so it injects nothing (the voltage is solved all the same)"
    if config.physics.constants.j_release == 0.0 and any(synapse.flux is None for synapse in config.synapse):
        yield ("physics", "constants", "j_release"), "0 µM·µm/s, so releases without a flux of their own do nothing"


_STRONG = 1000.0
"""V/m; stimulators reach some 400 in cortex."""
_OWN_OF_SQUID, _FAR = 6.3, 10.0
"""Temperature of the squid's rates and how far from it they still make action potentials, °C."""


def _unlikely(config: RunConfig) -> Iterator[Problem]:
    """What is possible, and hardly meant: fields that no stimulator makes, and a squid that is warm."""
    field, cable = config.field, config.cable
    if field.file is None and field.magnitude is not None and abs(field.magnitude) > _STRONG:
        yield (
            ("field", "magnitude"),
            f"{field.magnitude:g} V/m, and stimulators reach some 400 in cortex: a cell that fires at no less lacks a "
            "myelinated axon (docs/axons.md)",
        )
    sets = {getattr(config.channels, part) or config.channels.set for part in ("soma", "axon", "basal", "apical")}
    if cable.temperature is not None and "squid" in sets and abs(cable.temperature - _OWN_OF_SQUID) > _FAR:
        times = 3.0 ** ((cable.temperature - _OWN_OF_SQUID) / 10.0)
        yield (
            ("cable", "temperature"),
            f"{cable.temperature:g} °C, where the squid's rates are {times:.2g} times those of its "
            f"{_OWN_OF_SQUID:g} °C, and it makes no action potentials; choose channels.set, or leave this out",
        )


def beyond_the_end(config: RunConfig) -> Iterator[Problem]:
    """What a cell's description lets begin, or go on, after the run."""
    if config.is_long and "duration" not in config.run.model_fields_set:
        return  # the run then lasts as long as its protocol
    duration = config.run.duration
    end = f"the end of the run (run.duration = {spoken(duration)})"
    starts: list[tuple[Path, float]] = [
        ((name, number, "start"), given.start)
        for name in ("synapse", "flux", "clamp")
        for number, given in enumerate(getattr(config, name))
    ]
    if config.field.is_given:
        starts.append((("stimulation", "start"), config.stimulation.start))
    for key, start in starts:
        if start >= duration:
            yield key, f"{spoken(start)} is not before {end}, so it does nothing"
    for name in ("synapse", "flux", "clamp"):
        for number, given in enumerate(getattr(config, name)):
            lasts = given.duration
            if lasts is not None and duration < lasts < math.inf:
                yield (name, number, "duration"), f"{spoken(lasts)} go on after {end}, which cuts them short"
    for number, synapse in enumerate(config.synapse):
        late = sum(onset >= duration for onset in synapse.onsets)
        if 0 < late < synapse.count:
            yield (
                ("synapse", number, "count"),
                f"{late} of {synapse.count} releases do not begin before {end}, so they do nothing",
            )


def _unread(config: RunConfig) -> Iterator[Problem]:
    """Tables and keys that this kind of run does not read."""
    if not config.solves_voltage:
        why = "does nothing where no field and no clamp drives the voltage"
        yield from given_keys("cable", config.cable, None, why)
        yield from given_keys("channels", config.channels, None, why)
    if not config.is_long:
        yield from given_keys("split", config.split, None, "does nothing in 'coupled' windows (window.kind)")
        yield from given_keys("cable", config.cable, ("quiet_step",), "does nothing in 'coupled' windows (window.kind)")
    else:
        yield from given_keys(
            "run", config.run, ("checkpoint_every",), "does nothing in long runs; they have split.checkpoint_every"
        )
        yield from _unread_in_long_runs(config)
    yield from unread_training(config.training, config.training.trainer)
    yield from _unread_of_fields(config)
    population = config.population
    if population.cells:
        yield from given_keys(
            "morphology", config.morphology, ("file",), "is no member; the cells are population.cells"
        )
    if population.directions:
        yield from given_keys("field", config.field, ("direction",), "is no member's; they are population.directions")
    for constant, own in (("j_release", "flux"), ("release_duration", "duration"), ("release_patch", "patch")):
        if all(getattr(synapse, own) is not None for synapse in config.synapse):
            others = "every synapse has its own" if config.synapse else "nothing is released"
            if getattr(config.physics.constants, constant) is not None:
                yield ("physics", "constants", constant), f"does nothing: {others}"


def _unread_of_fields(config: RunConfig) -> Iterator[Problem]:
    """Keys of a field that its kind of file does not have."""
    field = config.field
    if not field.is_given:
        return
    name = (field.file or "").lower()
    in_head = name.endswith((".msh", ".nii", ".nii.gz")) or (field.locations is not None and not name.endswith(".txt"))
    if not name.endswith(".msh"):
        yield from given_keys("field", field, ("name", "tissue"), "does nothing: it is for a .msh file")
    if not in_head:
        why = "does nothing: this field is known along the cell, not in the head"
        yield from given_keys("field", field, ("outside",), why)
        yield from given_keys("placement", config.placement, None, why)


def _unread_in_long_runs(config: RunConfig) -> Iterator[Problem]:
    split = config.split
    if config.window.kind == "split":
        why = "does nothing in 'split' windows (window.kind)"
        yield from given_keys("window", config.window, ("first", "shortest", "longest", "tolerance"), why)
        yield from given_keys("schwarz", config.schwarz, None, why)
        yield from given_keys("split", split, ("coupled_for",), "does nothing but in 'mixed' windows (window.kind)")
        if not config.by_networks:
            yield from given_keys("network", config.network, None, f"{why} with split.diffusion = 'exact'")
            yield from given_keys("training", config.training, None, f"{why} with split.diffusion = 'exact'")
    other = "fixed" if split.windows == "adaptive" else "adaptive"
    unread = ("growth",) if split.windows == "adaptive" else ("tolerance",)
    yield from given_keys("split", split, unread, f"is for {other!r} windows, and split.windows = {split.windows!r}")


def _rounded(config: RunConfig) -> Iterator[Problem]:
    """Numbers in whose place others are taken."""
    run, cable = config.run, config.cable
    if not config.is_long:
        yield from last_frame(run.duration, run.output_interval, run)
    if not config.solves_voltage:
        return
    if cable.pulse_step > cable.step and "pulse_step" in cable.model_fields_set:
        longest = f"no step is longer than cable.step = {biology(cable.step, 6)}"
        yield ("cable", "pulse_step"), f"{biology(cable.pulse_step, 6)}, but {longest}"
    if not config.is_long and "sample" in cable.model_fields_set:
        taken = run.duration / max(1, round(run.duration / cable.sample))
        if abs(taken - cable.sample) > SAME * cable.sample:
            yield (
                ("cable", "sample"),
                f"{biology(cable.sample, 6)} do not divide the run (run.duration = {biology(run.duration, 6)}); "
                f"{taken:g} are taken",
            )
