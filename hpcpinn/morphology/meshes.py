"""The cells that come with the package, as SWC files in ``meshes/``."""

from difflib import get_close_matches
from pathlib import Path

from hpcpinn.errors import InputError

PREFIX = "builtin:"

_PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = (_PACKAGE / "meshes", _PACKAGE.parent / "meshes")
"""Where the files lie when installed, and in a checkout."""


def builtin_names() -> list[str]:
    """Names of the cells that come with the package."""
    return sorted({file.stem for folder in FOLDERS for file in folder.glob("*.swc")})


def builtin_path(name: str) -> Path:
    """The SWC file of a bundled cell.

    Args:
        name: ``pyramidal`` or ``builtin:pyramidal``.

    Raises:
        InputError: There is no such cell.
    """
    stem = name.removeprefix(PREFIX)
    for folder in FOLDERS:
        if stem in builtin_names() and (file := folder / f"{stem}.swc").is_file():
            return file
    near = get_close_matches(stem, builtin_names(), n=1)
    meant = f" did you mean {PREFIX}{near[0]}?" if near else ""
    raise InputError(f"no bundled cell '{stem}';{meant} there are: {', '.join(builtin_names())}")


def morphology_path(text: str) -> Path:
    """The file that a user means: ``builtin:NAME`` or a path (which need not exist).

    Raises:
        InputError: There is no bundled cell of that name, or no name at all.
    """
    if not text.strip():
        raise InputError(f"the name of the morphology file is empty; give an SWC file, or {PREFIX}pyramidal")
    return builtin_path(text) if text.startswith(PREFIX) else Path(text).expanduser()
