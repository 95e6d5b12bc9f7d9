"""What the user's shell left behind must not end a command: streams, folder, and settings of libraries.

Jupyter exports a backend of matplotlib that draws nothing here, a batch system closes stdin, an old login sets
``LANG=C``. Whoever runs the command line calls `settle` first, before any library reads its variables.
"""

import logging
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TextIO

from hpcpinn.errors import InputError
from hpcpinn.parallel import launch

_JAX_READS_SETTINGS = str(Path("jax", "_src", "config.py"))
"""The file of JAX that turns variables into settings, and complains of those it does not understand."""

_FOR_OTHER_PROGRAMS = (
    "JAX_DEBUG_NANS", "JAX_DEBUG_INFS", "JAX_NUMPY_RANK_PROMOTION", "JAX_NUMPY_DTYPE_PROMOTION",
    *(f"JAX_TRANSFER_GUARD{way}" for way in ("", "_HOST_TO_DEVICE", "_DEVICE_TO_HOST", "_DEVICE_TO_DEVICE")),
)  # fmt: skip
"""Settings that make JAX stop where a program does what is right here: fill with nan, broadcast, copy."""


def settle() -> None:
    """Makes the process fit to write, warn and draw whatever the shell says. Touches no library."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    # Pictures go to files: no window, no notebook, and no complaint of a backend that is not installed here.
    os.environ["MPLBACKEND"] = "Agg"
    if os.environ.get("COLUMNS", "").strip() == "0":
        del os.environ["COLUMNS"]  # some terminals say so; tables would come out empty
    # Where matplotlib keeps its list of fonts is nothing to a person who asked for calcium.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if any(action == "error" for action, *_ in warnings.filters):
        # PYTHONWARNINGS=error is meant for those who test their own code; here libraries would fail at random.
        warnings.simplefilter("default")
    for name in _FOR_OTHER_PROGRAMS:
        if os.environ.pop(name, None) and launch.promised_rank() == 0:
            print(f"hpcpinn: warning: {name} would stop sound calculations; it is ignored", file=sys.stderr)


def _open_closed_streams() -> None:
    """Opens what was closed (``>&-``): the next file, a result say, would take its number and get its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given out, and those below are open by now.
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _write_anything(stream: TextIO) -> None:
    """Lets a stream spell out what its encoding lacks (µ under ``LANG=C``, a file name that is no text)."""
    reconfigure = getattr(stream, "reconfigure", None)  # a stream that a program put there may have none
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def require_folder() -> None:
    """Finds out that the working folder is gone.

    Raises:
        InputError: It was deleted, or may not be entered.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the working folder is not there any more ({error.strerror}); change to one that exists"
        ) from None


def blame_setting(error: Exception) -> InputError | None:
    """What to tell of an error that JAX raised when it read its variables; None for any other error."""
    frames = traceback.extract_tb(error.__traceback__)
    if not isinstance(error, ValueError) or not frames or not frames[-1].filename.endswith(_JAX_READS_SETTINGS):
        return None
    text = " ".join(str(error).split())
    named = [name for name in os.environ if name.startswith("JAX_") and name[4:].lower() in text.lower()]
    if not named:
        return InputError(f"JAX does not take the variables JAX_... of this shell ({text[:300]}); unset them")
    name = max(named, key=len)
    return InputError(f"{name}={os.environ[name]}: JAX takes no such value; unset it, or give one that JAX documents")
