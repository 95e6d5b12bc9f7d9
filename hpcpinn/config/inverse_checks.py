"""What single keys cannot tell of an inference on a cell: contradictions between keys."""

from collections.abc import Iterator

from hpcpinn.config.inverse import LEARNABLE
from hpcpinn.config.inverse_conflicts import Problem, of_data_from_file, of_parameter
from hpcpinn.config.lines import Path
from hpcpinn.config.schema import RunConfig

BY_TYPE = "vdcc_density."
RELEASE = "j_release"


def conflicts(config: RunConfig) -> Iterator[Problem]:
    """The keys that contradict each other, most basic first."""
    if not config.parameter:
        return
    yield from _parameters(config)
    yield from _releases(config)
    yield from _run(config)
    yield from _data(config)


def is_known(name: str) -> bool:
    """Whether a name can be that of a learned constant; types of neurites are the cell's affair."""
    return name in LEARNABLE or (name.startswith(BY_TYPE) and len(name) > len(BY_TYPE))


def _unknown(name: str) -> str:
    return f"{name!r} is no constant that can be inferred; there are {', '.join(LEARNABLE)}, {BY_TYPE}TYPE"


def _parameters(config: RunConfig) -> Iterator[Problem]:
    names = [parameter.name for parameter in config.parameter]
    for number, parameter in enumerate(config.parameter):
        name, key = parameter.name, ("parameter", number, "name")
        if not is_known(name):
            yield key, _unknown(name)
            continue
        if name in names[:number]:
            yield key, f"{name!r} is learned twice; leave one away"
        if name.startswith(BY_TYPE) and "vdcc_density" in names:
            yield key, f"{name!r} and 'vdcc_density' of all types are learned at once; leave one away"
        yield from of_parameter(parameter, number, config.physics.constants)


def _releases(config: RunConfig) -> Iterator[Problem]:
    """One flux of all releases can change only where none has its own."""
    changed: list[Path] = [
        ("parameter", number, "name") for number, parameter in enumerate(config.parameter) if parameter.name == RELEASE
    ]
    if RELEASE in config.data.truth.changes:
        changed.append(("data", "truth", RELEASE))
    own = [number for number, synapse in enumerate(config.synapse) if synapse.flux is not None]
    for key in changed:
        if not config.synapse:
            yield key, f"{RELEASE!r}: nothing is released; add a [[synapse]], or leave it away"
        elif own:
            yield (
                key,
                f"{RELEASE!r} is the flux of all releases, and synapse number {own[0] + 1} has its own "
                f"(flux = {config.synapse[own[0]].flux:g}); leave that away",
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
        yield ("data", "sites"), "missing; synthetic traces need places, such as [\"dend[0](0.5)\"], or give data.file"
    last = duration if data.last is None else data.last
    if last > duration:
        yield (
            ("data", "last"),
            f"{last:g} ms is after the end of the run (run.duration = {duration:g} ms); use at most {duration:g}",
        )
    if data.first > last:
        yield ("data", "first"), f"{data.first:g} ms is after data.last = {last:g} ms"
