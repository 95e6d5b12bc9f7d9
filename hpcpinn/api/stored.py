"""What a result file holds, as Python takes it: arrays, what the work said of itself, pictures."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcpinn.core.order import Drawing, Drawn
from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.names import stem_of
from hpcpinn.parallel.folders import TemporaryFolder
from hpcpinn.progress import NO_PROGRESS
from hpcpinn.report.shown import Picture, Pictures
from hpcpinn.systems.results import draw

if TYPE_CHECKING:
    import xarray


class Stored:
    """A result file.

    The arrays of the result are attributes: ``run.time``, ``run.calcium``.

    Attributes:
        path: The result file.
    """

    def __init__(self, path: str | os.PathLike[str], folder: TemporaryFolder | None = None) -> None:
        """Takes note of a result file; it is read when it is needed.

        Args:
            path: The file.
            folder: Kept as long as this is where the file lies in a temporary one.
        """
        self.path = Path(path)
        self._folder = folder
        self._member: str | None = None

    @cached_property
    def result(self) -> Any:
        """The result as plain arrays.

        Raises:
            InputError: The file does not exist, is damaged, of another version, or another kind of result.
        """
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.result, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in dir(self.result) if not name.startswith("_"))]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the work said of itself: figures, seconds, and the verdict.

        Raises:
            InputError: The file of metrics beside the result is gone.
        """
        return read_metrics(self.path)

    def plot(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        times: Sequence[float] | None = None,
        suffix: str = "png",
    ) -> Pictures:
        """Draws all pictures of the result; a notebook shows them. Collective over all ranks.

        Args:
            folder: Folder of the pictures; ``RESULT-pictures`` beside the result where left out.
            times: User times at which to show what changes in time; chosen where left out.
            suffix: png, pdf or svg.

        Raises:
            InputError: Times lie outside the run.
            OutputError: A picture cannot be written.
        """
        from hpcpinn.api.session import ranks

        target = Path(folder) if folder is not None else self.path.parent / f"{stem_of(self.path)}-pictures"
        wanted = None if times is None else [float(time) for time in np.ravel(times)]
        asked = Drawing(self.path, target, folder is not None, suffix, wanted, self._member, NO_PROGRESS)
        drawn: Drawn = ranks().on_root(draw, asked)
        keeper = self._folder if folder is None else None
        return Pictures(tuple(Picture(path, keeper) for path in drawn.pictures), tuple(drawn.left_out))

    def to_xarray(self) -> "xarray.Dataset":
        """The arrays as a Dataset with named dimensions and units; ``to_netcdf`` writes it.

        Raises:
            InputError: xarray is not installed.
        """
        dataset: xarray.Dataset = self.result.to_xarray()
        return dataset

    def __repr__(self) -> str:
        return repr(self.result)
