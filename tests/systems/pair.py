"""A FitzHugh-Nagumo pair as a system of one file: it marches."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcpinn.config.declared import whole_table
from hpcpinn.config.shared import DataTable, InferenceTable, Parameters, RunTable, WindowTable
from hpcpinn.config.values import Description
from hpcpinn.core.parameters import POSITIVE, REAL, Constants, Scalar, constant
from hpcpinn.core.system import Attempt, Packed


@dataclass(frozen=True)
class PairConstants(Constants):
    """Constants of v' = v − v³/3 − w + current, τ w' = v + a − b w."""

    tau: Scalar = constant("Time constant of recovery", "ms", POSITIVE, default=12.5)
    a: Scalar = constant("Shift of the line of recovery", bounds=REAL, measure=0.1, default=0.7)
    b: Scalar = constant("Slope of recovery", bounds=POSITIVE, default=0.8)
    current: Scalar = constant("Applied current", bounds=REAL, measure=0.1, default=0.5)


class PairTable(whole_table(PairConstants)):  # type: ignore[misc]
    """Constants of the pair."""


class PairDescription(Description):
    """What a job says of a pair."""

    constants: PairTable = PairTable()
    run: RunTable = RunTable()
    window: WindowTable = WindowTable()
    parameter: Parameters = ()
    data: DataTable = DataTable()
    inference: InferenceTable = InferenceTable()


def rate(k, v, w):
    """Derivatives of activator and recovery."""
    return v - v**3 / 3.0 - w + k.current, (v + k.a - k.b * w) / k.tau


@dataclass(frozen=True)
class PairState:
    """The pair at a time."""

    time: float
    v: float = -1.0
    w: float = 1.0


class PairProblem:
    """A pair that is followed by steps of fourth order, each held against two halves of it."""

    def __init__(self, described: PairDescription):
        from hpcpinn.io.geometry import Points
        from hpcpinn.io.schema import Variable
        from hpcpinn.marching.controller import WindowRule

        run, window = described.run, described.window
        self.parameters = PairConstants(**described.constants.changes)
        self.fields = (Variable("v", "", "activator"), Variable("w", "", "recovery"))
        self.geometry = Points()
        self.rule = WindowRule(window.first, window.shortest, window.longest, window.tolerance, order=5.0)
        self.stops = np.array([run.duration])
        self.times = np.arange(0.0, run.duration * (1.0 + 1e-9), run.output_interval)
        self.observed = {"value": "1", "t": "ms"}

    def start(self):
        return PairState(0.0)

    def attempt(self, state, length, reuse):
        once = self._step(state, length)
        middle = self._step(state, 0.5 * length)
        twice = self._step(middle, 0.5 * length)
        error = max(abs(once.v - twice.v), abs(once.w - twice.w)) / 15.0
        return Attempt(length, error, twice, notes={"steps": 3}, inside=(state, middle, twice))

    def _step(self, state, h):
        k, y = self.parameters, np.array([state.v, state.w])
        k1 = np.array(rate(k, *y))
        k2 = np.array(rate(k, *(y + 0.5 * h * k1)))
        k3 = np.array(rate(k, *(y + 0.5 * h * k2)))
        k4 = np.array(rate(k, *(y + h * k3)))
        v, w = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return PairState(state.time + h, float(v), float(w))

    def observe(self, attempt, times):
        from scipy.interpolate import CubicHermiteSpline

        states = attempt.inside
        at = np.array([state.time - states[0].time for state in states])
        values = np.array([[state.v, state.w] for state in states])
        slopes = np.array([rate(self.parameters, state.v, state.w) for state in states])
        found = CubicHermiteSpline(at, values, slopes)(times)
        return {"v": found[:, :1], "w": found[:, 1:]}

    def pack(self, state):
        return Packed(scalars={"time": state.time, "v": state.v, "w": state.w})

    def unpack(self, packed):
        return PairState(**{name: float(value) for name, value in packed.scalars.items()})

    def reference(self, times):
        """The pair by another method."""
        from scipy.integrate import solve_ivp

        k, span = self.parameters, (0.0, float(self.stops[-1]))
        found = solve_ivp(lambda t, y: rate(k, *y), span, [-1.0, 1.0], "DOP853", times, rtol=1e-11, atol=1e-12)
        return {"v": found.y[0][:, None], "w": found.y[1][:, None]}

    def predict(self, parameters, at):
        """The activator at times ``at["t"]``, by small steps that JAX can trace."""
        import jax
        import jax.numpy as jnp

        h, count = 0.05, int(np.ceil(float(self.stops[-1]) / 0.05)) + 1

        def step(y, _):
            k1 = jnp.array(rate(parameters, *y))
            k2 = jnp.array(rate(parameters, *(y + 0.5 * h * k1)))
            k3 = jnp.array(rate(parameters, *(y + 0.5 * h * k2)))
            k4 = jnp.array(rate(parameters, *(y + h * k3)))
            after = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            return after, after[0]

        _, v = jax.lax.scan(step, jnp.array([-1.0, 1.0]), None, length=count)
        times, v = h * jnp.arange(count + 1), jnp.concatenate([jnp.array([-1.0]), v])
        return jnp.interp(jnp.asarray(at["t"]), times, v, left=jnp.nan, right=jnp.nan)


class Pair:
    """The system of FitzHugh-Nagumo pairs."""

    name = "pair"
    summary = "a FitzHugh-Nagumo pair"
    tables = PairDescription

    def build(self, described: PairDescription, communicator: Any) -> PairProblem:
        return PairProblem(described)


SYSTEM = Pair()
