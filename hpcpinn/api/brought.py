"""Verbs that systems bring, such as ``hp.threshold``; signatures for type checkers stand in ``brought.pyi``.

``scripts/describe_api.py`` writes them.
"""

from functools import partial
from typing import Any


class OfJobs:
    """Verbs of the system of a job as its methods."""

    def __getattr__(self, name: str) -> Any:
        from hpcpinn.api.verbs import brought

        found = None if name.startswith("_") else brought(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return partial(found, self)
