"""Keys of tables that systems share and that do nothing, or less than they say."""

import math
from collections.abc import Iterable, Iterator

from hpcpinn.config.reading import Problem
from hpcpinn.config.values import Table
from hpcpinn.wording import biology

SAME = 1e-6
"""Share by which an interval may miss what it should divide: 0.1 is no binary number."""


def given_keys(name: str, table: Table, keys: Iterable[str] | None, why: str) -> Iterator[Problem]:
    """The keys of a table that a person gave, of some or of all, in the table's order."""
    for key in type(table).model_fields:
        if key in table.model_fields_set and (keys is None or key in keys):
            yield (name, key), why


def unread_training(training: Table, trainer: str) -> Iterator[Problem]:
    """Settings of trainers that are not at work."""
    first_order = trainer in ("adam", "lbfgs")
    unread = ("newton_tolerance", "newton_max") if first_order else ("steps", "learning_rate", "alpha")
    if trainer == "lbfgs":
        unread = (*unread, "learning_rate")
    yield from given_keys("training", training, unread, f"is not for training.trainer = {trainer!r}")


def last_frame(duration: float, interval: float, run: Table) -> Iterator[Problem]:
    """The end of a run is seen where the interval divides its duration."""
    count = math.floor(duration / interval * (1.0 + 1e-9) + 1e-9)
    if duration - count * interval > SAME * interval:
        key = "output_interval" if "output_interval" in run.model_fields_set else "duration"
        yield (
            ("run", key),
            f"run.output_interval = {biology(interval, 6)} does not divide run.duration = {biology(duration, 6)}: "
            f"the last frame is at {biology(count * interval, 6)}, and what comes after is in no frame",
        )
