"""Benchmark: a straight passive cable in a uniform field against its closed form.

    python scripts/bench_field.py [--compartments 801] [--field 80]

A cable of 1000 µm (radius 1 µm, 100 Ω·cm, 1 µF/cm², 0.1 mS/cm²) with sealed ends, rest −70 mV. In a field
E along it, on since t = 0, the voltage at the distance x from the middle is, λ being the length
constant, τ the time constant, L the length, κ_k = kπ/L,

    V − rest = E λ sinh(x/λ)/cosh(L/2λ) + Σ_{k odd} (4E/L)/(1/λ² + κ_k²) cos(κ_k (x + L/2)) e^{−(1 + λ²κ_k²) t/τ}.

Prints the error of the steady state and of a moment on the way, the signs of both ends, and the orders
observed in space (against the steady closed form) and in time (against the exact solution of the same
compartments). Ends with 1 unless the error is below 1e-6, the signs are right and the orders are 2.
Writes results/bench_field.json.
"""

import argparse
import json
import sys
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

import numpy as np  # noqa: E402
from numpy import ndarray  # noqa: E402

from exact import axial_matrix  # noqa: E402
from hpcpinn.morphology.cable import Cable, Section  # noqa: E402
from hpcpinn.morphology.compartments import compartments  # noqa: E402
from hpcpinn.physics.membrane_constants import CableConstants  # noqa: E402
from hpcpinn.physics.membranes import channel_set_named  # noqa: E402
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field  # noqa: E402
from hpcpinn.timestepping.cable_equation import CableEquation  # noqa: E402
from hpcpinn.timestepping.pulse_steps import CurrentClamp, Steps, VoltageStepRule, steps_between  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
LENGTH, RADIUS, R_I, C_M, LEAK, REST = 1000.0, 1.0, 100.0, 1.0, 0.1, -70.0
TAU = C_M / LEAK
"""ms."""
SCALE = 1e4 * np.sqrt(RADIUS * 1e-4 / (2.0 * R_I * LEAK * 1e-3))
"""λ, µm."""
MOMENT = 2.0
"""ms after the field is switched on."""


def straight(count: int) -> CableEquation:
    """The cable in so many compartments."""
    radius = np.array([[RADIUS, RADIUS]])
    cable = Cable(
        sections=(Section("dend[0]", 3, -1),),
        section=np.zeros(1, int),
        kind=np.array([3]),
        node=np.array([[0, 1]]),
        start=np.zeros(1),
        length=np.array([LENGTH]),
        radius=radius,
        er_radius=np.zeros((1, 2)),
        xyz=np.array([[[0.0, 0.0, 0.0], [LENGTH, 0.0, 0.0]]]),
        path=np.array([[0.0, LENGTH]]),
        swc_id=np.full(1, -1),
    )
    cells = compartments(cable, np.array([count]))
    return CableEquation(cells, [channel_set_named("passive")] * count, CableConstants(R_I, C_M))


def source(equation: CableEquation, magnitude: float) -> ndarray:
    """What the field drives, nA."""
    cells = equation.compartments
    return equation.field_source(quasipotential(cells.cable, uniform_field(magnitude, [1, 0, 0]))[cells.node])


def polarised(count: int, magnitude: float) -> tuple[ndarray, ndarray]:
    """Distance of the compartments from the middle, and V − rest after a very long time."""
    equation = straight(count)
    for_ever = Steps(np.full(3, 1e9), np.ones(3), np.ones((3, 1)))
    _, V = equation.march(equation.uniform_state(REST), for_ever, source(equation, magnitude)[None])
    return equation.compartments.xyz[:count, 0] - 0.5 * LENGTH, V[-1] - REST


def on_the_way(equation: CableEquation, magnitude: float, step: float) -> ndarray:
    """V − rest at MOMENT after the field was switched on."""
    steps = steps_between(0.0, MOMENT, VoltageStepRule(step, step), clamps=[CurrentClamp(0.0, 2.0 * MOMENT)])
    _, V = equation.march(equation.uniform_state(REST), steps, source(equation, magnitude)[None])
    return V[-1] - REST


def closed_form(x: ndarray, magnitude: float, t: float = np.inf) -> ndarray:
    """V − rest, mV."""
    E = 1e-3 * magnitude
    V = E * SCALE * np.sinh(x / SCALE) / np.cosh(0.5 * LENGTH / SCALE)
    if np.isfinite(t):
        k = np.arange(1, 400, 2) * np.pi / LENGTH
        weight = 4.0 * E / LENGTH / (1.0 / SCALE**2 + k**2) * np.exp(-(1.0 + (SCALE * k) ** 2) * t / TAU)
        V = V + np.cos(k * (x[:, None] + 0.5 * LENGTH)) @ weight
    return V


def same_compartments(equation: CableEquation, magnitude: float) -> ndarray:
    """The exact solution at MOMENT of the compartments' own equations, by their eigenvectors."""
    cells = equation.compartments
    matrix = axial_matrix(cells, R_I)
    capacitance = 1e-5 * C_M * cells.area
    root = np.sqrt(capacitance)
    matrix = matrix / np.outer(root, root) - LEAK / C_M * np.eye(cells.count)
    values, vectors = np.linalg.eigh(matrix)
    push = source(equation, magnitude)[equation.rows] / root
    return vectors @ (np.expm1(values * MOMENT) / values * (vectors.T @ push)) / root


def orders(errors: list[float]) -> list[float]:
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:])).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--compartments", type=int, default=801)
    parser.add_argument("--field", type=float, default=80.0, help="V/m")
    given = parser.parse_args()

    x, V = polarised(given.compartments, given.field)
    exact = closed_form(x, given.field)
    steady = float(np.abs(V - exact).max() / np.abs(exact).max())
    equation = straight(given.compartments)
    way = closed_form(x, given.field, MOMENT)
    moving = float(np.abs(on_the_way(equation, given.field, 1e-3) - way).max() / np.abs(way).max())
    print(f"steady, {given.compartments} compartments: off by {steady:.1e} of the largest polarisation")
    print(f"{MOMENT:g} ms after the field is switched on, steps of 0.001 ms: off by {moving:.1e}")
    ends = V[[0, -1]].tolist()
    signs = bool(V[-1] > 0.0 > V[0])
    print(f"ends, E towards the last: {ends[0]:+.4f} mV and {ends[1]:+.4f} mV: the end that it points to "
          f"{'depolarises' if signs else 'DOES NOT depolarise'}")  # fmt: skip
    counts = [20, 40, 80, 160, 320]
    in_space = []
    for count in counts:
        x, V = polarised(count, given.field)
        in_space.append(float(np.abs(V - closed_form(x, given.field)).max()))
    small = straight(41)
    true = same_compartments(small, given.field)
    lengths = [0.2, 0.1, 0.05, 0.025, 0.0125]
    in_time = [float(np.abs(on_the_way(small, given.field, step) - true).max()) for step in lengths]
    for title, sizes, errors in (("compartments", counts, in_space), ("step / ms", lengths, in_time)):
        print(f"{title:>14} {'error / mV':>11} {'order':>6}")
        for size, error, order in zip(sizes, errors, [np.nan, *orders(errors)], strict=True):
            print(f"{size:>14g} {error:>11.2e} {order:>6.2f}")
    second = min(orders(in_space) + orders(in_time)[1:]) > 1.9
    held = steady < 1e-6 and moving < 1e-6 and signs and second
    report = {
        "compartments": given.compartments, "field_V_per_m": given.field, "steady": steady, "on_the_way": moving,
        "ends_mV": ends, "in_space": dict(zip(counts, in_space, strict=True)), "order_in_space": orders(in_space),
        "in_time": dict(zip(lengths, in_time, strict=True)), "order_in_time": orders(in_time), "held": held,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_field.json").write_text(json.dumps(report, indent=1))
    print("all held" if held else "NOT held")
    sys.exit(not held)


if __name__ == "__main__":
    main()
