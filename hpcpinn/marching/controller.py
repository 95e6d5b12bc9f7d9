"""How long the next window is: error estimate, sources' breakpoints, a stated tolerance."""

import math
from dataclasses import dataclass

from hpcpinn.errors import SolveError


@dataclass(frozen=True)
class WindowRule:
    """Lengths in internal time.

    Attributes:
        first: First window, and the first one after a breakpoint.
        shortest: A window that fails at this length ends the run.
        longest: No window is longer.
        tolerance: Relative error estimate above which a window is rejected.
        order: Power of the length with which the estimate is taken to fall.
        safety: Share of the tolerance that the next window aims at.
        growth: Largest ratio of successive lengths.
        keep: Ratio of wanted to current length within which the length stays, so that the
            factors of the last window can be used again.
        restart: Whether lengths start small again after a breakpoint.
        unit: Internal time per user time, for messages.
        since: User time at internal time 0, for messages.
        remedy: What else may help where the shortest window fails, for the end of a message; empty: nothing is known.
    """

    first: float
    shortest: float
    longest: float
    tolerance: float
    order: float = 4.0
    safety: float = 0.5
    growth: float = 3.0
    keep: float = 1.25
    restart: bool = True
    unit: float = 1.0
    since: float = 0.0
    remedy: str = ""


@dataclass(frozen=True)
class Plan:
    """The state of the controller: plain numbers, so that a checkpoint can hold it.

    Attributes:
        length: Length that the next window should have.
        rejected: Windows rejected since the last accepted one.
    """

    length: float
    rejected: int = 0


def first_plan(rule: WindowRule) -> Plan:
    """The plan at the start of a run."""
    return Plan(min(rule.first, rule.longest))


def next_length(rule: WindowRule, plan: Plan, time: float, next_stop: float) -> float:
    """Length of the window that starts at `time`: the way to the next stop in equal parts.

    Args:
        next_stop: Next breakpoint or the end of the run, after `time`.
    """
    remaining = next_stop - time
    # Rounding must not add a part: lengths that differ by it alone are the same.
    parts = max(1, math.ceil(remaining / plan.length * (1.0 - 1e-9)))
    return remaining / parts


def after_accepted(
    rule: WindowRule, plan: Plan, length: float, error: float, at_stop: bool, effort: float = 0.0
) -> Plan:
    """Plan after an accepted window.

    Args:
        length: Length of the accepted window, internal time.
        error: Relative error estimate of the window.
        at_stop: Whether it ended at a breakpoint: something switches, so start small again.
        effort: Sweeps that it took over those that a window may take; near 1 a longer one fails.
    """
    if at_stop and rule.restart:
        return Plan(min(rule.first, rule.longest))
    if effort > 0.6:
        return Plan(max(length * (1.0 if effort <= 0.8 else 0.8), rule.shortest))
    factor = (rule.safety * rule.tolerance / max(error, 1e-300)) ** (1.0 / rule.order)
    wanted = min(length * min(factor, rule.growth), rule.longest)
    if wanted >= length:
        # A shortened last part before a stop must not shrink the plan.
        wanted = max(wanted, min(plan.length, rule.longest)) if factor > 1.0 else wanted
        grow = wanted >= rule.keep * length or wanted >= rule.longest
        return Plan(wanted if grow else max(length, plan.length))
    return Plan(max(wanted, length / rule.growth) if wanted < length / 1.1 else length)


def after_rejected(rule: WindowRule, plan: Plan, length: float, error: float, why: str) -> Plan:
    """Plan after a rejected window.

    Args:
        error: Relative error estimate of the rejected window; NaN or infinite where the solve failed.
        why: Reason of the rejection, for the message.

    Raises:
        SolveError: The window was as short as allowed.
    """
    if length <= rule.shortest * (1.0 + 1e-9):
        looser = ["raise window.tolerance"] if math.isfinite(error) else []  # what is no number is within none
        help_ = ["lower window.shortest", *looser, *filter(None, [rule.remedy])]
        before = ", ".join(help_[:-1]) + "," * (len(help_) > 2)
        raise SolveError(
            f"{why} at the shortest window allowed (window.shortest = {rule.shortest / rule.unit:.3g}); "
            f"{f'{before} or {help_[-1]}' if before else help_[-1]}"
        )
    factor = 0.25
    if math.isfinite(error) and error > 0.0:
        factor = (rule.safety * rule.tolerance / error) ** (1.0 / rule.order)
    shorter = length * min(max(factor, 0.1), 0.6)
    return Plan(max(shorter, rule.shortest), plan.rejected + 1)
