"""Screened diffusion on a disc as a system of one file: stationary, by least squares on a masked box."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcpinn.config.declared import whole_table
from hpcpinn.config.shared import DataTable, InferenceTable, Parameters, RunTable, WindowTable
from hpcpinn.config.values import Description, Size
from hpcpinn.core.parameters import POSITIVE, Constants, Scalar, constant
from hpcpinn.core.system import Attempt, Packed


@dataclass(frozen=True)
class PlateConstants(Constants):
    """Constants of D Δu = k u on a disc, u = edge on its rim."""

    D: Scalar = constant("Diffusion", "µm²/s", POSITIVE, default=2.0)
    k: Scalar = constant("Uptake", "1/s", POSITIVE, default=0.5)
    edge: Scalar = constant("Concentration on the rim", "µM", POSITIVE, default=1.0)
    radius: Scalar = constant("Radius of the disc", "µm", POSITIVE, default=4.0)


class PlateTable(whole_table(PlateConstants)):  # type: ignore[misc]
    """Constants of the disc."""


class PlateRun(RunTable):
    """What is written.

    Attributes:
        cells: Output cells along a side of the box.
        degree: Highest even power of the polynomials.
    """

    cells: Size = 25
    degree: Size = 16


class PlateDescription(Description):
    """What a job says of a disc."""

    constants: PlateTable = PlateTable()
    run: PlateRun = PlateRun()
    window: WindowTable = WindowTable(tolerance=1e-4)
    parameter: Parameters = ()
    data: DataTable = DataTable()
    inference: InferenceTable = InferenceTable()


def even_powers(x, y, degree, jnp):
    """Products of even powers of x and y up to a degree, and their Laplacians, on the unit disc: (N, n) each."""
    values, curved = [], []
    for i in range(0, degree + 1, 2):
        for j in range(0, degree + 1 - i, 2):
            values.append(x**i * y**j)
            bent_x = i * (i - 1) * x ** max(i - 2, 0) * y**j
            bent_y = j * (j - 1) * x**i * y ** max(j - 2, 0)
            curved.append(bent_x + bent_y)
    return jnp.stack(values, axis=-1), jnp.stack(curved, axis=-1)


@dataclass(frozen=True)
class PlateState:
    """Coefficients of the polynomials; none before the one attempt."""

    time: float
    coefficients: Any = None


class PlateProblem:
    """A disc whose polynomials fit the equation inside and the value on the rim."""

    def __init__(self, described: PlateDescription):
        from hpcpinn.io.geometry import Box
        from hpcpinn.io.schema import Variable
        from hpcpinn.marching.controller import WindowRule

        self.parameters, self.degree = PlateConstants(**described.constants.changes), described.run.degree
        window, radius = described.window, self.parameters.radius
        line = radius * ((2.0 * np.arange(described.run.cells) + 1.0) / described.run.cells - 1.0)
        x, y = np.meshgrid(line, line)
        self.fields = (Variable("u", "uM", "concentration", least=0.0),)
        self.geometry = Box(line, line, mask=x**2 + y**2 < radius**2)
        self.rule = WindowRule(window.first, window.shortest, window.longest, window.tolerance)
        self.stops, self.times = np.zeros(0), np.zeros(1)
        self.observed = {"value": "uM", "x": "um", "y": "um"}

    def start(self):
        return PlateState(0.0)

    def fitted(self, k, degree, jnp):
        """Coefficients by least squares; lengths are in radii."""
        turn, out = np.meshgrid(np.linspace(0.0, np.pi / 2.0, 24), np.sqrt(np.linspace(0.01, 0.99, 20)))
        inside, curved = even_powers((out * np.cos(turn)).ravel(), (out * np.sin(turn)).ravel(), degree, jnp)
        rim, _ = even_powers(np.cos(turn[0]), np.sin(turn[0]), degree, jnp)
        rows = jnp.concatenate([curved - k.k * k.radius**2 / k.D * inside, 10.0 * rim])
        wanted = jnp.concatenate([jnp.zeros(len(inside)), 10.0 * k.edge * jnp.ones(len(rim))])
        return jnp.linalg.lstsq(rows, wanted)[0]

    def at(self, coefficients, x, y, degree, radius, jnp):
        return even_powers(x / radius, y / radius, degree, jnp)[0] @ coefficients

    def attempt(self, state, length, reuse):
        import jax.numpy as jnp

        found = [np.asarray(self.fitted(self.parameters, degree, jnp)) for degree in (self.degree - 2, self.degree)]
        frames = [self._frame(one, degree) for one, degree in zip(found, (self.degree - 2, self.degree), strict=True)]
        error = float(np.nanmax(np.abs(frames[1] - frames[0])) / np.nanmax(np.abs(frames[1])))
        return Attempt(length, error, PlateState(0.0, found[1]), notes={"unknowns": len(found[1])}, inside=frames[1])

    def _frame(self, coefficients, degree):
        x, y = np.meshgrid(self.geometry.x, self.geometry.y)
        values = self.at(coefficients, x, y, degree, self.parameters.radius, np)
        return np.where(self.geometry.mask, values, np.nan)

    def observe(self, attempt, times):
        return {"u": np.repeat(attempt.inside[None], len(times), axis=0)}

    def pack(self, state):
        return Packed(scalars={"coefficients": state.coefficients})

    def unpack(self, packed):
        return PlateState(0.0, packed.scalars["coefficients"])

    def closed_form(self, times):
        """The modified Bessel function of the distance from the middle."""
        from scipy.special import i0

        k = self.parameters
        reach = np.sqrt(k.D / k.k)
        x, y = np.meshgrid(self.geometry.x, self.geometry.y)
        values = k.edge * i0(np.hypot(x, y) / reach) / i0(k.radius / reach)
        return {"u": np.repeat(np.where(self.geometry.mask, values, np.nan)[None], len(times), axis=0)}

    def predict(self, parameters, at):
        import jax.numpy as jnp

        coefficients = self.fitted(parameters, self.degree, jnp)
        return self.at(coefficients, jnp.asarray(at["x"]), jnp.asarray(at["y"]), self.degree, parameters.radius, jnp)


class Plate:
    """The system of discs."""

    name = "plate"
    summary = "screened diffusion on a disc"
    tables = PlateDescription

    def build(self, described: PlateDescription, communicator: Any) -> PlateProblem:
        return PlateProblem(described)


SYSTEM = Plate()
