"""Plans of who meets whom: matched on both sides, never two meetings of a rank at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcpinn.errors import InputError
from hpcpinn.parallel.exchange import ExchangePlan, colour_rounds, plan_exchange

pairs_of_ranks = st.sets(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1]), max_size=30
)


def carry_out(plans: list[ExchangePlan], states: list[np.ndarray]) -> list[np.ndarray]:
    """The exchange as its definition has it, on all ranks at once."""
    after = [state.copy() for state in states]
    for rank, plan in enumerate(plans):
        for meeting in plan.rounds:
            theirs = next(one for one in plans[meeting.partner].rounds if one.partner == rank)
            after[rank][meeting.receive_rows] = states[meeting.partner][theirs.send_rows]
    return after


@given(pairs_of_ranks)
def test_no_rank_is_in_two_meetings_of_a_round(pairs: set[tuple[int, int]]) -> None:
    rounds = colour_rounds(sorted(pairs))
    assert rounds.keys() == pairs
    taken = [(rank, number) for pair, number in rounds.items() for rank in pair]
    assert len(taken) == len(set(taken))
    busiest = max((sum(rank in pair for pair in pairs) for rank in range(10)), default=0)
    assert len(set(rounds.values())) <= max(2 * busiest - 1, 0)


@given(pairs_of_ranks, st.randoms(use_true_random=False))
def test_every_row_arrives_where_the_list_of_messages_says(pairs: set[tuple[int, int]], chance) -> None:
    messages = {}
    free = {rank: list(range(100, 200)) for rank in range(10)}
    for low, high in sorted(pairs):
        for sender, receiver in ((low, high), (high, low)):
            count = chance.randint(0, 3)
            sent = [chance.randint(0, 99) for _ in range(count)]
            messages[sender, receiver] = (sent, [free[receiver].pop() for _ in range(count)])
    plans = [plan_exchange(messages, rank) for rank in range(10)]
    states = [1000 * rank + np.arange(200) for rank in range(10)]
    expected = [state.copy() for state in states]
    for (sender, receiver), (sent, received) in messages.items():
        expected[receiver][received] = states[sender][sent]
    for result, wanted in zip(carry_out(plans, states), expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_partners_meet_in_the_same_round() -> None:
    messages = {(a, b): ([0], [b * 10 + a]) for a in range(4) for b in range(4) if a != b}
    plans = [plan_exchange(messages, rank) for rank in range(4)]
    meetings = {(rank, one.partner): one.index for rank, plan in enumerate(plans) for one in plan.rounds}
    assert all(meetings[a, b] == meetings[b, a] for a, b in meetings)
    assert all([one.index for one in plan.rounds] == sorted(one.index for one in plan.rounds) for plan in plans)


def test_one_way_messages_leave_the_other_direction_empty() -> None:
    messages = {(0, 1): ([4, 5], [0, 1])}
    (meeting,) = plan_exchange(messages, 0).rounds
    assert meeting.partner == 1
    assert list(meeting.send_rows) == [4, 5]
    assert len(meeting.receive_rows) == 0
    assert plan_exchange(messages, 2).rounds == ()


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ({(1, 1): ([0], [1])}, "rank 1 sends to itself"),
        ({(0, 1): ([0, 1], [1])}, "sends 2 rows, rank 1 expects 1"),
        ({(0, 1): ([0], [7]), (2, 1): ([0], [7])}, "row 7 of rank 1"),
    ],
)
def test_impossible_messages_are_refused(messages: dict, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        plan_exchange(messages, 1)
