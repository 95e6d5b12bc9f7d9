"""Where pictures go: a bad place is the user's to hear of before anything is read or drawn."""

from collections.abc import Mapping
from pathlib import Path

from hpcpinn.errors import InputError
from hpcpinn.io.names import stem_of
from hpcpinn.io.places import check_folder, check_usable, same_file


def check_picture(picture: Path, inputs: Mapping[str, Path], fix: str = "name another file with --picture") -> None:
    """Finds out that a picture cannot, or must not, be written.

    Args:
        picture: The file.
        inputs: What is read, by what a person calls it.
        fix: Words on how to choose another place, for the end of the message.

    Raises:
        InputError: It is an input or a directory, its directory cannot be made or written to, or its
            suffix is no format of pictures.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    if picture.suffix and picture.suffix.lower().removeprefix(".") not in formats:
        raise InputError(f"{picture}: no format of pictures; let it end in .png, .pdf or .svg, and {fix}")
    check_usable(picture, inputs, fix)


def check_gallery(folder: Path, suffix: str, result: Path) -> None:
    """The same for all pictures of a run.

    Args:
        folder: Folder of the pictures.
        suffix: Format of the pictures.
        result: The run; a picture of the same name must not replace it.

    Raises:
        InputError: The folder is a file or cannot be made or written to, or the result is in the way.
    """
    fix = "name another folder with --out"
    check_folder(folder, fix)
    if result.suffix == f".{suffix}" and same_file(folder, result.absolute().parent):
        raise InputError(f"{result}: a picture could replace it; {fix}, or rename it to {stem_of(result)}.h5")
