"""Gauss-Newton on the coordinates of constants for models that solve a run at every step. Not traced.

The same problem as in `gauss_newton`: half of |rows|² plus normal priors. The model gives rows and their
derivatives together, and each evaluation is a whole run, so none is wasted: a step that is refused costs one.
The heads of the networks are eliminated at every step (variable projection): the equation's rows, of which an
exact model is asked, weigh infinitely more than noisy data. The steps are those of the joint problem in heads
and constants.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.errors import SolveError

SILENT_ABOVE = 3.0
"""Standard deviation of a direction of the coordinates above which neither data nor priors say anything of it,"""
LITTLE = 0.1
"""if the longest step along it would gain less than this in half of |rows|²."""
Evaluated = tuple[Float[ndarray, " N"], Float[ndarray, "N p"]]
"""(model − data)/noise and its derivatives by the coordinates."""


@dataclass(frozen=True)
class StepwiseFit:
    """Where the iteration ended.

    Attributes:
        z: Coordinates of the constants.
        rows, jacobian: There.
        steps: Evaluations after the first.
        converged: The last step was shorter than the tolerance.
        path: z after every step, (S, p).
    """

    z: Float[ndarray, " p"]
    rows: Float[ndarray, " N"]
    jacobian: Float[ndarray, "N p"]
    steps: int
    converged: bool
    path: Float[ndarray, "S p"]

    @property
    def fisher(self) -> Float[ndarray, "p p"]:
        """Information of the data alone."""
        return self.jacobian.T @ self.jacobian


def minimise_stepwise(
    evaluate: Callable[[Float[ndarray, " p"]], Evaluated],
    centre: Float[ndarray, " p"],
    precision: Float[ndarray, " p"],
    start: Float[ndarray, " p"],
    *,
    tolerance: float,
    max_steps: int,
    longest: float = 1.0,
    watch: Callable[[int], None] = lambda step: None,
) -> StepwiseFit:
    """Finds the most probable constants.

    Args:
        evaluate: The rows and their derivatives; SolveError where the model cannot be solved, which counts as a
            step that is refused.
        centre, precision: Of the priors; precision 0 for none.
        start: Coordinates to begin with.
        tolerance: Length of a step in standard deviations at which to stop.
        max_steps: Most steps, refused ones included.
        longest: Largest change of a coordinate in a step.
        watch: Told how many steps have been taken.

    Raises:
        SolveError: The model cannot be solved at the start.
    """

    def cost_of(rows: ndarray, z: ndarray) -> float:
        return 0.5 * float(rows @ rows + np.sum(precision * (z - centre) ** 2))

    z = np.array(start, float)
    rows, jacobian = evaluate(z)
    cost, damping, converged, steps, path = cost_of(rows, z), 1e-3, False, 0, [z]
    while steps < max_steps and not converged:
        gradient = jacobian.T @ rows + precision * (z - centre)
        curvature = jacobian.T @ jacobian + np.diag(precision)
        step = _damped_step(gradient, curvature, damping, longest)
        length = float(np.sqrt(max(step @ curvature @ step, 0.0)))
        steps += 1
        try:
            trial_rows, trial_jacobian = evaluate(z + step)
            trial = cost_of(trial_rows, z + step)
        except SolveError:
            trial = np.inf
        if trial <= cost:
            z, rows, jacobian, cost, damping = z + step, trial_rows, trial_jacobian, trial, damping / 10.0
        else:
            damping = max(4.0 * damping, 1e-6)
        # Round-off may refuse the last steps, which are shorter than matters.
        converged = length < tolerance
        path.append(z)
        watch(steps)
    return StepwiseFit(z, rows, jacobian, steps, converged, np.stack(path))


def _damped_step(
    gradient: Float[ndarray, " p"], curvature: Float[ndarray, "p p"], damping: float, longest: float
) -> Float[ndarray, " p"]:
    """The Levenberg-Marquardt step among the directions on which data or priors say something.

    Along the others the model is let be: a fit that wandered there would not end, or would leave the range
    in which the model can be solved, for nothing.
    """
    values, ways = np.linalg.eigh(curvature)
    speaks = (values > SILENT_ABOVE**-2) | (longest * np.abs(ways.T @ gradient) > LITTLE)
    ways = ways[:, speaks]
    scaled = ways.T @ (curvature + damping * np.diag(np.diag(curvature))) @ ways
    step = -ways @ np.linalg.solve(scaled, ways.T @ gradient)
    return step * min(1.0, longest / max(float(np.abs(step).max(initial=0.0)), 1e-300))
