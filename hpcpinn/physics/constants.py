"""Constants of the calcium-calbindin system and the presets of EQUATIONS §1.

Units inside: µm, s, µM, mV; flux densities µM·µm/s. The `seed` preset is dimensionless.
Plain numbers only: both the networks and the independent reference read them from here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hpcpinn.core.parameters import (
    LOGARITHM,
    MEMBRANE,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    SHARE,
    Bounds,
    Constants,
    Scalar,
    constant,
    nested,
    presets,
    setting,
)
from hpcpinn.core.plausibility import (
    FAHRENHEIT,
    KELVIN,
    MEMBRANE_VOLTAGES,
    NO_MORE,
    QUANTITIES,
    VOLTS,
    Quantity,
    Unit,
    concentration,
    flux,
    seconds,
)

FARADAY = 96485.0
"""C/mol."""
GAS = 8.314462618
"""J/(mol K)."""

_S1 = "Miksis and Queisser"


def _diffusion(name: str, low: float, high: float) -> Quantity:
    others = (Unit("µm²/ms", 1e3), Unit("cm²/s", 1e8), Unit("m²/s", 1e12), Unit("mm²/s", 1e6))
    return Quantity("µm²/s", (low, high), (-math.inf, 1e5), others, name=name)


@dataclass(frozen=True)
class Gate(Constants):
    """One gate of a voltage-dependent calcium channel, x' = (x∞(V) − x)/τ(V).

    With ``rate=None``: x∞ = 1/(1+exp(−z(V−V½)F/RT)) and τ = tau (physical presets).
    With a rate K: α = K e^{zγ(V−V½)F/RT}, β = K e^{−z(1−γ)(V−V½)F/RT}, x∞ = α/(α+β) and
    τ = 1/(α+β) + tau (preset `seed`, [S1]).
    """

    power: int = setting("Exponent with which the gate enters G")
    z: Scalar = constant("Effective valence, negative for inactivation", bounds=REAL, measure=1.0)
    half: Scalar = constant(
        "Half activation", "mV", REAL, measure=10.0, symbol="V½",
        quantity=Quantity("mV", (0.3, 150.0), MEMBRANE_VOLTAGES, (VOLTS,), name="half activation"),
    )  # fmt: skip
    tau: Scalar = constant(
        "Time constant", "s", POSITIVE, symbol="τ", quantity=seconds("time constant of a gate", 2e-5, 0.5)
    )
    rate: Scalar | None = constant("Rate of a gate that has one", "1/s", POSITIVE, symbol="K", default=None, source=_S1)
    gamma: Scalar = constant(
        "Asymmetry of the rates of such a gate", bounds=SHARE, measure=0.1, symbol="γ", needs="rate", default=0.0,
        source=_S1,
    )  # fmt: skip


_BINDING = Quantity(
    "1/(µM s)", (0.5, 5e3), (-math.inf, 1e7),
    (Unit("1/(µM ms)", 1e3), Unit("1/(M s)", 1e-6), Unit("1/(mM s)", 1e-3)), name="binding",
)  # fmt: skip
_UNBINDING = Quantity("1/s", (0.1, 1e5), NO_MORE, (Unit("1/ms", 1e3), Unit("1/µs", 1e6)), name="unbinding")

CALCIUM, CALBINDIN = "calcium", "calbindin"
"""Names of the species that every cell has."""
CYTOSOL, LUMEN = "cytosol", "er"
"""Names of the volumes in which species live: between membrane and reticulum, and in the reticulum along the cable."""


@dataclass(frozen=True)
class BufferConstants(Constants):
    """What binds calcium one to one: b + c ⇌ bc.

    Attributes:
        name: Name of the species that is its free part.
    """

    name: str
    total: Scalar = constant("Its total, free and bound", "µM", POSITIVE, quantity=concentration("buffer", 1.0, 1e4))
    k_plus: Scalar = constant("Binding", "1/(µM s)", NON_NEGATIVE, symbol="k⁺", quantity=_BINDING)
    k_minus: Scalar = constant("Unbinding", "1/s", POSITIVE, symbol="k⁻", quantity=_UNBINDING)
    D: Scalar = constant(
        "Diffusion, free or bound", "µm²/s", NON_NEGATIVE, quantity=_diffusion("diffusion of a buffer", 0.02, 1e3)
    )
    volume: str = setting("Volume whose calcium it binds", default=CYTOSOL, choices=(CYTOSOL, LUMEN))

    def free(self, c: Scalar) -> Scalar:
        """What is free of it in equilibrium with calcium c, µM."""
        return self.k_minus * self.total / (self.k_minus + self.k_plus * c)


_S5 = "Breit and Queisser, J. Math. Neurosci. 8 (2018) 9"
_SERCA = f"{_S5}; 2390 pumps per µm² of 6.5e-21 mol µM/s"


@dataclass(frozen=True)
class Organelle(Constants):
    """Calcium in an organelle along the cable, the endoplasmic reticulum, and what passes its membrane.

    A species of its own, e, exchanges with the cytosol's c through SERCA pumps and a leak, per area of the organelle's
    membrane: J_SERCA = v_S c/(K_S + c) e_rest/e and J_leak = v_e (e − c).

    Attributes:
        name: Name of the volume.
    """

    name: str = LUMEN
    D: Scalar = constant(
        "Diffusion of calcium in it", "µm²/s", POSITIVE, default=220.0, source=_S5,
        quantity=_diffusion("diffusion of calcium", 2.0, 2e3),
    )  # fmt: skip
    rest: Scalar = constant(
        "Free calcium in it at rest", "µM", POSITIVE, symbol="e_rest", default=250.0, source=_S5,
        quantity=concentration("calcium of an organelle", 5.0, 5e3),
    )  # fmt: skip
    serca_max: Scalar = constant(
        "Largest flux of the SERCA pumps while it is at rest", "µM·µm/s", NON_NEGATIVE, symbol="v_S", default=62.0,
        source=_SERCA, quantity=flux("rate of a pump", 0.05, 1e4),
    )  # fmt: skip
    serca_K: Scalar = constant(
        "Calcium at which SERCA pumps are half as fast", "µM", POSITIVE, symbol="K_S", default=0.18, source=_S5,
        quantity=concentration("affinity of a fast pump", 5e-3, 20.0),
    )  # fmt: skip
    leak: Scalar | None = constant(
        "Leak of its membrane", "µm/s", NON_NEGATIVE, symbol="v_e", default=None,
        note="where left out, the one that balances the SERCA pumps at rest",
        quantity=Quantity("µm/s", (1e-6, 100.0), NO_MORE, (Unit("m/s", 1e6), Unit("µm/ms", 1e3)), name="leak"),
    )  # fmt: skip

    @property
    def calcium(self) -> str:
        """Name of the species that is its free calcium."""
        return f"{self.name}_{CALCIUM}"


class Species(NamedTuple):
    """What moves in a cell.

    Attributes:
        name: Name in results, µM.
        volume: Volume it lives in.
        D: Diffusion, µm²/s.
        content: What one of it counts in total calcium, but for a constant: 1 of calcium, −1 of a buffer's free part.
    """

    name: str
    volume: str
    D: Scalar
    content: float


@dataclass(frozen=True, kw_only=True)
class ReactionConstants(Constants):
    """Constants of what happens at a point by itself: binding and pumps, without channels, releases and diffusion.

    The leak here is the one that balances the pumps alone; what a channel lets in at rest belongs to the influx.
    """

    b_tot: Scalar = constant("Total calbindin", "µM", NON_NEGATIVE, quantity=concentration("buffer", 1.0, 1e4))
    k_plus: Scalar = constant("Binding", "1/(µM s)", NON_NEGATIVE, symbol="k⁺", quantity=_BINDING)
    k_minus: Scalar = constant("Unbinding", "1/s", POSITIVE, symbol="k⁻", quantity=_UNBINDING)
    c_rest: Scalar = constant(
        "Calcium at rest, from which runs start", "µM", POSITIVE, quantity=concentration("calcium at rest", 5e-3, 2.0)
    )
    c_o: Scalar = constant(
        "Extracellular calcium", "µM", NON_NEGATIVE, quantity=concentration("calcium outside", 10.0, 2e4)
    )
    pmca_max: Scalar = constant(
        "Largest flux of the PMCA pumps", "µM·µm/s", NON_NEGATIVE, symbol="ρ_P I_P",
        quantity=flux("rate of a pump", 0.05, 1e4),
    )  # fmt: skip
    pmca_K: Scalar = constant(
        "Calcium at which PMCA pumps are half as fast", "µM", POSITIVE, symbol="K_P",
        quantity=concentration("affinity of a fast pump", 5e-3, 20.0),
    )  # fmt: skip
    ncx_max: Scalar = constant(
        "Largest flux of the NCX exchangers", "µM·µm/s", NON_NEGATIVE, symbol="ρ_N I_N",
        quantity=flux("rate of a pump", 0.05, 1e4),
    )  # fmt: skip
    ncx_K: Scalar = constant(
        "Calcium at which NCX exchangers are half as fast", "µM", POSITIVE, symbol="K_N",
        quantity=concentration("affinity of an exchanger", 0.05, 500.0),
    )  # fmt: skip
    buffers: tuple[BufferConstants, ...] = nested(BufferConstants, "Buffers besides calbindin", default=())
    organelles: tuple[Organelle, ...] = nested(Organelle, "Organelles that hold calcium", default=())

    def buffers_in(self, volume: str) -> tuple[BufferConstants, ...]:
        """Buffers of a volume besides calbindin."""
        return tuple(buffer for buffer in self.buffers if buffer.volume == volume)

    @property
    def b_rest(self) -> Scalar:
        """Free calbindin in equilibrium with c_rest, µM."""
        return self.k_minus * self.b_tot / (self.k_minus + self.k_plus * self.c_rest)

    @property
    def pump_leak(self) -> Scalar:
        """The leak that balances the pumps alone at c_rest, µm/s; `check_rest` refuses constants that have none."""
        pmca = self.pmca_max * self.c_rest**2 / (self.pmca_K**2 + self.c_rest**2)
        ncx = self.ncx_max * self.c_rest / (self.ncx_K + self.c_rest)
        return (pmca + ncx) / (self.c_o - self.c_rest)


@dataclass(frozen=True, kw_only=True)
class CalciumConstants(ReactionConstants):
    """Every constant of EQUATIONS §1.

    Attributes:
        name: Name of the preset.
    """

    name: str
    time_unit: float = setting("Internal time units per user's: 1e-3 where that is ms", bounds=Bounds(1e-9, 1e9))
    D_c: Scalar = constant(
        "Diffusion of calcium", "µm²/s", POSITIVE, quantity=_diffusion("diffusion of calcium", 2.0, 2e3)
    )
    D_b: Scalar = constant(
        "Diffusion of calbindin", "µm²/s", NON_NEGATIVE, quantity=_diffusion("diffusion of a buffer", 0.02, 1e3)
    )
    leak: Scalar | None = constant(
        "Leak", "µm/s", NON_NEGATIVE, symbol="v_l",
        note="where left out, the one that balances all other fluxes at c_rest and rest_voltage",
        quantity=Quantity(
            "µm/s", (1e-7, 100.0), NO_MORE, (Unit("m/s", 1e6), Unit("cm/s", 1e4), Unit("µm/ms", 1e3)), name="leak"
        ),
    )  # fmt: skip
    j_release: Scalar = constant(
        "Peak flux of synaptic releases", "µM·µm/s", REAL, measure=LOGARITHM, symbol="j_rls",
        quantity=QUANTITIES["flux of a release"],
    )  # fmt: skip
    release_duration: Scalar = constant(
        "Duration of releases that have none of their own", "s", Bounds(0.0, is_open=True, may_be_infinite=True),
        symbol="τ_rls", quantity=seconds("duration of releases", 2e-5, 0.5),
    )  # fmt: skip
    release_patch: Scalar = constant(
        "Length of cable that takes part in releases that have none of their own", "µm", NON_NEGATIVE,
        quantity=QUANTITIES["patch"],
    )  # fmt: skip
    vdcc_density: Scalar = constant(
        "Density of channels", "1/µm²", NON_NEGATIVE, symbol="ρ_V", varies_by="TYPE",
        quantity=Quantity(
            "1/µm²", (1e-3, 1e3), (-math.inf, 1e7), (Unit("1/cm²", 1e-8), Unit("1/m²", 1e-12)),
            name="density of channels",
        ),
    )  # fmt: skip
    vdcc_permeability: Scalar = constant(
        "Permeability of a channel", "µm³/s", NON_NEGATIVE, symbol="p",
        quantity=Quantity(
            "µm³/s", (1e-4, 100.0), (-math.inf, 1e9),
            (Unit("cm³/s", 1e12), Unit("m³/s", 1e18), Unit("µm³/ms", 1e3)), name="permeability",
        ),
    )  # fmt: skip
    gates: tuple[Gate, ...] = nested(Gate, "Gates of the channel")
    z_ca: Scalar = constant(
        "Valence of calcium", bounds=POSITIVE, default=2.0,
        quantity=Quantity("", (1.0, 3.0), (-math.inf, 10.0), name="valence"),
    )  # fmt: skip
    temperature: Scalar = constant(
        "Temperature of the channel", "K", POSITIVE, default=310.0,
        quantity=Quantity(
            "K", (KELVIN, KELVIN + 45.0), (250.0, KELVIN + 60.0),
            (Unit("°C", 1.0, KELVIN), Unit("°F", FAHRENHEIT, KELVIN - 32.0 * FAHRENHEIT)), name="temperature, K",
        ),
    )  # fmt: skip
    rest_voltage: Scalar = constant(
        "Voltage at which the leak balances rest", "mV", MEMBRANE, measure=10.0, default=-70.0,
        quantity=QUANTITIES["potential at rest"],
    )  # fmt: skip
    ghk_sign: str = setting(
        "Sign of the exponential in the channel's flux", default="influx", choices=("influx", "as_printed"), source=_S1,
        note="`as_printed` is [S1] eq. 20 to the letter, for preset `seed` only",
    )  # fmt: skip

    @property
    def all_buffers(self) -> tuple[BufferConstants, ...]:
        """Calbindin and the others, those of the cytosol first."""
        calbindin = BufferConstants(CALBINDIN, self.b_tot, self.k_plus, self.k_minus, self.D_b)
        return (calbindin, *self.buffers_in(CYTOSOL), *(b for o in self.organelles for b in self.buffers_in(o.name)))

    @property
    def calcium_of(self) -> Mapping[str, Species]:
        """Free calcium of every volume."""
        cytosol = Species(CALCIUM, CYTOSOL, self.D_c, 1.0)
        return {CYTOSOL: cytosol} | {o.name: Species(o.calcium, o.name, o.D, 1.0) for o in self.organelles}

    @property
    def calcium_at_rest(self) -> Mapping[str, Scalar]:
        """Free calcium of every volume at rest, µM."""
        return {CYTOSOL: self.c_rest} | {o.name: o.rest for o in self.organelles}

    @property
    def all_species(self) -> tuple[Species, ...]:
        """Free calcium of every volume, each followed by what is free of its buffers."""
        found: list[Species] = []
        for volume, calcium in self.calcium_of.items():
            inside = (buffer for buffer in self.all_buffers if buffer.volume == volume)
            found += [calcium, *(Species(buffer.name, volume, buffer.D, -1.0) for buffer in inside)]
        return tuple(found)

    @property
    def species(self) -> tuple[str, ...]:
        """Names of all species."""
        return tuple(one.name for one in self.all_species)

    @property
    def volumes(self) -> tuple[str, ...]:
        """Volume of every species."""
        return tuple(one.volume for one in self.all_species)

    @property
    def rest(self) -> tuple[Scalar, ...]:
        """Value of every species in equilibrium with calcium at rest, µM."""
        calcium = self.calcium_at_rest
        free = {buffer.name: buffer.free(calcium[buffer.volume]) for buffer in self.all_buffers}
        return tuple(free[one.name] if one.name in free else calcium[one.volume] for one in self.all_species)


_PHYSICAL = CalciumConstants(
    name="physical-N",
    time_unit=1e-3,
    D_c=220.0,
    D_b=20.0,
    b_tot=160.0,
    k_plus=27.0,
    k_minus=19.0,
    c_rest=0.05,
    c_o=1000.0,
    pmca_max=8.5,
    pmca_K=0.060,
    ncx_max=37.5,
    ncx_K=1.8,
    leak=None,
    j_release=2500.0,
    release_duration=1e-3,
    release_patch=1.0,
    vdcc_density=1.0,
    vdcc_permeability=0.38,
    gates=(Gate(2, 3.4, -21.0, 1.5e-3), Gate(1, -2.0, -40.0, 75e-3)),
)

_SEED = CalciumConstants(
    name="seed",
    time_unit=1.0,
    D_c=1.0,
    D_b=1.0,
    b_tot=5.0,
    k_plus=3.0,
    k_minus=6.0,
    c_rest=1.0,  # not given by [S1]: chosen here, as are c_o, p and V
    c_o=10.0,
    pmca_max=2.0 * 1e-2,
    pmca_K=3.0,
    ncx_max=2e5 * 1e-4,
    ncx_K=180.0,
    leak=0.0,  # [S1] has no leak
    j_release=1.0,
    release_duration=float("inf"),
    release_patch=0.0,
    vdcc_density=1.0,
    vdcc_permeability=0.01,
    gates=(
        Gate(1, 2.0, -21.0, 1.7e-3, rate=1.7e-3),
        Gate(2, 1.0, -40.0, 70e-3, rate=70e-3),
    ),
)

PRESETS: Mapping[str, CalciumConstants] = presets(
    _PHYSICAL,
    _PHYSICAL.replace(name="physical-L", vdcc_permeability=0.57, gates=(Gate(2, 4.6, -1.0, 1.5e-3),)),
    _PHYSICAL.replace(
        name="physical-T",
        vdcc_permeability=0.19,
        gates=(Gate(2, 3.0, -36.0, 1.5e-3), Gate(1, -5.2, -68.0, 10e-3)),
    ),
    _SEED,
)
