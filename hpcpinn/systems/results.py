"""Which system a result file is of."""

import json
from pathlib import Path

from hpcpinn.core.system import System
from hpcpinn.io import storage
from hpcpinn.io.storage import open_serial
from hpcpinn.systems import default_name, system_named
from hpcpinn.systems.jobs import system_of


def system_of_result(path: Path) -> System:
    """The system of the description that a result holds; that of descriptions that name none where there is no such.

    Raises:
        InputError: It is of a system that is not known here.
    """
    name, document = storage.system_of(path), _description(path)
    if name is not None:
        return system_of({"system": name}, str(path))
    return system_named(default_name()) if document is None else system_of(document, str(path))


def _description(path: Path) -> dict[str, object] | None:
    if not path.is_file():
        return None  # a pipe would be waited for
    try:
        with open_serial(path, "r") as file:
            found = json.loads(file["config"].asstr()[()])
    except (OSError, KeyError, AttributeError, ValueError):
        return None  # said by who reads it
    return found if isinstance(found, dict) else None
