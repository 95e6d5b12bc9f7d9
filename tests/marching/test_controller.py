"""Window lengths: stops are hit, tolerances kept, a failing window ends the run with a clear line."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcpinn.errors import SolveError
from hpcpinn.marching.controller import (
    Plan,
    WindowRule,
    after_accepted,
    after_rejected,
    first_plan,
    next_length,
)

RULE = WindowRule(first=1e-4, shortest=1e-6, longest=5e-3, tolerance=1e-3, unit=1e-3)


@pytest.mark.parametrize(("planned", "left", "length"), [(1.0, 4.0, 1.0), (1.0, 3.5, 0.875), (2.0, 0.3, 0.3)])
def test_the_way_to_the_next_stop_is_cut_into_equal_parts(planned, left, length) -> None:
    assert next_length(RULE, Plan(planned), 10.0, 10.0 + left) == pytest.approx(length, rel=1e-12)


def test_rounding_adds_no_part() -> None:
    plan = Plan(0.1)
    assert next_length(RULE, plan, 0.0, 0.1 * 3 * (1 + 1e-15)) == pytest.approx(0.1)
    assert next_length(RULE, plan, 0.7, 0.7 + 0.1 + 1e-16) == pytest.approx(0.1)


@settings(max_examples=60, deadline=None)
@given(
    stops=st.lists(st.floats(1e-4, 0.03), min_size=1, max_size=5, unique=True),
    wildness=st.floats(0.0, 1.5),
)
def test_a_march_hits_every_stop_and_keeps_the_tolerance(stops, wildness) -> None:
    """The error grows with length⁴, more slowly or faster in places."""
    stops, time, plan, windows = sorted(stops), 0.0, first_plan(RULE), []
    assert plan.length == RULE.first
    reached = []
    while stops:
        assert len(windows) < 20_000
        length = next_length(RULE, plan, time, stops[0])
        assert length <= plan.length * (1 + 1e-6) and time + length <= stops[0] * (1 + 1e-9)
        error = (length / (2e-3 * math.exp(wildness * (math.sin(300 * time) - 1)))) ** 4 * RULE.tolerance
        if error > RULE.tolerance:
            if length <= RULE.shortest * (1 + 1e-9):
                with pytest.raises(SolveError):
                    after_rejected(RULE, plan, length, error, "why")
                return
            shorter = after_rejected(RULE, plan, length, error, "why")
            assert 0.1 * length * (1 - 1e-9) <= shorter.length <= max(0.6 * length, RULE.shortest)
            assert shorter.rejected == plan.rejected + 1
            plan = shorter
            continue
        at_stop = math.isclose(time + length, stops[0], rel_tol=1e-12)
        before, plan = plan, after_accepted(RULE, plan, length, error, at_stop)
        assert plan.length <= RULE.longest and plan.rejected == 0
        if not at_stop:
            assert length / RULE.growth * (1 - 1e-9) <= plan.length
            assert plan.length <= max(before.length, RULE.growth * length) * (1 + 1e-9)
        windows.append((time, length))
        time += length
        if at_stop:
            assert plan == first_plan(RULE)
            reached.append(stops.pop(0))
            assert time == pytest.approx(reached[-1], rel=1e-12)


def test_lengths_settle_where_the_error_is_the_wanted_share_of_the_tolerance() -> None:
    plan = Plan(1e-5)
    for _ in range(60):
        length = plan.length
        error = RULE.tolerance * (length / 1e-3) ** 4
        if error > RULE.tolerance:
            plan = after_rejected(RULE, plan, length, error, "")
        else:
            plan = after_accepted(RULE, plan, length, error, at_stop=False)
    assert RULE.safety / RULE.keep**4 <= (plan.length / 1e-3) ** 4 <= 1.0


def test_a_length_that_is_nearly_right_is_kept_so_that_factors_serve_again() -> None:
    wanted_error = RULE.safety * RULE.tolerance
    for error in (wanted_error, 0.5 * wanted_error, 1.2 * wanted_error):
        assert after_accepted(RULE, Plan(1e-3), 1e-3, error, at_stop=False).length == 1e-3
    assert after_accepted(RULE, Plan(1e-3), 1e-3, 0.1 * wanted_error, at_stop=False).length > 1.5e-3
    assert after_accepted(RULE, Plan(1e-3), 1e-3, 1.9 * wanted_error, at_stop=False).length < 1e-3


def test_no_error_at_all_grows_by_the_largest_ratio_up_to_the_longest() -> None:
    assert after_accepted(RULE, Plan(1e-3), 1e-3, 0.0, at_stop=False).length == pytest.approx(3e-3)
    assert after_accepted(RULE, Plan(4e-3), 4e-3, 0.0, at_stop=False).length == RULE.longest


def test_a_shortened_part_before_a_stop_does_not_shrink_the_plan() -> None:
    assert after_accepted(RULE, Plan(2e-3), 1.1e-3, 1e-9, at_stop=False).length >= 2e-3


@pytest.mark.parametrize("error", [math.nan, math.inf])
def test_a_failed_solve_is_retried_at_a_quarter(error: float) -> None:
    assert after_rejected(RULE, Plan(1e-3), 1e-3, error, "").length == pytest.approx(2.5e-4)
    assert after_rejected(RULE, Plan(2e-6), 2e-6, error, "").length == RULE.shortest


def test_the_shortest_window_ends_the_run_in_the_users_units() -> None:
    with pytest.raises(SolveError) as refused:
        after_rejected(RULE, Plan(1e-6), 1e-6, 1.0, "window at t = 3: error estimate 1 above 0.001")
    message = str(refused.value)
    assert message.startswith("window at t = 3: error estimate 1 above 0.001 at the shortest window")
    assert "window.shortest = 0.001)" in message
    assert "\n" not in message
    with pytest.raises(SolveError, match="window.shortest = 1e-06"):
        after_rejected(replace(RULE, unit=1.0), Plan(1e-6), 1e-6, 1.0, "")
