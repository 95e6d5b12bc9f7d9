"""The cells that come with the package, as SWC files in ``meshes/``."""

from pathlib import Path

from hpcpinn import bundled
from hpcpinn.errors import InputError
from hpcpinn.wording import nearest

PREFIX = "builtin:"


def builtin_names() -> list[str]:
    """Names of the cells that come with the package."""
    return list(bundled.files("meshes", ".swc"))


def builtin_path(name: str) -> Path:
    """The SWC file of a bundled cell.

    Args:
        name: ``pyramidal`` or ``builtin:pyramidal``.

    Raises:
        InputError: There is no such cell.
    """
    stem = name.removeprefix(PREFIX)
    known = bundled.files("meshes", ".swc")
    if stem in known:
        return known[stem]
    near = nearest(stem, known)
    meant = f" did you mean {PREFIX}{near}?" if near else ""
    raise InputError(f"no bundled cell '{stem}';{meant} there are: {', '.join(known)}")


def morphology_path(text: str) -> Path:
    """The file that a user means: ``builtin:NAME`` or a path (which need not exist).

    Raises:
        InputError: There is no bundled cell of that name, or no name at all.
    """
    if not text.strip():
        raise InputError(f"the name of the morphology file is empty; give an SWC file, or {PREFIX}pyramidal")
    return builtin_path(text) if text.startswith(PREFIX) else Path(text).expanduser()
