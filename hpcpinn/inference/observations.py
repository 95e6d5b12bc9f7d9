"""Observations of a square: checked before they are believed, or made from the closed form and a seed."""

import numpy as np

from hpcpinn.errors import InputError
from hpcpinn.io.data_columns import row_of
from hpcpinn.io.observations import Table
from hpcpinn.physics.dopamine import DopamineConstants, exact


def synthesised(
    constants: DopamineConstants, *, count: int, noise: float, first: float, last: float, seed: int
) -> Table:
    """Observations of the closed form at uniformly random places and times.

    Args:
        constants: The truth.
        count: How many.
        noise: Standard deviation of their errors over the peak of the release.
        first, last: When they are made, ms.
        seed: Of places, times and noise.
    """
    rng = np.random.default_rng(seed)
    a = constants.half_width
    x, y = rng.uniform(-a, a, (2, count))
    t = rng.uniform(first, last, count)
    deviation = np.full(count, noise * constants.C0)
    value = np.asarray(exact(x, y, t, constants)) + deviation * rng.standard_normal(count)
    return Table(value, x, y, t, deviation)


def refuse_unusable(table: Table, half_width: float | None, n_parameters: int, where: str) -> None:
    """Finds out that observations cannot be used.

    Args:
        table: The observations.
        half_width: Of the square, µm; None where it is not known.
        n_parameters: How many constants they are to determine.
        where: What messages call their source.

    Raises:
        InputError: One lies outside the square or before the release, has no positive noise, or there are
            fewer than parameters.
    """

    def place(row: int | np.integer) -> str:
        return row_of(where, table.lines, row)

    for name, values in (("noise", table.noise), ("value", table.value), ("t", table.t)):
        for row in np.flatnonzero(~np.isfinite(values)):
            raise InputError(f"{place(row)}: {name} is {values[row]}; leave the row away or give a number")
    for row in np.flatnonzero(table.noise <= 0.0):
        raise InputError(
            f"{place(row)}: noise {table.noise[row]:g} uM; give the standard deviation of the error, above 0"
        )
    for axis in ("x", "y"):
        values = getattr(table, axis)
        reach = np.finfo(float).max if half_width is None else half_width * (1.0 + 1e-12)
        for row in np.flatnonzero(~(np.abs(values) <= reach)):
            bounds = f"lies outside the square (-{half_width:g} to {half_width:g} um)" if half_width else "is no place"
            raise InputError(f"{place(row)}: {axis} = {values[row]:g} um {bounds}")
    for row in np.flatnonzero(table.t < 0.0):
        raise InputError(f"{place(row)}: t = {table.t[row]:g} ms is before the release at 0")
    if len(table.value) < n_parameters:
        raise InputError(
            f"{where}: {len(table.value)} observations for {n_parameters} parameters; give at least as many, "
            "or learn fewer"
        )
