"""The reference against NEURON's reaction-diffusion module on the same compartments."""

import json

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from hpcpinn.physics.constants import PRESETS
from hpcpinn.reference.finite_volume import solve
from hpcpinn.reference.forcing import Forcing, VoltageTable
from hpcpinn.reference.mesh import make_mesh
from tests.reference.cables import branches

COMPARTMENTS = np.array([101, 75, 51])
LENGTHS = np.array([200.0, 150.0, 100.0])
CONSTANT_LEAK = 4.497120070890563
"""µM·µm/s; NEURON's leak does not depend on calcium."""


def y_cable():
    radii = [(1.0, 1.0), (0.63, 0.63), (0.5, 0.5)]
    return branches(LENGTHS.tolist(), radii, [-1, 0, 0])


def trajectories(shared, name):
    data = np.load(shared / "reference" / f"{name}.npz")
    return data, json.loads(str(data["meta"]))["sites"]


def deviation(values, neuron):
    """Largest difference over the largest excursion."""
    return np.abs(values - neuron).max() / np.abs(neuron - neuron[0]).max()


def test_diffusion_through_a_branch_point_buffering_and_pumps_for_one_second(shared):
    neuron, sites = trajectories(shared, "ref_yca")
    k = PRESETS["physical-N"].replace(vdcc_permeability=0.0, c_o=1e9, leak=CONSTANT_LEAK / 1e9)
    x = (np.arange(101) + 0.5) * 200.0 / 101
    c0 = np.where(np.r_[x, np.zeros(126)] > 180.0, 100.0, k.c_rest)
    s = solve(y_cable(), k, Forcing(), neuron["t"] * 1e-3, cells=COMPARTMENTS,
              initial=(c0, k.b_rest), tolerance=1e-6)  # fmt: skip
    for site in ("par175", "par195", "d1_3", "d1_7", "d2_3"):
        assert deviation(s.c[:, sites[site]], 1e3 * neuron[f"c_{site}"]) < 5e-6
        assert deviation(s.b[:, sites[site]], 1e3 * neuron[f"b_{site}"]) < 1e-6
    assert np.abs(s.balance).max() < 1e-9


def test_channels_driven_by_action_potentials(shared):
    """The voltage is known at seven sites only: what differs is their interpolation."""
    neuron, sites = trajectories(shared, "ref_y_fb0")
    keep = neuron["t"] <= 130.0
    t = neuron["t"][keep]
    names = list(sites)
    fine = np.linspace(0.0, t[-1], 4 * (len(t) - 1) + 1)
    voltage = CubicSpline(t, np.stack([neuron[f"v_{name}"][keep] for name in names], axis=1))(fine)
    k = PRESETS["physical-N"].replace(leak=1e-3 * CONSTANT_LEAK)
    forcing = Forcing(
        voltage=VoltageTable(1e-3 * fine, voltage, lambda mesh: site_weights(mesh, sites)),
        channel=np.array([1.0, 0.0, 1.0]),
    )
    s = solve(y_cable(), k, forcing, 1e-3 * t, cells=COMPARTMENTS, tolerance=1e-5)
    for site in ("par100", "par175", "par195", "d2_3", "d2_50"):
        assert deviation(s.c[:, sites[site]], 1e3 * neuron[f"c_{site}"][keep]) < 5e-4
        assert deviation(s.b[:, sites[site]], 1e3 * neuron[f"b_{site}"][keep]) < 1e-3


def site_weights(mesh, sites):
    """Linear along the path from the root, per branch; constant beyond the last site."""
    cells = np.array(list(sites.values()))
    place = mesh.cable.path.mean(axis=1)
    weights = np.zeros((mesh.n_cells, len(cells)))
    for i in range(mesh.n_cells):
        on_path = np.isin(mesh.frustum[cells], [0, mesh.frustum[i]])
        known = place[cells[on_path]]
        weights[i, on_path] = [np.interp(place[i], known, unit) for unit in np.eye(len(known))]
    return weights


@pytest.mark.parametrize("name", ["ref_yca", "ref_y_fb0"])
def test_volumes_and_areas_are_neurons(shared, name):
    table = np.genfromtxt(shared / "reference" / f"{name}_compartments.csv", delimiter=",", names=True,
                          dtype=None, encoding="utf-8")  # fmt: skip
    mesh = make_mesh(y_cable(), COMPARTMENTS)
    np.testing.assert_allclose(mesh.volume, table["volume_um3"], rtol=1e-6)
    np.testing.assert_allclose(mesh.membrane, table["area_um2"], rtol=1e-6)
