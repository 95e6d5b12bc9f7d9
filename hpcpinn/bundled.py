"""Files that come with hpcpinn, installed or in a checkout: ``jobs/`` and ``meshes/``."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folders(kind: str) -> tuple[Path, Path]:
    """Where the files of a kind (``jobs``, ``meshes``) lie when installed, and in a checkout."""
    return _PACKAGE / kind, _PACKAGE.parent / kind


def files(kind: str, suffix: str) -> dict[str, Path]:
    """The files of a kind with a suffix such as ``.toml``, by their stems, in the order of these."""
    found = {file.stem: file for folder in folders(kind)[::-1] for file in folder.glob(f"*{suffix}")}
    return dict(sorted(found.items()))
