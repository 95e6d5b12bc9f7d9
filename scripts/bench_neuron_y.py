"""The finite-volume reference against NEURON's reaction-diffusion module on a Y of three cylinders.

Usage: python scripts/bench_neuron_y.py [FOLDER]

FOLDER holds ref_yca.npz and ref_y_fb0.npz (by default ../shared/reference, or
$HPCPINN_SHARED/reference). Prints the largest difference at every site, over the largest
excursion there, and the wall time of both.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import CubicSpline

from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.physics.constants import PRESETS
from hpcpinn.reference.finite_volume import FvSolution, solve
from hpcpinn.reference.forcing import Forcing, VoltageTable
from hpcpinn.reference.mesh import Mesh

COMPARTMENTS = np.array([101, 75, 51])
LEAK = 4.497120070890563
"""µM·µm/s, independent of calcium in those runs."""
LOADED_FROM = 180.0
"""In ref_yca the parent starts with 100 µM beyond this place, µm."""


def y_cable() -> Cable:
    """Parent 200 × 2 µm with two children, 150 × 1.26 and 100 × 1 µm."""
    length, radius = np.array([200.0, 150.0, 100.0]), np.array([1.0, 0.63, 0.5])
    path = np.array([[0.0, 200.0], [200.0, 350.0], [200.0, 300.0]])
    xyz = np.zeros((3, 2, 3))
    xyz[..., 0] = path
    return Cable(
        sections=(Section("par", 3, -1), Section("d1", 3, 0), Section("d2", 3, 0)),
        section=np.arange(3),
        kind=np.full(3, 3),
        node=np.array([[0, 1], [1, 2], [1, 3]]),
        start=np.zeros(3),
        length=length,
        radius=np.stack([radius, radius], axis=1),
        er_radius=np.zeros((3, 2)),
        xyz=xyz,
        path=path,
        swc_id=np.full(3, -1),
    )


def calcium_alone(times: Float[ndarray, " T"], tolerance: float) -> FvSolution:
    """ref_yca: a loaded end, diffusion through the branch point, buffering, pumps."""
    # A leak that does not depend on calcium: an endless supply behind a tiny permeability.
    k = PRESETS["physical-N"].replace(vdcc_permeability=0.0, c_o=1e9, leak=LEAK / 1e9)
    x = (np.arange(COMPARTMENTS[0]) + 0.5) * 200.0 / COMPARTMENTS[0]
    loaded = np.r_[x, np.zeros(COMPARTMENTS[1:].sum())] > LOADED_FROM
    initial = np.where(loaded, 100.0, k.c_rest), k.b_rest
    return solve(y_cable(), k, Forcing(), times, cells=COMPARTMENTS, initial=initial, tolerance=tolerance)


def with_spikes(data: dict, sites: dict[str, int], tolerance: float) -> FvSolution:
    """ref_y_fb0: channels in the parent and one child, driven by NEURON's voltage at its sites."""
    t = data["t"]
    fine = np.linspace(t[0], t[-1], 4 * (len(t) - 1) + 1)
    voltage = CubicSpline(t, np.stack([data[f"v_{name}"] for name in sites], axis=1))(fine)

    def weights(mesh: Mesh) -> Float[ndarray, "N S"]:
        cells, place = np.array(list(sites.values())), mesh.cable.path.mean(axis=1)
        rows = np.zeros((mesh.n_cells, len(cells)))
        for i in range(mesh.n_cells):
            on_path = np.isin(mesh.frustum[cells], [0, mesh.frustum[i]])
            known = place[cells[on_path]]
            rows[i, on_path] = [np.interp(place[i], known, unit) for unit in np.eye(len(known))]
        return rows

    k = PRESETS["physical-N"].replace(leak=1e-3 * LEAK)
    forcing = Forcing(VoltageTable(1e-3 * fine, voltage, weights), channel=np.array([1.0, 0.0, 1.0]))
    return solve(y_cable(), k, forcing, 1e-3 * t, cells=COMPARTMENTS, tolerance=tolerance)


def report(name: str, solution: FvSolution, data: dict, sites: dict[str, int], neuron_seconds: float) -> None:
    """Prints one table."""
    print(f"\n{name}: reference {solution.seconds:.2f} s ({solution.work.steps} steps), "
          f"NEURON (CVODE) {neuron_seconds:.2f} s")  # fmt: skip
    print(f"{'site':>8} {'excursion c / uM':>18} {'c':>9} {'b':>9}")
    for site, cell in sites.items():
        c, b = 1e3 * data[f"c_{site}"], 1e3 * data[f"b_{site}"]
        moved_c, moved_b = np.ptp(c), np.ptp(b)
        if moved_c < 1e-6:
            continue  # below what NEURON resolves
        off_c = np.abs(solution.c[:, cell] - c).max() / moved_c
        off_b = np.abs(solution.b[:, cell] - b).max() / moved_b
        print(f"{site:>8} {moved_c:18.4g} {off_c:9.1e} {off_b:9.1e}")
    print(f"calcium balance of the reference {np.abs(solution.balance).max():.1e}")


def main() -> None:
    default = Path(os.environ.get("HPCPINN_SHARED", Path(__file__).parents[2] / "shared")) / "reference"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for name in ("ref_yca", "ref_y_fb0"):
        if not (folder / f"{name}.npz").is_file():
            sys.exit(f"{folder / name}.npz: not found; name the folder that holds it")
        data = dict(np.load(folder / f"{name}.npz"))
        meta = json.loads(str(data["meta"]))
        sites = meta["sites"]
        spiking = name == "ref_y_fb0"
        solution = with_spikes(data, sites, 1e-5) if spiking else calcium_alone(1e-3 * data["t"], 1e-6)
        report(name, solution, data, sites, meta["wall_s"])


if __name__ == "__main__":
    main()
