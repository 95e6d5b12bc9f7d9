"""Files that a description names: kept with its result, and taken from it where they are gone. Light to import."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcpinn.config.inputs import input_names
from hpcpinn.core.order import Order
from hpcpinn.errors import warn
from hpcpinn.systems import part

if TYPE_CHECKING:
    from hpcpinn.io.inputs import InputFiles


def input_files_of(order: Order) -> "InputFiles":
    """The files that the description of an order names, as a result keeps them."""
    from hpcpinn.io.inputs import InputFiles

    names, taken = input_names(order.described), getattr(order.system, "taken", None)
    return InputFiles(names) if taken is None else InputFiles(names, partial(part(taken), order.described))


def put_back(described: Any) -> dict[str, str]:
    """Files of a description that are gone and that its result keeps, laid beside it: their places by dotted key.

    Nothing where all are there, or there is no result.

    Raises:
        InputError: The result cannot be read, or nothing is kept of one.
    """
    result, names = Path(described.run.output), input_names(described)
    gone = {key: name for key, name in names.items() if not Path(name).expanduser().exists()}
    if not gone or not result.is_file():
        return {}
    from hpcpinn.io import inputs
    from hpcpinn.io.names import beside

    places = inputs.put_back(result, beside(result, "inputs"), gone)
    for key, place in places.items():
        warn(f"{names[key]} ({key}) is gone: taken as {result} keeps it, from {place}")
    return {key: str(place) for key, place in places.items()}
