"""The cell that a description names, as a tree of frusta; light: JAX is not loaded."""

from hpcpinn.morphology import Cable
from hpcpinn.morphology.build import cable_from_file
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.systems.cell.config.schema import MorphologyConfig


def load_cable(given: MorphologyConfig) -> Cable:
    """The morphology that a table names; repairs of its file are said."""
    path = morphology_path(given.file)
    return cable_from_file(path, units=given.units, soma=given.soma, **how_merged(given))


def how_merged(given: MorphologyConfig) -> dict[str, float]:
    """How frusta are merged, and what of them is the reticulum's, as keywords of what makes a cable."""
    return {name: getattr(given, name) for name in ("merge_below", "er_fraction", "er_radius")}
