"""Who sends which rows to whom, in which order: plans for point-to-point exchange."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from hpcpinn.errors import InputError

Messages = Mapping[tuple[int, int], tuple[Sequence[int], Sequence[int]]]
"""``(sender, receiver) -> (rows of the sender, rows of the receiver)``, in matching order."""


@dataclass(frozen=True, eq=False)
class Round:
    """One meeting of this rank with one partner.

    Attributes:
        index: Number of the round; both partners meet in the round of the same number.
        partner: Rank of the other side.
        send_rows: Rows that go to the partner.
        receive_rows: Rows that the partner's rows are written to, in the partner's sending order.
    """

    index: int
    partner: int
    send_rows: Int[ndarray, " S"]
    receive_rows: Int[ndarray, " R"]


@dataclass(frozen=True, eq=False)
class ExchangePlan:
    """All meetings of one rank, in the order in which they take place.

    Plans are compared and hashed by identity, so that they can be static in compiled functions.

    Attributes:
        rounds: The meetings, by rising round number.
    """

    rounds: tuple[Round, ...]

    @property
    def partners(self) -> tuple[int, ...]:
        """Ranks that this rank talks to, in order."""
        return tuple(meeting.partner for meeting in self.rounds)

    @property
    def send_rows(self) -> Int[ndarray, " S"]:
        """Rows sent to all partners, one partner after the other."""
        return _join([meeting.send_rows for meeting in self.rounds])

    @property
    def receive_rows(self) -> Int[ndarray, " R"]:
        """Rows received from all partners, one partner after the other."""
        return _join([meeting.receive_rows for meeting in self.rounds])


def _join(rows: list[Int[ndarray, " _"]]) -> Int[ndarray, " _"]:
    return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)


def colour_rounds(pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Give every pair of ranks a round so that no rank is in two meetings of one round.

    Greedy edge colouring in sorted order: the same on every rank, and at most twice as many
    rounds as the busiest rank has partners.

    Args:
        pairs: Pairs ``(lower, higher)`` of ranks that talk to each other.

    Returns:
        Round number of every pair.
    """
    busy: dict[int, set[int]] = {}
    rounds: dict[tuple[int, int], int] = {}
    for pair in sorted(set(pairs)):
        taken = busy.setdefault(pair[0], set()) | busy.setdefault(pair[1], set())
        rounds[pair] = next(number for number in range(len(taken) + 1) if number not in taken)
        for rank in pair:
            busy[rank].add(rounds[pair])
    return rounds


def plan_exchange(messages: Messages, rank: int) -> ExchangePlan:
    """Plan of one rank, from the list of all messages, which is the same on every rank.

    Args:
        messages: ``(sender, receiver) -> (rows of the sender, rows of the receiver)``. Row k of
            the sender's list lands in row k of the receiver's list. A pair that swaps data has an
            entry in each direction. A message from a rank to itself is refused.
        rank: The rank whose plan is wanted.

    Returns:
        Plan whose rounds match those of the partners.

    Raises:
        InputError: A message goes to its own sender, its two lists differ in length, or two
            messages write the same row.
    """
    for (sender, receiver), (sent, received) in messages.items():
        if sender == receiver:
            raise InputError(f"exchange: rank {sender} sends to itself; copy the rows locally instead")
        if len(sent) != len(received):
            raise InputError(
                f"exchange: rank {sender} sends {len(sent)} rows, rank {receiver} expects {len(received)}; "
                "both lists must have one entry per row"
            )
    pairs = [(min(pair), max(pair)) for pair, (sent, _) in messages.items() if len(sent)]
    meetings = []
    for pair, number in colour_rounds(pairs).items():
        if rank not in pair:
            continue
        partner = pair[0] if rank == pair[1] else pair[1]
        sent, _ = messages.get((rank, partner), ((), ()))
        _, received = messages.get((partner, rank), ((), ()))
        meetings.append(Round(number, partner, np.asarray(sent, np.int64), np.asarray(received, np.int64)))
    plan = ExchangePlan(tuple(sorted(meetings, key=lambda meeting: meeting.index)))
    _check_rows_written_once(plan, rank)
    return plan


def messages_for_ghosts(owner: Int[ndarray, " N"], ghosts: Sequence[Int[ndarray, " g"]]) -> Messages:
    """Messages where every rank holds its own things, increasing, and copies of others' behind them.

    Args:
        owner: Rank of every thing.
        ghosts: Things of others that every rank holds copies of, in its order, one array per rank.
    """
    place, count = np.empty(len(owner), int), np.zeros(len(ghosts), int)
    for rank in range(len(ghosts)):
        own = np.flatnonzero(owner == rank)
        place[own], count[rank] = np.arange(len(own)), len(own)
    messages = {}
    for receiver, held in enumerate(ghosts):
        for sender in np.unique(owner[held]).tolist():
            rows = np.flatnonzero(owner[held] == sender)
            messages[sender, receiver] = place[held[rows]].tolist(), (count[receiver] + rows).tolist()
    return messages


def _check_rows_written_once(plan: ExchangePlan, rank: int) -> None:
    rows, count = np.unique(plan.receive_rows, return_counts=True)
    if np.any(count > 1):
        raise InputError(f"exchange: row {rows[count > 1][0]} of rank {rank} would be written by two messages")
