"""Benchmark 3: a Y of different radii with known solutions, against the width of the trunk.

    python scripts/bench_y_manufactured.py [--windows N]

Two solutions on three branches that meet in one point, all dimensionless:

- `exact`: diffusion alone, the slowest mode of three cylinders, u = cos(κ(L−s))/cos(κL) e^{−Dκ²t},
  with κ from the balance of the fluxes at the branch point;
- `manufactured`: two species that bind to each other on three cones, u = 1 + g(t)(0.3 + α sin(πs/2L)),
  the slopes α such that the fluxes balance; the source is whatever the equation leaves.

For every width M the table gives the relative L2 error over the tree and all windows, the flux
imbalance at the branch point |Σ A D ∂n u| / Σ |A D ∂n u| (L2 over time, the worst window), and the
exponent p with which the error falls as M^−p from the row before: it grows where the convergence
is spectral. The collocation grid grows with the trunk. Writes results/bench_y_manufactured.json and
.png.
"""

import argparse
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from jaxtyping import Array, Float  # noqa: E402
from numpy import ndarray  # noqa: E402
from numpy.polynomial.legendre import leggauss  # noqa: E402

from exact import star_mode  # noqa: E402
from hpcpinn.domain.coupled_window import CoupledWindow, NewtonSettings  # noqa: E402
from hpcpinn.domain.interfaces import build_interfaces, storage_order  # noqa: E402
from hpcpinn.domain.partition import colour  # noqa: E402
from hpcpinn.domain.schwarz import SweepSettings  # noqa: E402
from hpcpinn.morphology.cable import Cable  # noqa: E402
from hpcpinn.morphology.frusta import Frustum, assemble  # noqa: E402
from hpcpinn.networks.trunk import Trunk, make_separable_trunk, make_trunk  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.physics.constants import CYTOSOL  # noqa: E402
from hpcpinn.physics.system import ReactionDiffusion  # noqa: E402
from hpcpinn.training.collocation import feature_table, gauss_grid  # noqa: E402
from hpcpinn.training.local import Window, edge_values, field_at, piece_geometry, robin_parameter  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
SIDES = (4, 5, 6, 7, 8, 10, 12)
"""Features of space and of time; widths of the trunk are their squares."""
LENGTHS = np.array([1.0, 0.8, 0.6])
DURATION = 0.5


class KnownForcing(NamedTuple):
    """Source of every species, leaves (P, Q) per species."""

    sources: tuple[Array, ...]


@dataclass(frozen=True)
class Binding:
    """K species with a given source; two of them bind to each other as calcium and calbindin do."""

    diffusion: tuple[float, ...]
    binding: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        return ("c", "b")[: len(self.diffusion)]

    @property
    def _ones(self) -> tuple[float, ...]:
        return (1.0,) * len(self.diffusion)

    @property
    def scale(self) -> tuple[float, ...]:
        return self._ones

    @property
    def rate(self) -> tuple[float, ...]:
        return (self.binding,) * len(self.diffusion)

    @property
    def rest(self) -> tuple[float, ...]:
        return (0.0,) * len(self.diffusion)

    @property
    def volumes(self) -> tuple[str, ...]:
        """All live in the cytosol."""
        return (CYTOSOL,) * len(self.names)

    @property
    def content(self) -> tuple[float, ...]:
        return (1.0, -1.0)[: len(self.diffusion)]

    def reaction(self, u: Any) -> Any:
        """k⁻(b_tot − b) − k⁺ b c with b_tot = 2, k⁻ = k⁺, the same for both; 0 for one species."""
        if len(self.diffusion) == 1:
            return 0.0 * u[0]
        return self.binding * ((2.0 - u[1]) - u[0] * u[1])

    def source(self, u: Float[Array, " K"], forcing: KnownForcing) -> Float[Array, " K"]:
        return jnp.stack([self.reaction(u) + given for given in forcing.sources])

    def passage(self, u: Float[Array, " K"], forcing: KnownForcing) -> Float[Array, " 2"]:
        net = sum(w * given for w, given in zip(self.content, forcing.sources, strict=True))
        return jnp.stack([net, jnp.maximum(net, 0.0)])


class Solution(Protocol):
    """A known solution on the three branches, s away from the branch point."""

    name: str
    equation: Binding
    radii: Float[ndarray, "3 2"]

    def value(self, branch: int, s: Any, t: Any) -> Any:
        """All species, (K, ...)."""
        ...


@dataclass(frozen=True)
class ExactMode:
    """The slowest mode of three cylinders."""

    name: str = "exact"
    equation: Binding = Binding((1.0,))

    @property
    def radii(self) -> Float[ndarray, "3 2"]:
        return np.array([[1.0, 1.0], [0.63, 0.63], [0.5, 0.5]])

    def value(self, branch: int, s: Any, t: Any) -> Any:
        _, kappa = star_mode(LENGTHS, self.radii[:, 0])
        length = LENGTHS[branch]
        profile = jnp.cos(kappa * (length - s)) / np.cos(kappa * length)
        return jnp.stack([profile * jnp.exp(-self.equation.diffusion[0] * kappa**2 * t)])


@dataclass(frozen=True)
class ManufacturedBinding:
    """Two species on three cones, every one with its own course in time."""

    name: str = "manufactured"
    equation: Binding = Binding((1.0, 0.2), 3.0)

    @property
    def radii(self) -> Float[ndarray, "3 2"]:
        return np.array([[1.0, 0.7], [0.63, 0.5], [0.5, 0.6]])

    def value(self, branch: int, s: Any, t: Any) -> Any:
        area = self.radii[:, 0] ** 2
        alpha = np.array([0.4, -0.3, 0.0])
        alpha[2] = -np.sum((area * alpha / LENGTHS)[:2]) * LENGTHS[2] / area[2]
        shape = 0.3 + alpha[branch] * jnp.sin(0.5 * np.pi * s / LENGTHS[branch])
        courses = jnp.exp(-t) * jnp.sin(4.0 * t), jnp.cos(3.0 * t)
        return jnp.stack([1.0 + course * shape for course in courses])


def left_over(solution: Solution, branch: int, s: Array, t: Array) -> Float[Array, "K n"]:
    """What must be added to diffusion and binding for the solution to solve the equation."""
    first, last = solution.radii[branch]
    slope = (last - first) / LENGTHS[branch]

    def radius(s: Array) -> Array:
        return first + slope * s

    def at(s: Array, t: Array) -> Array:
        def flow(s: Array) -> Array:
            along = jax.jacfwd(solution.value, argnums=1)(branch, s, t)
            return jnp.asarray(solution.equation.diffusion) * radius(s) ** 2 * along

        u = solution.value(branch, s, t)
        change = jax.jacfwd(solution.value, argnums=2)(branch, s, t)
        return change - jax.jacfwd(flow)(s) / radius(s) ** 2 - solution.equation.reaction(u)

    return jax.vmap(at)(s, t).T


def star(radii: Float[ndarray, "3 2"], pieces_per_branch: int) -> Cable:
    """Three branches from one node, each cut into equal pieces."""
    directions = np.array([[-1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.6, -0.8, 0.0]])
    frusta = [
        Frustum(
            tail=0, head=k + 1, xyz=np.stack([np.zeros(3), LENGTHS[k] * directions[k]]),
            radius=tuple(radii[k]), length=LENGTHS[k], kind=3, swc_id=k + 1, order=k,
        )
        for k in range(3)
    ]  # fmt: skip
    cuts = np.arange(1, pieces_per_branch) / pieces_per_branch
    return assemble(frusta).split([cuts] * 3)


@dataclass(frozen=True)
class Bench:
    """One solution on one cut of the tree with one trunk."""

    solution: Solution
    solver: CoupledWindow
    pieces: Cable

    @classmethod
    def of(cls, solution: Solution, side: int, joint: bool, pieces_per_branch: int = 2) -> "Bench":
        cable = star(solution.radii, pieces_per_branch)
        colours, owner = colour(cable), np.zeros(cable.n_frusta, int)
        local = storage_order(owner, colours, 0)
        make = partial(make_trunk, side**2) if joint else partial(make_separable_trunk, side, side)
        trunk: Trunk = make(seed=0)
        table = feature_table(trunk, gauss_grid(side + 2, side + 2))
        equation: ReactionDiffusion = solution.equation
        solver = CoupledWindow(
            equation=equation,
            table=table,
            geometry=piece_geometry(cable.take(local), table.grid.space),
            interfaces=build_interfaces(cable, owner, colours, 0),
            communicator=SerialCommunicator(),
            sweeping=SweepSettings(
                int(np.sum(colours == 0)), acceleration="tree", tolerance=1e-10, max_sweeps=60, most_per_window=600
            ),
            newton=NewtonSettings(tolerance=1e-10, max_steps=20),
        )
        return cls(solution, solver, cable.take(local))

    def at(self, function: Any, xi: ndarray, times: ndarray) -> Float[ndarray, "P K n"]:
        """A function of (branch, s, t) at positions ξ and times, pairwise, on all pieces."""
        rows = []
        for branch, start, length in zip(self.pieces.section, self.pieces.start, self.pieces.length, strict=True):
            s = start + 0.5 * length * (xi + 1.0)
            rows.append(np.asarray(function(int(branch), jnp.asarray(s), jnp.asarray(times))))
        return np.stack(rows)

    def run(self, windows: int) -> dict[str, Any]:
        """Marches over the windows; errors and imbalance as the module says."""
        solver, grid = self.solver, self.solver.table.grid
        length = DURATION / windows
        exact = self.solution.value
        field = jnp.asarray(self.at(exact, grid.space, np.zeros(len(grid.space))))
        wrong = whole = imbalance = 0.0
        sweeps = 0
        for window in range(windows):
            start = window * length
            xi, tau = grid.points
            given = self.at(partial(left_over, self.solution), xi, start + 0.5 * length * (tau + 1.0))
            forcing = KnownForcing(tuple(jnp.asarray(given[:, k]) for k in range(given.shape[1])))
            data = Window(jnp.asarray(length), field, forcing)
            size = jnp.max(jnp.abs(field), axis=(0, 2))
            no_flux = jnp.zeros((len(self.pieces.length), 2, given.shape[1], len(grid.time)))
            solved = solver.solve(data, solver.continued(field, length), no_flux, size)
            heads = solved.traces.heads
            if not solved.converged:
                print(f"  no convergence: change {solved.change:.1e}, jump {solved.jump:.1e}")
            sweeps = max(sweeps, int(np.isfinite(solved.histories).sum(axis=1).max()))
            off, away = self._norms(heads, start, length)
            wrong, whole = wrong + off, whole + away
            imbalance = max(imbalance, self._imbalance(heads, length))
            field = solver.at_end(heads)
        return {"error": float(np.sqrt(wrong / whole)), "imbalance": imbalance, "sweeps": sweeps}

    def _norms(self, heads: Array, start: float, length: float) -> tuple[float, float]:
        """Squared norms of error and solution, weighted by volume, on points of their own."""
        nodes, weights = leggauss(16)
        xi, tau = (part.ravel() for part in np.meshgrid(nodes, nodes))
        ours = field_at(self.solver.table.trunk.features(xi, tau).value, heads, self.solver.equation)
        theirs = self.at(self.solution.value, xi, start + 0.5 * length * (tau + 1.0))
        area = np.asarray(piece_geometry(self.pieces, nodes).cross_section(0))
        weight = self.pieces.length[:, None] * np.tile(area * weights, (1, 16)) * np.repeat(weights, 16)
        off = (np.asarray(ours) - theirs) ** 2
        return float(np.einsum("pkn,pn->", off, weight)), float(np.einsum("pkn,pn->", theirs**2, weight))

    def _imbalance(self, heads: Array, length: float) -> float:
        """Of the species with the worse one."""
        solver = self.solver
        _, slope = edge_values(solver.equation, solver.table, solver.geometry, jnp.asarray(length), heads)
        kappa = np.asarray(robin_parameter(solver.equation, length))[:, None]
        flux = np.asarray(slope) * kappa * np.array(solver.equation.diffusion)[:, None]
        flux = flux * np.asarray(solver.geometry.end_area)[..., None]
        meeting = flux[self.pieces.node == 0]
        weight = solver.table.grid.time_weight
        left = np.sqrt((meeting.sum(axis=0) ** 2) @ weight)
        return float(np.max(left / np.sqrt((np.abs(meeting).sum(axis=0) ** 2) @ weight)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--windows", type=int, default=4, help="windows that the time is cut into")
    windows = arguments.parse_args().windows
    figures: dict[str, list[dict[str, Any]]] = {}
    for solution in (ExactMode(), ManufacturedBinding()):
        for joint in (False, True):
            kind = "joint" if joint else "separable"
            title = f"{solution.name}, {kind} trunk"
            print(f"\n{title}\n{'M':>5}{'grid':>9}{'error':>10}{'order':>8}{'imbalance':>11}{'sweeps':>8}")
            rows = figures[title] = []
            for side in SIDES:
                row = {"features": side**2, **Bench.of(solution, side, joint).run(windows)}
                order = ""
                if rows:
                    last = rows[-1]
                    fall = np.log(last["error"] / row["error"])
                    row["order"] = float(fall / np.log(row["features"] / last["features"]))
                    order = f"{row['order']:.1f}"
                rows.append(row)
                print(
                    f"{row['features']:5}{f'{side + 2}x{side + 2}':>9}{row['error']:10.1e}{order:>8}"
                    f"{row['imbalance']:11.1e}{row['sweeps']:8}",
                    flush=True,
                )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_y_manufactured.json").write_text(json.dumps(figures, indent=1))
    draw(figures)


def draw(figures: dict[str, list[dict[str, Any]]]) -> None:
    """Error and imbalance against the width."""
    figure, axes = pyplot.subplots(1, 2, figsize=(8.0, 3.6), sharex=True, layout="constrained")
    for index, (title, rows) in enumerate(figures.items()):
        width = [row["features"] for row in rows]
        style = {"color": f"C{index // 2}", "linestyle": "-" if index % 2 == 0 else "--", "marker": ".", "ms": 8}
        for axis, key in zip(axes, ("error", "imbalance"), strict=True):
            axis.semilogy(width, [row[key] for row in rows], label=title, **style)
    for axis, label in zip(axes, ("relative L2 error", "flux imbalance at the branch point"), strict=True):
        axis.axhline(1e-6, color="0.7", linewidth=0.8)
        axis.set(xlabel="features of the trunk", ylabel=label)
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(RESULTS / "bench_y_manufactured.png", dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
