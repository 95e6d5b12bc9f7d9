"""Membranes as data: the tables of a file, or of a run description, that declares the channels of a cell.

    [gates.m]
    alpha = "0.1 * 10 * linoid((V + 40) / 10)"
    beta = "4 * exp(-(V + 65) / 18)"
    [currents.sodium]
    reversal = 50.0
    gates = { m = 3, h = 1 }
    [regions.node]
    C_m = 1.0
    conductances = { sodium = 120.0 }

Plain: what is wrong with a table is found here, without arrays. `hpcpinn.physics.membranes` makes channel sets of it.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from hpcpinn.config.values import Finite, NonNegative, Positive, Potential, Table, Text
from hpcpinn.core.parameters import declared
from hpcpinn.core.plausibility import QUANTITIES, Quantity
from hpcpinn.errors import InputError
from hpcpinn.physics.formulas import Formula, read_formula
from hpcpinn.physics.membrane_constants import CableConstants, Current

_OF_CABLE, _OF_CURRENT = declared(CableConstants), declared(Current)
_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
Name = Annotated[str, Field(pattern=_NAME, max_length=40)]
Celsius = Annotated[Finite, _OF_CABLE["temperature"].quantity]
WHOLE = ""
"""Name of the one region of a membrane that is alike everywhere."""
VARIABLES = ("V", "celsius")
"""Variables of gates: the voltage, mV, and the temperature of the run, °C."""
DISTANCE = "d"
"""Variable of densities along the cell: the way from the soma along the tree, µm."""


def _quantity(of: Mapping[str, Any], name: str) -> Quantity:
    found = of[name].quantity
    assert isinstance(found, Quantity)
    return found


class GateTable(Table):
    """A gate: its rates alpha and beta (1/ms), or inf and tau (ms), as formulas of V (mV) and celsius (°C).

    Attributes:
        alpha: Opening rate, 1/ms, such as ``0.182 * 6 * linoid((V + 38) / 6)``.
        beta: Closing rate, 1/ms.
        inf: Steady value, a formula of V, alpha and beta; alpha/(alpha + beta) where left out.
        tau: Time constant, ms, a formula of V, alpha and beta; 1/(alpha + beta) where left out.
        tau_min: Shortest time constant at the temperature of the run, ms.
        q10: Factor of its rates per 10 °C; the membrane's where left out.
        measured_at: Temperature of the formulas, °C; the membrane's where left out.
    """

    alpha: Text | None = None
    beta: Text | None = None
    inf: Text | None = None
    tau: Text | None = None
    tau_min: Positive | None = None
    q10: Positive | None = None
    measured_at: Celsius | None = None

    def formulas(self, constants: frozenset[str]) -> dict[str, Formula]:
        """Its formulas by key.

        Args:
            constants: Names of the numbers that formulas may have besides V.

        Raises:
            InputError: One cannot be understood, or too few are given.
        """
        given = {key: getattr(self, key) for key in ("alpha", "beta", "inf", "tau")}
        found = {}
        for key, text in given.items():
            if text is not None:
                rates = [name for name in ("alpha", "beta") if given[name] is not None and key in ("inf", "tau")]
                try:
                    found[key] = read_formula(text, constants | {*VARIABLES, *rates})
                except InputError as error:
                    raise InputError(f"{key}: {error}") from None
        has_rates = {"alpha", "beta"} <= set(found)
        for key in ("inf", "tau"):
            if not has_rates and key not in found:
                raise InputError(f"no {key}; a gate has alpha and beta, or inf and tau")
        return found


class CurrentTable(Table):
    """A current g Π x^power (V − E).

    Attributes:
        reversal: Reversal potential E, mV.
        gates: Powers of its gates by their names; none for a leak.
    """

    reversal: Annotated[Potential, _quantity(_OF_CURRENT, "reversal")]
    gates: dict[Name, Annotated[int, Field(ge=1, le=12)]] = Field(default={})


Density = Annotated[NonNegative, _quantity(_OF_CURRENT, "conductance")]


class RegionTable(Table):
    """What the membrane of a region is made of.

    Attributes:
        C_m: Capacitance of the membrane, µF/cm²; 1 where left out.
        R_i: Axial resistivity, Ω·cm; 100 where left out.
        conductances: Largest conductance of every current that is there, mS/cm²; along the cell a formula of d, the way
            from the soma, µm.
    """

    C_m: Annotated[Positive, _quantity(_OF_CABLE, "C_m")] | None = None
    R_i: Annotated[Positive, _quantity(_OF_CABLE, "R_i")] | None = None
    conductances: dict[Name, Density | Text] = Field(default={})


class MembraneTable(Table):
    """The channels of a cell, by region.

    Attributes:
        source: Papers or measurements that it is from.
        rest: Voltage at which no current flows, about, mV.
        celsius: Temperature of the cell where a run gives none, °C; that of the formulas where left out.
        measured_at: Temperature of the formulas, °C.
        q10: Factor of all rates per 10 °C.
        constants: Numbers that formulas call by their names.
        gates: Gates by name.
        currents: Currents by name.
        conductances: Largest conductance of every current, mS/cm², of a membrane that is alike everywhere.
        regions: Regions by name (soma, axon, basal, apical, node, ...), of one that is not.
    """

    source: str | None = None
    rest: Annotated[Potential, QUANTITIES["potential at rest"]] = -70.0
    celsius: Celsius | None = None
    measured_at: Celsius = 20.0
    q10: Positive = 1.0
    constants: dict[Name, Finite] = Field(default={})
    gates: dict[Name, GateTable] = Field(default={})
    currents: dict[Name, CurrentTable] = Field(default={})
    conductances: dict[Name, Density | Text] = Field(default={})
    regions: dict[Name, RegionTable] = Field(default={})

    @model_validator(mode="after")
    def _fits(self) -> "MembraneTable":
        for problem in self._problems():
            raise ValueError(problem)
        return self

    @property
    def by_region(self) -> dict[str, RegionTable]:
        """Regions by name; of a membrane that is alike everywhere one of no name (`WHOLE`)."""
        return dict(self.regions) or {WHOLE: RegionTable(conductances=self.conductances)}

    def formulas_of(self, gate: str) -> dict[str, Formula]:
        """The formulas of a gate by key, as `GateTable.formulas`."""
        return self.gates[gate].formulas(frozenset(self.constants))

    def _problems(self) -> Iterator[str]:
        for name in (*VARIABLES, DISTANCE, "alpha", "beta"):
            if name in self.constants:
                yield f"constants: {name} has its meaning already; give it another name"
        for name in self.gates:
            try:
                self.formulas_of(name)
            except InputError as error:
                yield f"gates.{name}: {error}"
        for name, current in self.currents.items():
            for gate in current.gates:
                if gate not in self.gates:
                    yield f"currents.{name}: no gate {gate!r}; there are {', '.join(self.gates) or 'none'}"
        if bool(self.regions) == bool(self.conductances):
            yield "give conductances where the membrane is alike everywhere, else regions with their own"
        for name, region in self.by_region.items():
            above = f"regions.{name}." if name else ""
            for ion, density in region.conductances.items():
                if ion not in self.currents:
                    yield f"{above}conductances: no current {ion!r}; there are {', '.join(self.currents)}"
                if isinstance(density, str):
                    try:
                        read_formula(density, frozenset({DISTANCE, *self.constants}))
                    except InputError as error:
                        yield f"{above}conductances.{ion}: {error}"
