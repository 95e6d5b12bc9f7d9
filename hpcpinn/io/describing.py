"""What readers' results have in common for people: a few lines for ``repr``, and a Dataset that netCDF takes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from hpcpinn.errors import lacking
from hpcpinn.wording import amount_of, biology, biology_of

if TYPE_CHECKING:
    import xarray


def described(title: str, facts: Mapping[str, str], arrays: Mapping[str, tuple[Shaped[np.ndarray, "..."], str]]) -> str:
    """A few lines: the title, facts, and the arrays with shapes and units.

    Args:
        title: What it is, and how far it came.
        facts: Facts by what they are about.
        arrays: Name, values and unit.
    """
    shown = {name: f"{values.shape} {unit}".rstrip() for name, (values, unit) in arrays.items()}
    width = max(map(len, [*facts, *shown]), default=0)
    lines = [f"  {name:<{width}}  {text}" for name, text in (*facts.items(), *shown.items())]
    return "\n".join([title, *lines])


def extent_of(end: float, duration: float | None, complete: bool, *, has_unit: bool = True) -> str:
    """How far a result goes: ``complete, 0 to 50 ms``, ``partial: 0 to 13 of 50 ms``.

    Args:
        end: Time of the last frame.
        duration: Duration of the whole run, None where that is not known.
        complete: Whether it came to its end.
        has_unit: Whether times are ms.
    """
    if complete or not duration:
        reached = biology(end) if has_unit else f"{end:.4g}"
        return f"{'complete,' if complete else 'partial:'} 0 to {reached}"
    reached = biology_of(end, duration) if has_unit else amount_of(end, duration)
    return f"partial: 0 to {reached}"


def import_xarray() -> Any:
    """The library.

    Raises:
        InputError: It is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise lacking("to_xarray", ["xarray"], "xarray") from error
    return xarray


def dataset(
    fields: Mapping[str, Any], coordinates: Mapping[str, Any], attributes: Mapping[str, Any]
) -> "xarray.Dataset":
    """A Dataset that ``to_netcdf`` takes: netCDF knows neither truth values nor nothing among attributes.

    Raises:
        InputError: xarray is not installed.
    """
    plain = {name: int(value) if isinstance(value, bool | np.bool_) else value for name, value in attributes.items()}
    known = {name: value for name, value in plain.items() if value is not None}
    found: xarray.Dataset = import_xarray().Dataset(fields, coordinates, attrs=known)
    return found
