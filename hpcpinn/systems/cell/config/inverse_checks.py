"""What single keys cannot tell of an inference on a cell: contradictions between keys."""

from collections.abc import Iterator

from hpcpinn.config.inverse_conflicts import of_data_from_file, of_parameter
from hpcpinn.config.lines import Path
from hpcpinn.config.reading import Problem
from hpcpinn.systems.cell.config import learnable
from hpcpinn.systems.cell.config.inverse import CellParameterConfig
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.wording import biology

FROM_RELEASES = {"j_release": "flux", "release_duration": "duration", "release_patch": "patch"}
"""Constants of all releases, and the key by which a synapse has its own."""


def conflicts(config: RunConfig) -> Iterator[Problem]:
    """The keys that contradict each other, most basic first."""
    if not config.parameter:
        return
    yield from _parameters(config)
    yield from _releases(config)
    yield from _voltage_of_truth(config)
    yield from _run(config)
    yield from _data(config)


def _parameters(config: RunConfig) -> Iterator[Problem]:
    names = [parameter.name for parameter in config.parameter]
    for number, parameter in enumerate(config.parameter):
        name, key = parameter.name, ("parameter", number, "name")
        if not learnable.is_learnable(name):
            yield key, learnable.refusal(name)
            continue
        if name in names[:number]:
            yield key, f"{name!r} is learned twice; leave one away"
        if name.startswith(learnable.BY_TYPE) and "vdcc_density" in names:
            yield key, f"{name!r} and 'vdcc_density' of all types are learned at once; leave one away"
        yield from _signs(parameter, number)
        yield from _voltage(config, name, key)
        yield from of_parameter(parameter, number, config.physics.constants)


def _voltage(config: RunConfig, name: str, key: Path) -> Iterator[Problem]:
    """Constants of the voltage need one that is solved, and are not fixed as well."""
    if not learnable.drives_voltage(name):
        return
    if not config.solves_voltage:
        yield key, f"{name!r} is a constant of the voltage, which here is given; let a [field] or a [[clamp]] drive it"
    if name == "field.magnitude" and not config.field.is_given:
        yield key, f"{name!r}: there is no field; give field.magnitude, from which the iteration begins"
    fixed = {f"cable.{own}" for own in config.cable.model_fields_set}
    member = learnable.current_member(name)
    if name in fixed or (member and member[2] in config.channels.changes.get(member[0], {}).get(member[1], {})):
        yield key, f"{name!r} is fixed too in [{name.partition('.')[0]}]; give one of the two (parameter.start)"


def _voltage_of_truth(config: RunConfig) -> Iterator[Problem]:
    """What data are made with may change the voltage only where it is solved."""
    for name in config.data.truth.changes:
        if learnable.drives_voltage(name) and not config.solves_voltage:
            table = name.partition(".")[0]
            yield ("data", "truth", table), f"{name!r} is a constant of the voltage, which here is given"


def _signs(parameter: CellParameterConfig, number: int) -> Iterator[Problem]:
    """Positive constants begin at positive values; a prior has the kind of width that goes with the constant."""
    name, entry = parameter.name, learnable.constant_named(parameter.name)
    assert entry is not None  # it can be learned
    signed = entry.measure > 0.0
    for key in ("start", "prior"):
        value = getattr(parameter, key)
        if value is not None and value <= 0.0 and not signed:
            yield ("parameter", number, key), f"{value:g}: {name!r} is positive; give a value above 0"
        elif refusal := entry.bounds.refusal(name, value):
            yield ("parameter", number, key), refusal
    right, wrong = ("prior_sd", "prior_factor") if signed else ("prior_factor", "prior_sd")
    if wrong in parameter.model_fields_set:
        kind = "may have either sign" if signed else "is positive"
        yield ("parameter", number, wrong), f"{name!r} {kind}: the width of its prior is {right}; give that"
    elif signed and (parameter.prior is None) != (parameter.prior_sd is None):
        missing = "prior" if parameter.prior is None else "prior_sd"
        yield ("parameter", number, "name"), f"{name!r} needs prior and prior_sd together; {missing} is missing"


def _releases(config: RunConfig) -> Iterator[Problem]:
    """A constant of all releases can change only where none has its own."""
    for constant, member in FROM_RELEASES.items():
        changed: list[Path] = [
            ("parameter", number, "name")
            for number, parameter in enumerate(config.parameter)
            if parameter.name == constant
        ]
        if constant in config.data.truth.changes:
            changed.append(("data", "truth", constant))
        own = [number for number, synapse in enumerate(config.synapse) if getattr(synapse, member) is not None]
        for key in changed:
            if not config.synapse:
                yield key, f"{constant!r}: nothing is released; add a [[synapse]], or leave it away"
            elif own:
                value = getattr(config.synapse[own[0]], member)
                yield (
                    key,
                    f"{constant!r} is the {member} of all releases, and synapse number {own[0] + 1} has its own "
                    f"({member} = {value:g}); leave that away",
                )


def _run(config: RunConfig) -> Iterator[Problem]:
    if config.window.kind != "coupled":
        yield ("window", "kind"), f"{config.window.kind!r}: constants are inferred in 'coupled' windows only"
    if config.training.trainer != "least-squares":
        yield (
            ("training", "trainer"),
            f"{config.training.trainer!r}: constants are inferred by 'least-squares' only",
        )
    if config.training.collocation == "residual-adaptive":
        yield ("training", "collocation"), "'residual-adaptive' is not smooth in the constants; use 'gauss'"
    if config.schwarz.transmission != "robin":
        yield ("schwarz", "transmission"), "constants are inferred with 'robin' only"


def _data(config: RunConfig) -> Iterator[Problem]:
    data, duration = config.data, config.run.duration
    if data.file is not None:
        yield from of_data_from_file(data, data.file, "indicator")
        return
    if not data.sites:
        yield ("data", "sites"), 'missing; synthetic traces need places, such as ["dend[0](0.5)"], or give data.file'
    last = duration if data.last is None else data.last
    if last > duration:
        yield (
            ("data", "last"),
            f"{biology(last, 6)} is after the end of the run (run.duration = {biology(duration, 6)}); "
            f"use at most {duration:g}",
        )
    if data.first > last:
        yield ("data", "first"), f"{biology(data.first, 6)} is after data.last = {biology(last, 6)}"
