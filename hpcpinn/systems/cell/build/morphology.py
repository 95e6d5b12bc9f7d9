"""The cell that a description names, as a tree of frusta; light: JAX is not loaded."""

from hpcpinn.errors import concerning
from hpcpinn.morphology import Cable
from hpcpinn.morphology.axon import RULES, grow, myelinate, to_human
from hpcpinn.morphology.build import cable_from_file
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.systems.cell.config.axon import AxonConfig
from hpcpinn.systems.cell.config.schema import MorphologyConfig, RunConfig


def load_cable(given: MorphologyConfig, axon: AxonConfig | None = None) -> Cable:
    """The morphology that a table names, with its axon as another says; repairs of its file are said.

    Raises:
        InputError: The file is refused, or its axon cannot be made so.
    """
    path = morphology_path(given.file)
    cable = cable_from_file(path, units=given.units, soma=given.soma, **how_merged(given))
    return cable if axon is None else with_axon(cable, axon)


def cable_of(config: RunConfig) -> Cable:
    """The cell of a run description; repairs of its file are said.

    Raises:
        InputError: The file is refused, or its axon cannot be made so.
    """
    return load_cable(config.morphology, config.axon)


def with_axon(cable: Cable, given: AxonConfig) -> Cable:
    """A cell at the size and with the axon that a table asks for.

    Raises:
        InputError: The axon cannot be made so.
    """
    if given.scale == "human":
        cable = to_human(cable)
    if given.length is not None:
        with concerning("axon", "length"):
            cable = grow(cable, given.length, given.diameter, given.direction)
    if given.myelinate is not None:
        with concerning("axon", "myelinate"):
            cable = myelinate(cable, RULES[given.myelinate])
    return cable


def how_merged(given: MorphologyConfig) -> dict[str, float]:
    """How frusta are merged, and what of them is the reticulum's, as keywords of what makes a cable."""
    return {name: getattr(given, name) for name in ("merge_below", "er_fraction", "er_radius")}
