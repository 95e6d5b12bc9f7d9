"""Constants of the calcium-calbindin system and the presets of EQUATIONS §1.

Units inside: µm, s, µM, mV; flux densities µM·µm/s. The `seed` preset is dimensionless.
Plain numbers only: both the networks and the independent reference read them from here.
"""

from dataclasses import dataclass, replace

FARADAY = 96485.0
"""C/mol."""
GAS = 8.314462618
"""J/(mol K)."""


@dataclass(frozen=True)
class Gate:
    """One gate of a voltage-dependent calcium channel, x' = (x∞(V) − x)/τ(V).

    With ``rate=None``: x∞ = 1/(1+exp(−z(V−V½)F/RT)) and τ = tau (physical presets).
    With a rate K: α = K e^{zγ(V−V½)F/RT}, β = K e^{−z(1−γ)(V−V½)F/RT}, x∞ = α/(α+β) and
    τ = 1/(α+β) + tau (preset `seed`, [S1]).

    Attributes:
        power: Exponent with which the gate enters G.
        z: Effective valence; negative for inactivation.
        half: V½ in mV.
        tau: Time constant (s; dimensionless for `seed`).
        rate: K of [S1], or None.
        gamma: γ of [S1].
    """

    power: int
    z: float
    half: float
    tau: float
    rate: float | None = None
    gamma: float = 0.0


@dataclass(frozen=True)
class CalciumConstants:
    """Every constant of EQUATIONS §1.

    Attributes:
        name: Preset name.
        time_unit: Internal time units per user time unit (1e-3: user speaks ms; 1: `seed`).
        D_c, D_b: Diffusion of calcium and calbindin, µm²/s.
        b_tot: Total calbindin, µM.
        k_plus, k_minus: Binding and unbinding, 1/(µM s) and 1/s.
        c_rest: Calcium at rest (initial value), µM.
        c_o: Extracellular calcium, µM.
        pmca_max, pmca_K: ρ_P I_P and K_P.
        ncx_max, ncx_K: ρ_N I_N and K_N.
        leak: v_l in µm/s; None means "balance all other fluxes at c_rest and rest_voltage".
        j_release, release_duration, release_patch: Synaptic flux µM·µm/s, duration s, length µm.
        vdcc_density: ρ_V, 1/µm².
        vdcc_permeability: p, µm³/s.
        gates: Gates of the channel.
        z_ca: Valence of calcium.
        temperature: K.
        rest_voltage: mV, used to balance the leak.
        ghk_sign: "influx", or "as_printed" ([S1] eq. 20 to the letter, preset `seed` only).
    """

    name: str
    time_unit: float
    D_c: float
    D_b: float
    b_tot: float
    k_plus: float
    k_minus: float
    c_rest: float
    c_o: float
    pmca_max: float
    pmca_K: float
    ncx_max: float
    ncx_K: float
    leak: float | None
    j_release: float
    release_duration: float
    release_patch: float
    vdcc_density: float
    vdcc_permeability: float
    gates: tuple[Gate, ...]
    z_ca: float = 2.0
    temperature: float = 310.0
    rest_voltage: float = -70.0
    ghk_sign: str = "influx"

    @property
    def b_rest(self) -> float:
        """Free calbindin in equilibrium with c_rest."""
        return self.k_minus * self.b_tot / (self.k_minus + self.k_plus * self.c_rest)

    def replace(self, **changes) -> "CalciumConstants":
        """A copy with some constants changed."""
        return replace(self, **changes)


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

PRESETS: dict[str, CalciumConstants] = {
    "physical-N": _PHYSICAL,
    "physical-L": _PHYSICAL.replace(name="physical-L", vdcc_permeability=0.57, gates=(Gate(2, 4.6, -1.0, 1.5e-3),)),
    "physical-T": _PHYSICAL.replace(
        name="physical-T",
        vdcc_permeability=0.19,
        gates=(Gate(2, 3.0, -36.0, 1.5e-3), Gate(1, -5.2, -68.0, 10e-3)),
    ),
    "seed": _SEED,
}
