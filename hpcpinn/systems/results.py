"""Which system a result file is of, and what of every system's is treated alike."""

import json
from collections.abc import Mapping
from pathlib import Path

from hpcpinn.core.order import Drawing, Drawn
from hpcpinn.core.system import System
from hpcpinn.errors import InputError
from hpcpinn.io import former, schema, storage
from hpcpinn.io.storage import format_of, open_serial
from hpcpinn.systems import all_systems, default_name, offered, part, system_named
from hpcpinn.systems.jobs import system_of
from hpcpinn.wording import as_typed

_FORMER_VERSION = "1"
"""Version of the results that can be converted."""

_NO_RUNS = {schema.INFERENCE_FORMAT: "an inference", schema.STUDY_FORMAT: "a study"}


def draw(asked: Drawing) -> Drawn:
    """Draws what a result has the data for: an inference, with its draws, alike for all systems.

    Raises:
        InputError: The file is damaged or of a system that is not known here, or the pictures cannot go there.
        OutputError: A picture cannot be written.
    """
    if format_of(asked.result) == schema.INFERENCE_FORMAT:
        from hpcpinn.systems.common.inferences import draw_inference_of  # matplotlib

        return draw_inference_of(asked)
    drawn: Drawn = offered(system_of_result(asked.result), "draw")(asked)
    return drawn


def convert(old: Path, new: Path) -> None:
    """Writes a result of an older version anew, as this one writes them.

    Raises:
        InputError: It is none, or is damaged, or there is something in the place of the new one.
        OutputError: The new one cannot be written.
    """
    found = storage.attributes_of(old)
    reads = [_former(system)[found["format"]] for system in all_systems() if found.get("format") in _former(system)]
    if not reads or found.get("format_version") != _FORMER_VERSION:
        kind = found.get("format")
        what = "no file of hpcpinn" if kind is None else f"{kind}, version {found.get('format_version')}"
        raise InputError(f"{old}: is {what}: there is nothing to convert; hpcpinn check says what can be done with it")
    former.convert(old, new, part(reads[0]))


def _former(system: System) -> Mapping[str, str]:
    found: Mapping[str, str] = getattr(system, "former", {})
    return found


def check_run(path: Path) -> None:
    """Finds out that a file is no run, which alone can be held against others that solve the same.

    Raises:
        InputError: It holds something else, of which there are pictures only.
    """
    held = _NO_RUNS.get(format_of(path) or "")
    if held is not None:
        raise InputError(
            f"{path}: holds {held}, and only runs are validated; hpcpinn plot {as_typed(path)} draws its pictures"
        )


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
