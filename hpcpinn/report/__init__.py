"""Pictures, made from result files alone."""

import contextlib
import os
import sys


def _load_whatever_the_backend() -> None:
    """Loads matplotlib also where MPLBACKEND names a backend that is not installed here.

    Jupyter exports its own to every command it starts. Pictures go to files and need none; the user's choice
    stays as it is where matplotlib accepts it.
    """
    asked = os.environ.get("MPLBACKEND")
    if not asked or "matplotlib" in sys.modules:
        return
    del os.environ["MPLBACKEND"]
    try:
        import matplotlib
    finally:
        os.environ["MPLBACKEND"] = asked
    with contextlib.suppress(ValueError):  # for pyplot to complain about, should the user ever come to it
        matplotlib.rcParams["backend"] = asked


# The one thing done at import: a second import of matplotlib would come too late.
_load_whatever_the_backend()
