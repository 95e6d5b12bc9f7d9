"""Names of the files that lie beside a result."""

from pathlib import Path

_OF_HDF5 = (".h5", ".hdf5", ".hdf")
"""Endings of a result's name that the names of the files beside it leave out."""


def stem_of(result: str | Path) -> str:
    """The name of a result without its ending; ``rate0.5``, whose 5 is no ending, stays whole."""
    path = Path(result)
    return path.stem if path.suffix.lower() in _OF_HDF5 else path.name


def beside(result: str | Path, ending: str) -> Path:
    """The file that belongs to a result and lies beside it: ``run.h5``, ``metrics.json`` → ``run.metrics.json``."""
    return Path(result).with_name(f"{stem_of(result)}.{ending}")
