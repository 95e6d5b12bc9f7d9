"""A run that was solved: its arrays, traces at probes and places, pictures, and what the reference says of it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.api.folders import TemporaryFolder
from hpcpinn.api.pictures import Picture, Pictures
from hpcpinn.errors import InputError
from hpcpinn.io.metrics import read_metrics
from hpcpinn.io.read import Result
from hpcpinn.io.read import read as read_cell
from hpcpinn.io.square import SquareResult, is_square, read_square
from hpcpinn.io.storage import stem_of
from hpcpinn.wording import listed

if TYPE_CHECKING:
    import xarray

    from hpcpinn.workflows.square_validate import SquareValidation
    from hpcpinn.workflows.validate import Validation
    from hpcpinn.workflows.verdict import Verdict


@dataclass(frozen=True)
class Trace:
    """Fields at one place over time; each is an attribute, such as ``trace.calcium``.

    Attributes:
        place: What the place is called.
        time: When, user time.
        fields: Values by the name of the field.
        units: Unit by the name of the field, and of time; empty for a dimensionless run.
    """

    place: str
    time: Float[ndarray, " T"]
    fields: Mapping[str, Float[ndarray, " T"]]
    units: Mapping[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Float[ndarray, " T"]:
        if name != "fields" and name in self.fields:
            return self.fields[name]
        raise AttributeError(f"a trace at {self.place} has {', '.join(('time', *self.fields))}, no {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.fields]

    def __repr__(self) -> str:
        return f"Trace at {self.place}: {', '.join(self.fields)} at {len(self.time)} times"


class Run:
    """A run as its result file has it.

    The arrays of the result are attributes: ``run.time``, ``run.calcium``, ``run.cells`` (`hpcpinn.io.Result`).

    Attributes:
        path: The result file.
    """

    def __init__(self, path: str | os.PathLike[str], folder: TemporaryFolder | None = None) -> None:
        """Takes note of a result file; it is read when it is needed.

        Args:
            path: The file.
            folder: Kept as long as the run where the file lies in a temporary one.
        """
        self.path = Path(path)
        self._folder = folder

    @cached_property
    def result(self) -> Result | SquareResult:
        """The result as plain arrays.

        Raises:
            InputError: The file does not exist, is damaged, of another version, or no result of a run.
        """
        return read_square(self.path) if is_square(self.path) else read_cell(self.path)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.result, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *dir(self.result)]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the run said of itself: windows, errors, balance, seconds, and the verdict.

        Raises:
            InputError: The file of metrics beside the result is gone.
        """
        return read_metrics(self.path)

    @property
    def verdict(self) -> "Verdict | None":
        """What came of the run: what fired, how high calcium rose, errors against tolerances, what was left.

        Raises:
            InputError: The file of metrics beside the result is gone.
        """
        from hpcpinn.workflows.verdict import verdict_in

        return verdict_in(self.summary)

    def probe(self, name: str) -> Trace:
        """What was recorded at a probe, finely in time.

        Args:
            name: Of the probe; its site where it has no name of its own.

        Raises:
            InputError: The run has no such probe.
        """
        result = self._on_cell("probes")
        probes = result.probes
        if name not in probes.name:
            there = listed(probes.name) if probes.name else "none"
            raise InputError(f"{self.path}: no probe {name!r}; there are {there} (at({name!r}) reads the frames)")
        column = probes.name.index(name)
        fields = {name: samples[:, column] for name, samples in probes.fields.items()}
        return Trace(name, probes.time, fields, result.units)

    def at(self, place: str) -> Trace:
        """The frames at any place: averages over the output cell that holds it.

        Args:
            place: Site on the cell, such as ``apic[12](0.5)``, ``tip`` or ``xyz:1,2,3``.

        Raises:
            InputError: The cell has no such place.
        """
        from hpcpinn.morphology.sites import parse_site

        result = self._on_cell("sites")
        site, per = parse_site(place, result.cable), result.cells_per_piece
        cell = site.frustum * per + min(int(site.fraction * per), per - 1)
        fields = {name: values[:, cell] for name, values in result.fields.items()}
        return Trace(place, result.time, fields, result.units)

    def plot(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        times: Sequence[float] | None = None,
        suffix: str = "png",
    ) -> Pictures:
        """Draws all pictures of the run; a notebook shows them. Collective over all ranks.

        Args:
            folder: Where they go; ``RESULT-pictures`` beside the result where left out.
            times: When to show the cell, user times; chosen where left out.
            suffix: png, pdf or svg.

        Raises:
            InputError: Times lie outside the run.
            OutputError: A picture cannot be written.
        """
        from hpcpinn.api.session import ranks

        target = Path(folder) if folder is not None else self.path.parent / f"{stem_of(self.path)}-pictures"
        drawn, left_out = ranks().on_root(_draw, self.result, target, times, suffix)
        keeper = self._folder if folder is None else None
        return Pictures(tuple(Picture(path, keeper) for path in drawn), tuple(left_out))

    def validate(self, *, refinement: int | None = None, patience: float = 300.0) -> "Validation | SquareValidation":
        """Holds the run against the independent reference; see `hpcpinn.validate`."""
        from hpcpinn.api.verbs import validate

        return validate(self, refinement=refinement, patience=patience)

    def to_xarray(self) -> "xarray.Dataset":
        """The fields as a Dataset with named dimensions and units; ``to_netcdf`` writes it.

        Raises:
            InputError: xarray is not installed.
        """
        return self.result.to_xarray()

    def __repr__(self) -> str:
        return repr(self.result)

    def _on_cell(self, what: str) -> Result:
        if not isinstance(self.result, Result):
            raise InputError(f"{self.path}: is a run on a square, which has no {what}; its frames are run.dopamine")
        if self.result.members:
            names = listed([repr(name) for name in self.result.members])
            raise InputError(f"{self.path}: holds several cells; take one of {names} by run.member(NAME)")
        return self.result


def read(path: str | os.PathLike[str]) -> Run:
    """A run from its result file, also one that is still being written or was cut short.

    Raises:
        InputError: The file does not exist, is damaged, of another version, or no result of a run.
    """
    run = Run(path)
    run.result  # noqa: B018 - what is wrong with the file is said now
    return run


def _draw(
    result: Result | SquareResult, folder: Path, times: Sequence[float] | None, suffix: str
) -> tuple[list[Path], list[str]]:
    wanted = None if times is None else [float(time) for time in np.ravel(times)]
    if isinstance(result, SquareResult):
        from hpcpinn.report.square import draw_square

        return draw_square(result, folder, times=wanted, suffix=suffix)
    from hpcpinn.report.gallery import draw_all

    return draw_all(result, folder, times=wanted, suffix=suffix)
