"""Membranes of whole cells: channel sets by region, read from files such as those in ``hpcpinn/membranes``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import ValidationError

from hpcpinn import bundled
from hpcpinn.config.lines import key_lines
from hpcpinn.config.load import Origin, refusal
from hpcpinn.config.reading import Reading
from hpcpinn.config.toml import parse_toml
from hpcpinn.errors import InputError
from hpcpinn.physics.channel_sets import ChannelSet
from hpcpinn.physics.formulas import Formula, evaluate, read_formula
from hpcpinn.physics.membrane_constants import Current, FormulaConstant, RateGate
from hpcpinn.physics.membrane_tables import DISTANCE, WHOLE, MembraneTable, RegionTable
from hpcpinn.wording import meant

ALIASES: Mapping[str, str] = MappingProxyType({"code": "pospischil"})
"""Former names."""
SEPARATOR = ":"
"""Between the name of a membrane and that of a region, ``aberra-l23:node``."""


@dataclass(frozen=True)
class Region:
    """The membrane of one region of a cell.

    Attributes:
        name: Name of it; empty for a membrane that is alike everywhere.
        channels: Channels; a conductance that varies along the cell is 1 mS/cm², and `profiles` its factor.
        C_m: Capacitance of the membrane, µF/cm²; None where nothing is said.
        R_i: Axial resistivity, Ω·cm; None where nothing is said.
        profiles: Conductances that vary, mS/cm², by current, as formulas of the way from the soma, µm.
    """

    name: str
    channels: ChannelSet
    C_m: float | None = None
    R_i: float | None = None
    profiles: Mapping[str, Formula] = field(default_factory=dict)

    def profile(
        self, current: str, distance: Float[ndarray, " n"], constants: Mapping[str, float]
    ) -> Float[ndarray, " n"]:
        """The factor of a conductance along the cell; 1 where it does not vary.

        Args:
            current: Name of the current.
            distance: Way from the soma, µm.
            constants: Numbers that the formula names.

        Raises:
            InputError: It is negative or no number somewhere.
        """
        if current not in self.profiles:
            return np.ones_like(distance)
        formula = self.profiles[current]
        with np.errstate(all="ignore"):
            found = evaluate(formula, {DISTANCE: distance, **constants}, np, _linoid)
        found = np.broadcast_to(np.asarray(found, float), distance.shape)
        wrong = np.flatnonzero(~(np.isfinite(found) & (found >= 0.0)))
        if len(wrong):
            raise InputError(
                f"{self.channels.name}, conductance of {current}: {formula.text} is {found[wrong[0]]:g} at "
                f"{DISTANCE} = {distance[wrong[0]]:g} um; a conductance is 0 or more"
            )
        return np.array(found)


@dataclass(frozen=True)
class MembraneSet:
    """The membrane of a cell by region.

    Attributes:
        name: Name by which users choose it.
        source: Papers or measurements that it is from; empty where nobody says.
        regions: Regions by name; one of no name where the membrane is alike everywhere.
    """

    name: str
    source: str
    regions: Mapping[str, Region]

    @property
    def whole(self) -> Region | None:
        """The one region of a membrane that is alike everywhere; None for others."""
        return self.regions.get(WHOLE)

    def at(self, region: str) -> Region:
        """The membrane of a region; a membrane that is alike everywhere is so there, too.

        Raises:
            InputError: There is no such region; one line with those there are.
        """
        found = self.regions.get(region) or self.whole
        if found is None:
            advice = meant(region, self.regions) or f"there are {', '.join(self.regions)}"
            raise InputError(f"channels {self.name!r}: no region {region!r}; {advice}")
        return found


def bundled_membranes() -> list[str]:
    """Names of the membranes that come with hpcpinn."""
    return list(bundled.files("membranes", ".toml"))


def is_known(name: str) -> bool:
    """Whether a membrane of that name comes with hpcpinn."""
    return ALIASES.get(name.lower(), name.lower()) in bundled_membranes()


def bundled_membrane(name: str) -> MembraneSet:
    """A membrane that comes with hpcpinn; ``code`` is called as it was asked for.

    Raises:
        InputError: There is none of that name; the message has the nearest.
    """
    files, own = bundled.files("membranes", ".toml"), name.lower()
    if ALIASES.get(own, own) in files:
        return membrane_set(own, read_membrane(files[ALIASES.get(own, own)]))
    known = [*files, *ALIASES]
    advice = meant(name, known) or f"known are {', '.join(known)}"
    raise InputError(f"channels {name!r}: no such channel set; {advice}")


def channel_set_named(name: str) -> ChannelSet:
    """A channel set that comes with hpcpinn, such as ``squid`` or ``aberra-l23:node``.

    Raises:
        InputError: There is none of that name; the message has the nearest.
    """
    membrane, _, region = name.partition(SEPARATOR)
    return bundled_membrane(membrane).at(region).channels


def read_membrane(path: Path) -> MembraneTable:
    """The tables of a file.

    Raises:
        InputError: It is missing, no TOML, or holds a mistake; one line with the line of the file.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path}: cannot be read ({why}); give a membrane file (TOML)") from None
    document = parse_toml(path, text, ())
    try:
        return MembraneTable.model_validate(document)
    except ValidationError as error:
        origin = Origin(str(path), key_lines(text), reading=Reading("membrane", MembraneTable))
        raise refusal(error, origin) from None


def membrane_set(name: str, table: MembraneTable) -> MembraneSet:
    """The channel sets that tables declare.

    Args:
        name: Name of the membrane; channel sets of its regions are called ``name:region``.
        table: The tables.
    """
    regions = {region: _region(name, region, table, of) for region, of in table.by_region.items()}
    return MembraneSet(name, table.source or "", regions)


def _region(name: str, region: str, table: MembraneTable, of: RegionTable) -> Region:
    """One region: of gates those that its currents have, in the order of the file."""
    there = [current for current in table.currents if current in of.conductances]
    used = [gate for gate in table.gates if any(gate in table.currents[current].gates for current in there)]
    profiles = {
        current: read_formula(density, frozenset({DISTANCE, *table.constants}))
        for current, density in of.conductances.items()
        if isinstance(density, str)
    }
    currents = tuple(
        Current(
            current,
            1.0 if current in profiles else float(of.conductances[current]),
            table.currents[current].reversal,
            tuple(table.currents[current].gates.get(gate, 0) for gate in used),
        )
        for current in there
    )
    channels = ChannelSet(
        name=f"{name}{SEPARATOR}{region}" if region else name,
        currents=currents,
        gates=tuple(_gate(gate, table) for gate in used),
        constants=tuple(FormulaConstant(own, value) for own, value in table.constants.items()),
        rest=table.rest,
        celsius=table.measured_at if table.celsius is None else table.celsius,
    )
    return Region(region, channels, of.C_m, of.R_i, profiles)


def _gate(name: str, table: MembraneTable) -> RateGate:
    given, formulas = table.gates[name], table.formulas_of(name)
    return RateGate(
        name,
        alpha=formulas.get("alpha"),
        beta=formulas.get("beta"),
        steady=formulas.get("inf"),
        tau=formulas.get("tau"),
        tau_min=given.tau_min,
        q10=table.q10 if given.q10 is None else given.q10,
        measured_at=table.measured_at if given.measured_at is None else given.measured_at,
    )


def _linoid(x: ndarray) -> ndarray:
    safe = np.where(x == 0.0, 1.0, x)
    linoid: ndarray = np.where(x == 0.0, 1.0, safe / -np.expm1(-safe))
    return linoid
