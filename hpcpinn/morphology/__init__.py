"""Neuron morphologies: SWC in, repaired and checked, a cable graph out."""

from hpcpinn.morphology.build import cable_from_swc, with_reticulum
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.morphology.graph import cable_from_networkx, cable_to_networkx
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.morphology.meshes import builtin_names, builtin_path, morphology_path
from hpcpinn.morphology.repair import Repair
from hpcpinn.morphology.sites import Site, parse_site
from hpcpinn.morphology.swc import SwcTree, check_units, read_swc

__all__ = [
    "Cable",
    "Repair",
    "Section",
    "Site",
    "SwcTree",
    "builtin_names",
    "builtin_path",
    "cable_from_networkx",
    "cable_from_swc",
    "cable_to_networkx",
    "check_units",
    "morphology_path",
    "parse_site",
    "read_swc",
    "tree_weights",
    "with_reticulum",
]
