"""A run that was solved: its arrays, traces at probes and places, pictures, and what the reference says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.api.stored import Stored
from hpcpinn.errors import InputError
from hpcpinn.io.read import Result
from hpcpinn.io.read import read as read_result
from hpcpinn.wording import listed

if TYPE_CHECKING:
    from hpcpinn.systems.common.verdict import Verdict


@dataclass(frozen=True)
class Trace:
    """Fields at one place over time; each is an attribute, such as ``trace.calcium``.

    Attributes:
        place: Name of the place.
        time: Times of the samples, user time.
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


class Run(Stored):
    """A run as its result file has it.

    The arrays of the result are attributes: ``run.time``, ``run.calcium``, ``run.cells`` (`hpcpinn.io.Result`).
    """

    @cached_property
    def result(self) -> Result:
        """The result as plain arrays.

        Raises:
            InputError: The file does not exist, is damaged, of another version, or no result of a run.
        """
        return read_result(self.path)

    @property
    def verdict(self) -> "Verdict":
        """What came of the run: what fired, how high calcium rose, errors against tolerances, what was left.

        Raises:
            InputError: The file of metrics beside the result is gone, or has none.
        """
        from hpcpinn.systems import part
        from hpcpinn.systems.common.verdict import verdict_in
        from hpcpinn.systems.results import system_of_result

        asked = part(getattr(system_of_result(self.path), "verdict_in", verdict_in))
        found: Verdict | None = asked(self.summary)
        if found is None:
            raise InputError(f"{self.path}: no verdict of this version lies beside it; run the job again")
        return found

    def probe(self, name: str) -> Trace:
        """What was recorded at a probe, finely in time.

        Args:
            name: Name of the probe; its site where it has no name of its own.

        Raises:
            InputError: The run has no such probe.
        """
        result = self._of_one()
        probes = result.probes
        if name not in probes.name:
            there = listed(probes.name) if probes.name else "none"
            raise InputError(f"{self.path}: no probe {name!r}; there are {there} (at({name!r}) reads the frames)")
        column = probes.name.index(name)
        fields = {name: samples[:, column] for name, samples in probes.fields.items()}
        return Trace(name, probes.time, fields, result.units)

    def at(self, place: str | Sequence[float]) -> Trace:
        """The frames at any place: averages over the output cell that holds it.

        Args:
            place: Site on a cell, such as ``apic[12](0.5)``, ``tip`` or ``xyz:1,2,3``; x and y (and z) on a square or
                another box, µm, as ``"1,2"`` or ``(1.0, 2.0)``; the name of a point.

        Raises:
            InputError: There is no such place.
        """
        result = self._of_one()
        place = place if isinstance(place, str) else ",".join(f"{float(x)!r}" for x in place)
        column = result.geometry.locate(place)
        fields = {name: values.reshape(len(values), -1)[:, column] for name, values in result.fields.items()}
        return Trace(place, result.time, fields, result.units)

    def member(self, which: int | str) -> "Run":
        """One cell of a population as a run of its own.

        Args:
            which: Number of the cell, from 0, or its name.

        Raises:
            InputError: There is no such member.
        """
        one = Run(self.path, self._folder)
        whole = self.result
        number = whole.member_number(which)
        one._member, one.__dict__["result"] = str(number), whole.member(number)
        return one

    def validate(self, *, refinement: int = 8, patience: float = 300.0) -> Any:
        """Holds the run against the independent reference; see `hpcpinn.validate`."""
        from hpcpinn.api.verbs import validate

        return validate(self, refinement=refinement, patience=patience)

    def _of_one(self) -> Result:
        if self.result.members:
            names = listed([repr(name) for name in self.result.members])
            raise InputError(f"{self.path}: holds several cells; take one of {names} by run.member(NAME)")
        return self.result
