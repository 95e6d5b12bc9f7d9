"""Adaptive Rosenbrock integration of stiff systems: Rodas5P, order 5, L-stable.

Steinebach, BIT Numerical Mathematics 63:27 (2023), doi:10.1007/s10543-023-00967-x. Eight stages,
one factorisation per step, an embedded fourth-order solution and fourth-order dense output;
made for parabolic problems, on which other Rosenbrock methods lose order. Linear invariants
of the system are kept to round-off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import SolveError

GAMMA = 0.21193756319429014
NODES = np.array([0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716,
                  0.4288403609558664, 1.0, 1.0, 1.0])  # fmt: skip
TIME_SLOPE = np.array([0.21193756319429014, -0.42387512638858027, -0.3384627126235924,
                       1.8046452872882734, 2.325825639765069, 0.0, 0.0, 0.0])  # fmt: skip


def _lower(rows: list[list[float]]) -> ndarray:
    matrix = np.zeros((8, 8))
    for i, row in enumerate(rows, start=1):
        matrix[i, : len(row)] = row
    return matrix


_SIX = [-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256,
        0.030198172008377946]  # fmt: skip
VALUES = _lower([
    [3.0],
    [2.849394379747939, 0.45842242204463923],
    [-6.954028509809101, 2.489845061869568, -10.358996098473584],
    [2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641],
    _SIX,
    [*_SIX, 1.0],
    [*_SIX, 1.0, 1.0],
])  # fmt: skip
HISTORY = _lower([
    [-14.155112264123755],
    [-17.97296035885952, -2.859693295451294],
    [147.12150275711716, -1.41221402718213, 71.68940251302358],
    [165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306],
    [24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125,
     -0.6610691825249471],
    [30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783,
     -19.097331116725623, -28.087943162872662],
    [37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047,
     -40.06618937091002, -54.66780262877968, -9.48861652309627],
])  # fmt: skip
DENSE = np.array([
    [25.948786856663858, -2.5579724845846235, 10.433815404888879, -2.3679251022685204,
     0.524948541321073, 1.1241088310450404, 0.4272876194431874, -0.17202221070155493],
    [-9.91568850695171, -0.9689944594115154, 3.0438037242978453, -24.495224566215796,
     20.176138334709044, 15.98066361424651, -6.789040303419874, -6.710236069923372],
    [11.419903575922262, 2.8879645146136994, 72.92137995996029, 80.12511834622643,
     -52.072871366152654, -59.78993625266729, -0.15582684282751913, 4.883087185713722],
])  # fmt: skip


class StiffSystem(Protocol):
    """A stiff system y' = f(t, y), one step at a time."""

    def open_step(self, t: float, h: float) -> None:
        """Prepares what depends on time alone, at the stages of the step."""

    def close_step(self) -> None:
        """The step was accepted."""

    def rate(self, stage: int, y: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """f at a stage time."""

    def time_slope(self, y: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """∂f/∂t at the start of the step."""

    def factor(self, y: Float[ndarray, " n"], shift: float) -> Callable[[Float[ndarray, " n"]], Float[ndarray, " n"]]:
        """Solves (shift − ∂f/∂y) x = r, with the Jacobian at the start of the step."""

    def norm(self, error: Float[ndarray, " n"], y: Float[ndarray, " n"], tolerance: float) -> float:
        """Size of an error against the tolerance; a step passes below 1."""

    def longest(self, t: float) -> float:
        """Longest step that the forcing allows from t."""


@dataclass(frozen=True)
class Work:
    """What an integration cost.

    Attributes:
        steps, rejected: Accepted and refused steps; every one is a factorisation and 8 solves.
    """

    steps: int
    rejected: int


def integrate(
    system: StiffSystem,
    y: Float[ndarray, " n"],
    start: float,
    times: Float[ndarray, " T"],
    *,
    stops: Float[ndarray, " B"],
    tolerance: float,
    step: float | None = None,
    max_steps: int = 1_000_000,
    observe: Callable[[Float[ndarray, "m n"]], Float[ndarray, "m k"]] = lambda states: states,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Float[ndarray, "T k"], Work]:
    """Integrates from `start` and reports what is seen of the state at `times`.

    Args:
        times: Increasing, not before `start`.
        stops: Steps end exactly at these times.
        tolerance: Relative tolerance of the embedded error; ignored with a fixed `step`.
        step: Fixed step length (shortened to hit the stops), for order tests.
        observe: What to keep of states.
        cancel: Asked before every step.

    Raises:
        SolveError: Where the step length collapses, the state is not finite, the number of steps
            runs out, or `cancel` says so.
    """
    record = _Record(np.asarray(times, float), observe, start, y)
    last = float(times[-1])
    targets = _distinct([x for x in np.unique(np.r_[stops, last]) if start < x <= last], last - start)
    t, steps, rejected = start, 0, 0
    h = 0.0
    for target in targets:
        if step is None:
            h = _first_step(system, t, target, y, tolerance)
        while t < target:
            if cancel is not None and cancel():
                raise SolveError(f"reference cancelled at t = {t:.6g}")
            if steps + rejected >= max_steps:
                raise SolveError(f"reference: {max_steps} steps used up at t = {t:.6g}")
            remaining = target - t
            length = _even(min(h, system.longest(t)), remaining) if step is None else min(step, remaining)
            if length < 1e-14 * max(abs(t), last - start):
                raise SolveError(f"reference: step length {length:.3g} collapsed at t = {t:.6g}")
            new, stages, error = _step(system, t, length, y)
            if step is None:
                size = system.norm(error, new, tolerance)
                size = size if np.isfinite(size) and np.isfinite(new).all() else np.inf
                factor = float(np.clip(0.9 * size**-0.2, 0.2, 6.0)) if size > 0.0 else 6.0
                # A step cut short by a target says nothing against longer ones.
                h = max(length * factor, h) if size <= 1.0 and length == remaining else length * factor
                if size > 1.0:
                    rejected += 1
                    continue
            end = target if remaining - length < 1e-10 * length else t + length
            record.between(t, end, y, new, stages)
            system.close_step()
            t, y, steps = end, new, steps + 1
    return record.seen, Work(steps, rejected)


class _Record:
    """What is seen of the solution at the wanted times, step by step."""

    def __init__(self, times: ndarray, observe: Callable[[ndarray], ndarray], start: float, y: ndarray):
        first = observe(y[None])
        self._times, self._observe = times, observe
        self._done = int(np.searchsorted(times, start, side="right"))
        self.seen = np.empty((len(times), first.shape[1]))
        self.seen[: self._done] = first

    def between(self, t: float, end: float, y: ndarray, new: ndarray, stages: ndarray) -> None:
        done, upto = self._done, int(np.searchsorted(self._times, end, side="right"))
        if upto > done:
            theta = (self._times[done:upto] - t) / (end - t)
            self.seen[done:upto] = self._observe(_dense(theta, y, new, stages))
            self._done = upto


def _even(wish: float, remaining: float) -> float:
    """A step towards a target: all of the way, or two even steps rather than one and a sliver."""
    if wish > remaining * (1.0 - 1e-10):
        return remaining
    return remaining / 2.0 if wish > 0.6 * remaining else wish


def _distinct(times: list[float], span: float) -> list[float]:
    """Times without those that rounding alone sets apart from the next (10 + 1 and 11 ms)."""
    later = [*times[1:], np.inf]
    return [t for t, following in zip(times, later, strict=False) if following - t > 1e-9 * span]


def _step(system: StiffSystem, t: float, h: float, y: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    system.open_step(t, h)
    solve = system.factor(y, 1.0 / (h * GAMMA))
    slope = system.time_slope(y)
    stages = np.zeros((8, len(y)))
    for i in range(8):
        here = y if i == 0 else y + VALUES[i, :i] @ stages[:i]
        right = system.rate(i, here)
        if i:
            right += (HISTORY[i, :i] / h) @ stages[:i]
        if TIME_SLOPE[i]:
            right += (h * TIME_SLOPE[i]) * slope
        stages[i] = solve(right)
    return here + stages[7], stages, stages[7]


def _dense(theta: ndarray, y: ndarray, new: ndarray, stages: ndarray) -> ndarray:
    x = theta[:, None]
    k = DENSE @ stages
    between: ndarray = (1.0 - x) * y + x * (new + (1.0 - x) * (k[0] + x * (k[1] + x * k[2])))
    return between


def _first_step(system: StiffSystem, t: float, target: float, y: ndarray, tolerance: float) -> float:
    span = target - t
    system.open_step(t, 1e-6 * span)
    speed = system.norm(system.rate(0, y), y, tolerance)
    # A change of a hundred tolerances: the first error is then far below one.
    return min(span, 100.0 / speed if speed > 0.0 else span, 0.1 * span)
