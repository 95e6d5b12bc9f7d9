"""Reads what SimNIBS's get_fields_at_coordinates writes: vectors without their places, which another file holds.

Both files are tables of numbers without a header. The places, mm in the head, are those that ``hpcpinn locations``
wrote; the vectors are in the same order. Outside of the mesh SimNIBS writes nan.
"""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial import KDTree

from hpcpinn.errors import InputError, warn
from hpcpinn.files import check_regular
from hpcpinn.physics.csv_rows import UNREADABLE, number, rows_of, unreadable
from hpcpinn.physics.stimulation.field import SampledField
from hpcpinn.physics.stimulation.head.placed import Outside
from hpcpinn.physics.stimulation.head.placement import HeadPlacement

_FAR = 20.0
"""mm from the cell, beyond which places are in another unit, if that brings them within a tenth of it."""


def is_headless(path: Path) -> bool:
    """Whether a table begins with a row of numbers."""
    try:
        rows = rows_of(path)
    except (*UNREADABLE, InputError):
        return False  # whoever reads it says what is wrong
    return bool(rows) and all(_is_number(cell) for cell in rows[0][1])


def read_at_locations(
    path: Path, locations: Path | None, placement: HeadPlacement, outside: Outside = "refuse"
) -> SampledField:
    """The field at the places of a cell, in the cell's frame.

    Args:
        path: Vectors, V/m: a row for every place.
        locations: Places in the head, mm.
        placement: Map between the cell and the head.
        outside: Treatment of places where there is no vector.

    Raises:
        InputError: A file that is missing or malformed, magnitudes, another number of rows, a place without a vector
            where that is refused, or places that are not the cell's; one line with the place.
    """
    vectors = _table(path, "field")
    if vectors.shape[1] == 1:
        raise InputError(
            f"{path}: one column: a magnitude, and a direction is needed; of the files that get_fields_at_coordinates "
            "writes, ..._E.csv holds the vectors (simulate with fields = 'eE')"
        )
    if vectors.shape[1] != 3:
        raise InputError(f"{path}: {vectors.shape[1]} columns; without a header it must be Ex,Ey,Ez, or give one")
    if locations is None:
        raise InputError(
            f"{path}: holds vectors without places, as get_fields_at_coordinates writes them; name the file of the "
            "coordinates they were computed at: field.locations = \"coords.csv\" ('hpcpinn locations' writes it)"
        )
    places = read_locations(locations)
    if len(places) != len(vectors):
        raise InputError(
            f"{path}: {len(vectors)} rows, and {locations} has {len(places)}; they go together row by row: name the "
            "file that was given to get_fields_at_coordinates (-s)"
        )
    _check_unit(locations, places, placement)
    return SampledField(
        placement.to_cell(places),
        placement.turned_into_cell(_filled(path, places, vectors, outside)),
        f"{path} at {locations}",
        fix="write the coordinates again with hpcpinn locations: cell, [cable] or [placement] is not what it was",
    )


def read_locations(path: Path) -> Float[ndarray, "n 3"]:
    """Places, mm: rows x,y,z without a header.

    Raises:
        InputError: A file that is missing or malformed; one line with the place.
    """
    places = _table(path, "coordinates")
    if places.shape[1] != 3:
        raise InputError(f"{path}: {places.shape[1]} columns; coordinates are x,y,z in mm, without a header")
    bad = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if len(bad):
        raise InputError(f"{path}: row {bad[0] + 1}: a coordinate is not finite; write it again with hpcpinn locations")
    return places


def _filled(
    path: Path, places: Float[ndarray, "n 3"], vectors: Float[ndarray, "n 3"], outside: Outside
) -> Float[ndarray, "n 3"]:
    bad = ~np.isfinite(vectors).all(axis=1)
    if not bad.any():
        return vectors
    first = int(np.argmax(bad))
    where = ", ".join(f"{value:.4g}" for value in places[first])
    said = f"{path}: {int(bad.sum())} of {len(bad)} rows hold no vector (nan: outside of the mesh)"
    if outside == "refuse" or bad.all():
        raise InputError(
            f"{said}, the first is row {first + 1}, at ({where}) mm; change [placement]"
            + ("" if bad.all() else ", or take the nearest known field there: field.outside = 'nearest'")
        )
    away, which = KDTree(places[~bad]).query(places[bad])
    warn(f"{said}: the field there is that of the nearest place that has one, up to {away.max():.3g} mm away")
    filled = vectors.copy()
    filled[bad] = vectors[~bad][which]
    return filled


def _check_unit(path: Path, places: Float[ndarray, "n 3"], placement: HeadPlacement) -> None:
    """Refuses coordinates that are in µm, or in m."""

    def distance(factor: float) -> float:
        return float(np.linalg.norm(factor * places - placement.position, axis=1).min())

    for unit, factor in (("µm", 1e-3), ("m", 1e3)):
        if distance(1.0) > _FAR and distance(factor) < 0.1 * _FAR:
            raise InputError(f"{path}: its coordinates look like {unit}, and mm are meant: multiply them by {factor:g}")


def _table(path: Path, what: str) -> Float[ndarray, "n k"]:
    """Numbers of a table without a header; nan where that is written."""
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a CSV file")
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such {what} file; give a CSV file")
    try:
        rows = rows_of(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as CSV ({unreadable(error)})") from error
    if not rows:
        raise InputError(f"{path}: no rows of numbers")
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise InputError(f"{path}:{line}: {len(cells)} columns, and {width} in the first row; write it again")
    return np.array(
        [[_value(f"{path}:{line}: column {n + 1}", c) for n, c in enumerate(cells)] for line, cells in rows]
    )


def _value(place: str, cell: str) -> float:
    return math.nan if cell.lower() in ("nan", "-nan") else number(place, cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
