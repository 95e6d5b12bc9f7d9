"""The reference against NEURON's reaction-diffusion module on the same compartments."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from hpcpinn.physics.constants import PRESETS
from hpcpinn.reference.finite_volume import solve
from hpcpinn.reference.forcing import Forcing, VoltageTable
from hpcpinn.reference.mesh import make_mesh
from tests.mpi.runner import REPOSITORY
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


def calcium_alone(compartments, parts, times, tolerance):
    """100 µM in the parent's compartments beyond 180 µm, pumps and leak, no channel."""
    k = PRESETS["physical-N"].replace(vdcc_permeability=0.0, c_o=1e9, leak=CONSTANT_LEAK / 1e9)
    middle = (np.arange(compartments[0]) + 0.5) * LENGTHS[0] / compartments[0]
    loaded = np.r_[middle > 180.0, np.zeros(compartments[1:].sum(), bool)]
    c0 = np.where(np.repeat(loaded, parts), 100.0, k.c_rest)
    return solve(y_cable(), k, Forcing(), times, cells=compartments * parts,
                 initial={"calcium": c0}, tolerance=tolerance)  # fmt: skip


def deviation(values, neuron):
    """Largest difference over the largest excursion."""
    return np.abs(values - neuron).max() / np.abs(neuron - neuron[0]).max()


def test_diffusion_through_a_branch_point_buffering_and_pumps_for_one_second(shared):
    neuron, sites = trajectories(shared, "ref_yca")
    s = calcium_alone(COMPARTMENTS, 1, neuron["t"] * 1e-3, tolerance=1e-6)
    for site in ("par175", "par195", "d1_3", "d1_7", "d2_3"):
        assert deviation(s.fields["calcium"][:, sites[site]], 1e3 * neuron[f"c_{site}"]) < 5e-6
        assert deviation(s.fields["calbindin"][:, sites[site]], 1e3 * neuron[f"b_{site}"]) < 1e-6
    assert np.abs(s.balance).max() < 1e-9


@pytest.mark.skipif(
    importlib.util.find_spec("neuron") is None, reason="NEURON is not installed (pip install 'neuron>=9')"
)
@pytest.mark.parametrize("parts", [1, 3])
def test_neuron_run_now_on_coarse_and_on_divided_compartments(tmp_path, parts):
    compartments, times = np.array([21, 15, 11]), 1e-3 * np.r_[0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
    np.save(tmp_path / "times.npy", times)
    subprocess.run(
        [
            sys.executable, REPOSITORY / "scripts" / "neuron_y.py", tmp_path / "neuron.npz",
            "--times", tmp_path / "times.npy", "--factor", str(parts),
            "--compartments", *map(str, compartments),
        ],
        check=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    neuron = np.load(tmp_path / "neuron.npz")
    s = calcium_alone(compartments, parts, times, tolerance=1e-7)
    for ours, theirs in ((s.fields["calcium"], neuron["c"]), (s.fields["calbindin"], neuron["b"])):
        averaged = ours.reshape(len(times), -1, parts).mean(axis=2)
        moved = np.ptp(theirs, axis=0)
        lively = moved > 1e-2
        assert lively[: compartments[0]].any() and lively[compartments[0] : -11].any() and lively[-11:].any()
        assert (np.abs(averaged - theirs).max(axis=0) < 1e-5 * moved)[lively].all()


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
        assert deviation(s.fields["calcium"][:, sites[site]], 1e3 * neuron[f"c_{site}"][keep]) < 5e-4
        assert deviation(s.fields["calbindin"][:, sites[site]], 1e3 * neuron[f"b_{site}"][keep]) < 1e-3


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
