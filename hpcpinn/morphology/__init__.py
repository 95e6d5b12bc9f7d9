"""Neuron morphologies: SWC in, repaired and checked, a cable graph out."""

from hpcpinn.morphology.build import cable_from_swc, with_reticulum
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.morphology.repair import Repair
from hpcpinn.morphology.swc import SwcTree, read_swc, refuse_implausible_units

__all__ = [
    "Cable",
    "Repair",
    "Section",
    "SwcTree",
    "cable_from_swc",
    "read_swc",
    "refuse_implausible_units",
    "with_reticulum",
]
