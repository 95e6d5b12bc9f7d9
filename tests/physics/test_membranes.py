"""Membranes as data: every gate against its published formula at ten voltages, densities, temperatures, refusals."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics import channel_sets
from hpcpinn.physics.membrane_tables import MembraneTable
from hpcpinn.physics.membranes import (
    bundled_membrane,
    bundled_membranes,
    channel_set_named,
    membrane_set,
    read_membrane,
)

V = np.array([-101.0, -88.7, -77.3, -64.1, -52.9, -41.7, -27.3, -9.1, 13.3, 41.9])
"""mV; none is a removable singularity of a published formula."""
exp = np.exp


def by_rates(alpha, beta, faster):
    return alpha / (alpha + beta), 1.0 / (alpha + beta) / faster


def blue_brain(celsius):
    """x∞ and τ of the gates as the Blue Brain Project's mechanisms print them, at a temperature."""
    q = 2.3 ** ((celsius - 21) / 10)

    def sodium(half_m, half_h):
        m = by_rates(0.182 * (V - half_m) / (1 - exp(-(V - half_m) / 6)),
                     0.124 * (-V + half_m) / (1 - exp(-(-V + half_m) / 6)), q)  # fmt: skip
        h = by_rates(-0.015 * (V - half_h) / (1 - exp((V - half_h) / 6)),
                     -0.015 * (-V + half_h) / (1 - exp((-V + half_h) / 6)), q)  # fmt: skip
        return m, h

    (na_m, na_h), (soma_m, soma_h) = sodium(-38, -66), sodium(-32, -60)
    fast = sodium(-38, -66)[0][1]
    nap_h = 1 / (
        -2.88e-6 * (V + 17) / (1 - exp((V + 17) / 4.63)) + 6.94e-6 * (V + 64.4) / (1 - exp(-(V + 64.4) / 2.63))
    )
    v = V + 10
    slow = np.where(v < -50, 1.25 + 175.03 * exp(v * 0.026), 1.25 + 13 * exp(-v * 0.026))
    return {
        "NaTa_m": na_m, "NaTa_h": na_h, "NaTs2_m": soma_m, "NaTs2_h": soma_h,
        "Nap_m": (1 / (1 + exp((V + 52.6) / -4.6)), 6 * fast), "Nap_h": (1 / (1 + exp((V + 48.8) / 10)), nap_h / q),
        "K_P_m": (1 / (1 + exp(-(v + 1) / 12)), slow / q),
        "K_P_h": (1 / (1 + exp(-(v + 54) / -11)), (360 + (1010 + 24 * (v + 55)) * exp(-(((v + 75) / 48) ** 2))) / q),
        "K_T_m": (1 / (1 + exp(-v / 19)), (0.34 + 0.92 * exp(-(((v + 71) / 59) ** 2))) / q),
        "K_T_h": (1 / (1 + exp(-(v + 66) / -10)), (8 + 49 * exp(-(((v + 73) / 23) ** 2))) / q),
        "SKv3_m": (1 / (1 + exp((V - 18.7) / -9.7)), 0.2 * 20 / (1 + exp((V + 46.56) / -44.14))),
        "Im_m": by_rates(3.3e-3 * exp(2.5 * 0.04 * (V + 35)), 3.3e-3 * exp(-2.5 * 0.04 * (V + 35)), q),
        "Ih_m": by_rates(0.001 * 6.43 * (V + 154.9) / (exp((V + 154.9) / 11.9) - 1), 0.001 * 193 * exp(V / 33.1), 1.0),
    }  # fmt: skip


def jarsky(celsius):
    """The same of Jarsky et al., as ModelDB 55035 and NeMo-TMS print them."""

    def times(zeta, half):
        return exp(1e-3 * zeta * (V - half) * 9.648e4 / (8.315 * (273.16 + celsius)))

    def trap(v, half, rate, width):
        return rate * (v - half) / (1 - exp(-(v - half) / width))

    faster = 2.0 ** ((celsius - 24) / 10)
    m_inf, m_tau = by_rates(trap(V, -30, 0.4, 7.2), trap(-V, 30, 0.124, 7.2), faster)
    _, h_tau = by_rates(trap(V, -45, 0.03, 1.5), trap(-V, 45, 0.01, 1.5), faster)
    gates = {
        "na_m": (m_inf, np.maximum(m_tau, 0.02)),
        "na_h": (1 / (1 + exp((V + 50) / 4)), np.maximum(h_tau, 0.5)),
        "kdr_n": (1 / (1 + times(-3, 13)), np.maximum(times(-3 * 0.7, 13) / (0.02 * (1 + times(-3, 13))), 2.0)),
    }
    for name, half, rate, zeta, share in (("kap", 11, 0.05, -1.5, 0.55), ("kad", -1, 0.1, -1.8, 0.39)):
        own = zeta - 1 / (1 + exp((V + 40) / 5))
        tau = times(own * share, half) / (5.0 ** ((celsius - 24) / 10) * rate * (1 + times(own, half)))
        gates[f"{name}_n"] = 1 / (1 + times(own, half)), np.maximum(tau, 0.1)
        gates[f"{name}_l"] = 1 / (1 + times(3, -56)), np.maximum(0.26 * (V + 50), 2.0)
    return gates


PUBLISHED = {"aberra-l23": blue_brain, "aberra-l5": blue_brain, "jarsky-ca1": jarsky}


@pytest.mark.parametrize("celsius", [None, 21.0, 30.0])
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_gate_is_the_published_one_at_ten_voltages(name, celsius):
    seen = set()
    for region in bundled_membrane(name).regions.values():
        published = PUBLISHED[name](region.channels.celsius if celsius is None else celsius)
        opening, closing = channel_sets.rates(region.channels, V, celsius)
        for gate, alpha, beta in zip(region.channels.gates, opening, closing, strict=True):
            steady, tau = published[gate.name]
            np.testing.assert_allclose(alpha / (alpha + beta), steady, rtol=1e-11, atol=1e-300, err_msg=gate.name)
            np.testing.assert_allclose(1.0 / (alpha + beta), tau, rtol=1e-11, err_msg=gate.name)
            seen.add(gate.name)
    assert seen == set(published)


def currents(name):
    channels = channel_set_named(name)
    return {one.name: (one.conductance, one.reversal) for one in channels.currents}


def test_conductances_are_the_published_ones():
    """S/cm² of the papers' public code, times 1000."""
    leak = (0.03, -75.0)
    node = {"NaTa_t": (6859.45, 50.0), "Nap_Et2": (9.803, 50.0), "K_Pst": (959.296, -85.0), "K_Tst": (1.035, -85.0),
            "SKv3_1": (94.971, -85.0), "leak": leak}  # fmt: skip
    assert currents("aberra-l23:node") == node
    assert currents("aberra-l23:axon") == {**node, "NaTa_t": (3429.725, 50.0)} == currents("aberra-l23:unmyelinated")
    soma = {"NaTs2_t": (926.705, 50.0), "SKv3_1": (102.517, -85.0), "Ih": (0.08, -45.0), "leak": leak}
    assert currents("aberra-l23:soma") == soma
    assert currents("aberra-l5:soma") == {**soma, "NaTs2_t": (983.955, 50.0), "SKv3_1": (303.472, -85.0)}
    assert currents("aberra-l5:node")["NaTa_t"][0] == 6275.936
    assert currents("aberra-l23:myelin") == {"leak": (pytest.approx(1e3 / 1.125e6), -75.0)}
    cell = bundled_membrane("aberra-l23").regions
    assert {name: region.C_m for name, region in cell.items()} == {
        "soma": 1.0, "basal": 2.0, "apical": 2.0, "axon": 1.0, "node": 1.0, "unmyelinated": 1.0, "myelin": 0.02,
    }  # fmt: skip


def test_conductances_along_the_cell():
    """Ih of the apical dendrite grows with distance; the A-type current is proximal up to 100 µm and distal beyond."""
    d = np.array([0.0, 99.0, 101.0, 300.0, 700.0])
    apical = bundled_membrane("aberra-l23").at("apical")
    np.testing.assert_allclose(apical.profile("Ih", d, {}), 0.08 * (-0.8696 + 2.087 * exp(0.0031 * d)), rtol=1e-14)
    np.testing.assert_array_equal(apical.profile("Im", d, {}), 1.0)
    apical = bundled_membrane("jarsky-ca1").at("apical")
    np.testing.assert_allclose(apical.profile("kap", d, {}), [48.0, 48 * 1.99, 0, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(apical.profile("kad", d, {}), [0, 0, 48 * 2.01, 48 * 4, 48 * 6], rtol=1e-14)


@pytest.mark.parametrize("name", bundled_membranes())
def test_every_bundled_membrane_says_where_it_is_from_and_rests_where_it_says(name):
    membrane = bundled_membrane(name)
    assert len(membrane.source) > 20
    channels = membrane.at("soma").channels
    grid = np.linspace(channels.rest - 6.0, channels.rest + 6.0, 601)
    current = np.asarray(channel_sets.current_density(channels, grid, channel_sets.steady(channels, grid)))
    assert current[0] < 0.0 < current[-1] and np.sum(np.diff(current > 0.0)) == 1


GOOD = {
    "gates": {"m": {"alpha": "exp(V / 10)", "beta": "1"}},
    "currents": {"sodium": {"reversal": 50.0, "gates": {"m": 3}}, "leak": {"reversal": -70.0}},
    "conductances": {"sodium": 1.0, "leak": 0.1},
}


def test_a_membrane_of_ones_own_has_only_the_gates_it_needs_in_every_region():
    table = MembraneTable.model_validate(
        {**GOOD, "conductances": {}, "regions": {"soma": {"conductances": {"sodium": "2 * d", "leak": 0.1}},
                                                 "axon": {"C_m": 0.5, "conductances": {"leak": 0.2}}}}
    )  # fmt: skip
    mine = membrane_set("mine", table)
    assert mine.whole is None and mine.at("axon").C_m == 0.5
    assert mine.at("soma").channels.name == "mine:soma"
    assert [gate.name for gate in mine.at("soma").channels.gates] == ["m"] and not mine.at("axon").channels.gates
    with pytest.raises(InputError, match="channels 'mine': no region 'axxon'; did you mean 'axon'"):
        mine.at("axxon")
    with pytest.raises(InputError, match=r"sodium: 2 \* d is -2 at d = -1 um; a conductance is 0"):
        mine.at("soma").profile("sodium", np.array([0.0, -1.0]), {})


WRONG = {
    '[gates.m]\nalpha = "exp(v)"\nbeta = "1"': r": gates\.m: alpha: 'exp\(v\)': no variable 'v'; did you mean 'V'",
    '[gates.m]\nalpha = "1"': r"gates\.m: no inf; a gate has alpha and beta, or inf and tau",
    '[gates.m]\ninf = "1"': r"gates\.m: no tau; a gate has alpha and beta, or inf and tau",
    '[gates.m]\ninf = "alpha"\ntau = "1"': r"gates\.m: inf: 'alpha': no variable 'alpha'",
    "[gates.m]\ntau_min = -1.0": r", line 2: gates\.m\.tau_min: ",
    "[gates.m]\npower = 3": r", line 2: gates\.m\.power: unknown key",
    "[currents.k]\nreversal = -0.077": r", line 2: currents\.k\.reversal: -0\.077: mV are expected",
    "[currents.k]\nreversal = -77.0\ngates = { n = 4 }": r"currents\.k: no gate 'n'; there are none",
    "[currents.k]\nreversal = -77.0": "give conductances where the membrane is alike everywhere, else regions",
    "conductances = { k = 1.0 }": r"conductances: no current 'k'",
    "conductances = { k = -1.0 }\n[currents.k]\nreversal = -77.0": r", line 1: conductances\.k",
    'conductances = { k = "x" }\n[currents.k]\nreversal = -77.0': r"conductances\.k: 'x': no variable 'x'",
    "[constants]\nV = 1.0": "constants: V has its meaning already",
    "[currents.k\nreversal = -77.0": r": not valid TOML|line 1",
    "rest = -70": "",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_in_a_file_is_one_line_with_the_place(tmp_path: Path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=WRONG[text]) as caught:
        read_membrane(file)
    assert str(caught.value).startswith(str(file)) and "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.toml: cannot be read \(No such file"):
        read_membrane(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bad\.toml: cannot be read \(it is no text\)"):
        read_membrane(tmp_path / "bad.toml")
