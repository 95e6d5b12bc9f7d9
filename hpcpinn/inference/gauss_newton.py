"""Gauss-Newton on the coordinates of constants, with data weighted by their noise and normal priors.

Minimises half of |(model − data)/noise|² + |(z − prior)/width|² over the coordinates z (logarithms of positive
constants): the negative logarithm of the posterior. Levenberg-Marquardt's damping makes starts far off converge.
The rule, which step is taken and what becomes of it, is stated once (`_proposed`, `_judged`) and followed by two
loops: `minimise` is traced, so that many data sets and starts are solved together; `minimise_stepwise` is for models
that solve a run at every step, on all ranks. Each evaluation gives rows and derivatives together.

Where a model has heads of networks of its own, they are eliminated at every step (variable projection): the
equation's rows, of which an exact model is asked, weigh infinitely more than noisy data. The steps are those of the
joint problem in heads and constants.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hpcpinn.errors import SolveError

Rows = Callable[[Float[Array, " p"]], Float[Array, " N"]]
"""(model − data)/noise at coordinates z."""

LITTLE = 0.1
"""Gain, in half of |rows|², of the longest step along a direction below which it may be let be."""
_ROUND_OFF = 1e-12
"""Share of the largest curvature that every direction is given, so that none is without."""
_LEAST, _MOST = 1e-12, 1e12
"""Smallest and largest damping."""


class Prior(NamedTuple):
    """Normal priors of the coordinates of all constants.

    Attributes:
        centre: Coordinates of the medians.
        precision: One over the squared widths; 0 where there is no prior.
    """

    centre: Any
    precision: Any


class Evaluated(NamedTuple):
    """What a model says at some coordinates.

    Attributes:
        rows: (model − data)/noise, (N,).
        jacobian: Derivatives of the rows by the coordinates, (N, p).
    """

    rows: Any
    jacobian: Any


@dataclass(frozen=True)
class StepRule:
    """How far a step goes, and what the next one learns from it.

    Attributes:
        damping: Levenberg-Marquardt damping of the first step, over the diagonal of the curvature.
        eased: Number that the damping is divided by after a step that was taken.
        raised: Number that it is multiplied by after one that was refused.
        raised_to: Least damping after a refused step.
        longest: Largest change of a coordinate in a step; 1 is a factor e of a positive constant.
        silent_below: Information of data and priors on a direction (one over its variance) below which the
            coordinates are let be along it, unless a step there would gain more than `LITTLE`; −∞: never. A fit
            that wanders there does not end, or leaves the range in which the model can be solved, for nothing.
    """

    damping: float
    eased: float
    raised: float = 4.0
    raised_to: float = 0.0
    longest: float = 1.0
    silent_below: float = -np.inf


CHEAP = StepRule(damping=1e-2, eased=5.0)
"""Of models that cost nothing, anywhere: directions without information are seen where they lead."""
COSTLY = StepRule(damping=1e-3, eased=10.0, raised_to=1e-6, silent_below=3.0**-2)
"""Of models of which every evaluation is a run, which far off cannot be solved."""


class Fit(NamedTuple):
    """Where the iteration ended; of many fits together, with a leading axis.

    Attributes:
        z: Coordinates of the constants, (p,).
        cost: What was minimised, there.
        rows: (model − data)/noise there, (N,).
        jacobian: Derivatives of the rows by the coordinates there, (N, p).
        steps: Number of accepted and refused steps.
        converged: Whether the last step was shorter than the tolerance.
        path: z at the start and after every step, NaN after the last, (S, p).
    """

    z: Any
    cost: Any
    rows: Any
    jacobian: Any
    steps: Any
    converged: Any
    path: Any

    @property
    def fisher(self) -> Any:
        """Information of the data alone on the coordinates, JᵀJ, (p, p)."""
        return self.jacobian.swapaxes(-1, -2) @ self.jacobian

    @property
    def way(self) -> Float[np.ndarray, "S p"]:
        """The path without what comes after the last step."""
        path = np.asarray(self.path)
        taken: Float[np.ndarray, "S p"] = path[np.isfinite(path).all(axis=1)]
        return taken


class _Iterate(NamedTuple):
    z: Any
    rows: Any
    jacobian: Any
    cost: Any
    damping: Any
    steps: Any
    done: Any


def minimise(
    rows: Rows,
    prior: Prior,
    start: Float[Array, " p"],
    *,
    tolerance: float,
    max_steps: int,
    rule: StepRule = CHEAP,
) -> Fit:
    """Finds the most probable coordinates. Traceable.

    Args:
        rows: Weighted residuals, traceable.
        prior: Priors of the coordinates.
        start: Coordinates to begin with.
        tolerance: Length of a step in standard deviations at which to stop.
        max_steps: Most steps, refused ones included.
        rule: Rule of the steps.
    """

    def evaluate(z: Array) -> Evaluated:
        jacobian, value = jax.jacfwd(lambda z: (rows(z),) * 2, has_aux=True)(z)
        return Evaluated(value, jacobian)

    def stepped(state: tuple[_Iterate, Array]) -> tuple[_Iterate, Array]:
        here, path = state
        z, length = _proposed(here, prior, rule, jnp)
        here = _judged(here, z, evaluate(z), length < tolerance, prior, rule, jnp)
        return here, path.at[here.steps].set(here.z)

    def unfinished(state: tuple[_Iterate, Array]) -> Array:
        goes_on: Array = ~state[0].done & (state[0].steps < max_steps)
        return goes_on

    path = jnp.full((max_steps + 1, start.shape[0]), jnp.nan).at[0].set(start)
    here, path = jax.lax.while_loop(unfinished, stepped, (_begun(start, evaluate(start), prior, rule, jnp), path))
    return _ended(here, path, jnp)


def minimise_stepwise(
    evaluate: Callable[[Float[np.ndarray, " p"]], Evaluated],
    prior: Prior,
    start: Float[np.ndarray, " p"],
    *,
    tolerance: float,
    max_steps: int,
    rule: StepRule = COSTLY,
    watch: Callable[[int], None] = lambda step: None,
) -> Fit:
    """Finds the most probable coordinates, where every evaluation is a run.

    Args:
        evaluate: Rows and their derivatives; SolveError where the model cannot be solved, which counts as a
            step that is refused.
        prior, start, tolerance, max_steps, rule: Priors, first coordinates and rules of the iteration, as of
            `minimise`.
        watch: Function of the number of steps taken, called after each.

    Raises:
        SolveError: The model cannot be solved at the start.
    """
    start = np.array(start, float)
    here = _begun(start, evaluate(start), prior, rule, np)
    path = [start]
    while here.steps < max_steps and not here.done:
        z, length = _proposed(here, prior, rule, np)
        try:
            found = evaluate(z)
        except SolveError:
            found = Evaluated(np.full_like(here.rows, np.inf), here.jacobian)
        here = _judged(here, z, found, length < tolerance, prior, rule, np)
        path.append(here.z)
        watch(int(here.steps))
    return _ended(here, np.stack(path), np)


def _cost(rows: Any, z: Any, prior: Prior, library: Any) -> Any:
    return 0.5 * (rows @ rows + library.sum(prior.precision * (z - prior.centre) ** 2))


def _begun(start: Any, found: Evaluated, prior: Prior, rule: StepRule, library: Any) -> _Iterate:
    cost, damping = _cost(found.rows, start, prior, library), library.asarray(rule.damping)
    return _Iterate(start, *found, cost, damping, library.zeros((), int), library.asarray(False))


def _proposed(here: _Iterate, prior: Prior, rule: StepRule, library: Any) -> tuple[Any, Any]:
    """Coordinates after the next step, and its length in standard deviations."""
    gradient = here.jacobian.T @ here.rows + prior.precision * (here.z - prior.centre)
    curvature = here.jacobian.T @ here.jacobian + library.diag(prior.precision)
    diagonal = library.diag(curvature)
    floor = _ROUND_OFF * library.max(diagonal) + 1e-300
    damped = curvature + library.diag(here.damping * library.maximum(diagonal, floor) + floor)
    values, ways = library.linalg.eigh(curvature)
    along = ways.T @ gradient
    speaks = (values > rule.silent_below) | (rule.longest * library.abs(along) > LITTLE)
    both = speaks[:, None] & speaks[None, :]
    # Silent directions are left out by an equation of their own, 1 · 0 = 0: shapes must not depend on values.
    scaled = library.where(both, ways.T @ damped @ ways, library.eye(len(values)))
    step = -ways @ library.linalg.solve(scaled, library.where(speaks, along, 0.0))
    step = step * library.minimum(1.0, rule.longest / library.maximum(library.max(library.abs(step)), 1e-300))
    return here.z + step, library.sqrt(library.maximum(step @ curvature @ step, 0.0))


def _judged(
    here: _Iterate, z: Any, found: Evaluated, is_short: Any, prior: Prior, rule: StepRule, library: Any
) -> _Iterate:
    """The iterate after a step to z is taken or refused; a cost that is no number is refused.

    Round-off may refuse the last steps, which are shorter than matters: they end the iteration nevertheless.
    """
    cost = _cost(found.rows, z, prior, library)
    better = cost <= here.cost
    damping = library.where(
        better, here.damping / rule.eased, library.maximum(here.damping * rule.raised, rule.raised_to)
    )
    return _Iterate(
        z=library.where(better, z, here.z),
        rows=library.where(better, found.rows, here.rows),
        jacobian=library.where(better, found.jacobian, here.jacobian),
        cost=library.where(better, cost, here.cost),
        damping=library.clip(damping, _LEAST, _MOST),
        steps=here.steps + 1,
        done=is_short,
    )


def _ended(here: _Iterate, path: Any, library: Any) -> Fit:
    converged = here.done & library.isfinite(here.cost)
    return Fit(here.z, here.cost, here.rows, here.jacobian, here.steps, converged, path)
