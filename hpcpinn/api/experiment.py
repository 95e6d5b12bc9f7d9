"""What is done to what is solved on; the keys, for type checkers, stand in ``experiment.pyi``.

They are those of the tables of all systems that come with hpcpinn; ``scripts/describe_api.py`` writes them.
"""

from typing import TypedDict


class Experiment(TypedDict, total=False):
    """What is done, how long, and how it is solved: tables of the run description by their names.

    Lists may be given in the plural (``synapses``, ``probes``), constants to be learned as ``learn``, keys of [run] by
    themselves. Every table may be a mapping of its keys; a key that is left out has its default
    (docs/run-description.md).
    """
