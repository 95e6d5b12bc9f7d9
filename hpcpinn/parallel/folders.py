"""Where results go that nobody asked for by name: a folder that lives as long as the object that holds it."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


class TemporaryFolder:
    """A folder that goes with this object, or with the process. Collective over all ranks.

    Attributes:
        path: The folder, the same on all ranks: in the working directory where there are several, which all of
            them see, else among the system's temporary ones.
    """

    def __init__(self, communicator: "Communicator | None" = None):
        """Makes it.

        Args:
            communicator: All ranks that write into it; None for this process alone.
        """
        if communicator is None:
            self.path = _made(None)
        else:
            self.path = communicator.on_root(_made, "." if communicator.size > 1 else None)
        if communicator is None or communicator.rank == 0:
            self._finalizer = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _made(where: str | None) -> Path:
    return Path(tempfile.mkdtemp(prefix="hpcpinn-", dir=where)).absolute()
