"""Distributed physics-informed solver for calcium and voltage in branched neurons under rTMS.

``import hpcpinn as hp`` is the front door for Python (docs/python.md); what it offers is loaded when it is first used.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_ROOMS = {
    "api.estimate": ("Estimate",),
    "api.job": ("Job", "load"),
    "api.run": ("Run",),
    "api.verbs": ("infer", "read", "sample", "solve", "validate"),
    "errors": ("HpcpinnError", "InputError", "InputWarning", "NothingToDoError", "OutputError", "SolveError"),
}
"""What is offered, by the module that has it; systems offer the rest (their ``front`` and ``verbs``)."""

_PLACES = {name: f"hpcpinn.{room}" for room, names in _ROOMS.items() for name in names}

# written by scripts/describe_api.py
if TYPE_CHECKING:
    from hpcpinn.api.brought import threshold as threshold
    from hpcpinn.api.brought import threshold_map as threshold_map
    from hpcpinn.api.estimate import Estimate as Estimate
    from hpcpinn.api.job import Job as Job
    from hpcpinn.api.job import load as load
    from hpcpinn.api.run import Run as Run
    from hpcpinn.api.verbs import infer as infer
    from hpcpinn.api.verbs import read as read
    from hpcpinn.api.verbs import sample as sample
    from hpcpinn.api.verbs import solve as solve
    from hpcpinn.api.verbs import validate as validate
    from hpcpinn.errors import HpcpinnError as HpcpinnError
    from hpcpinn.errors import InputError as InputError
    from hpcpinn.errors import InputWarning as InputWarning
    from hpcpinn.errors import NothingToDoError as NothingToDoError
    from hpcpinn.errors import OutputError as OutputError
    from hpcpinn.errors import SolveError as SolveError
    from hpcpinn.systems.cell.cell import Cell as Cell
    from hpcpinn.systems.cell.front import Axon as Axon
    from hpcpinn.systems.cell.front import Buffer as Buffer
    from hpcpinn.systems.cell.front import Calcium as Calcium
    from hpcpinn.systems.cell.front import Channels as Channels
    from hpcpinn.systems.cell.front import Clamp as Clamp
    from hpcpinn.systems.cell.front import Field as Field
    from hpcpinn.systems.cell.front import Flux as Flux
    from hpcpinn.systems.cell.front import Learned as Learned
    from hpcpinn.systems.cell.front import Placement as Placement
    from hpcpinn.systems.cell.front import Probe as Probe
    from hpcpinn.systems.cell.front import Reticulum as Reticulum
    from hpcpinn.systems.cell.front import Stimulation as Stimulation
    from hpcpinn.systems.cell.front import Synapse as Synapse
    from hpcpinn.systems.cell.front import Traces as Traces
    from hpcpinn.systems.cell.front import Voltage as Voltage
    from hpcpinn.systems.square.front import Dopamine as Dopamine
    from hpcpinn.systems.square.front import Square as Square

_OFFERED = (
    "Cell",
    "Axon",
    "Buffer",
    "Calcium",
    "Channels",
    "Clamp",
    "Field",
    "Flux",
    "Learned",
    "Placement",
    "Probe",
    "Reticulum",
    "Stimulation",
    "Synapse",
    "Traces",
    "Voltage",
    "threshold",
    "threshold_map",
    "Dopamine",
    "Square",
)
__all__ = ["__version__", *_PLACES, *_OFFERED]
# end of what is written


def __getattr__(name: str) -> Any:
    """Loads what is offered when it is first asked for (PEP 562)."""
    if name in _PLACES:
        found = globals()[name] = getattr(import_module(_PLACES[name]), name)
        return found
    is_own = name.startswith("_") or find_spec(f"hpcpinn.{name}") is not None  # a room, about to be imported
    found = None if is_own else import_module("hpcpinn.systems").for_python(name)
    if found is None and not is_own:
        found = import_module("hpcpinn.api.verbs").brought(name)
    if found is None:
        raise AttributeError(f"module 'hpcpinn' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
