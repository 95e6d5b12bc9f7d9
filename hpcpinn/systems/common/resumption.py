"""Going on from a checkpoint: is there anything left to do?"""

from pathlib import Path

from hpcpinn.errors import NothingToDoError
from hpcpinn.io import schema, storage


def stop_where_done(output: str, duration: float, time: float, unit: str = "ms") -> None:
    """Ends a run whose checkpoint is at its end already, or beyond; leaves its files as they are. Serial.

    A run that was cut short between its last checkpoint and its end goes on: its result is not marked
    as complete yet.

    Args:
        output: The result file.
        duration: Of the run, user units.
        time: Of the checkpoint, user units.
        unit: What a person calls them.

    Raises:
        NothingToDoError: The run is there.
        InputError: The result that the checkpoint belongs to is not.
    """
    if time < duration * (1.0 - 1e-12):
        return
    there = f"{output}: already at {time:g} {unit}".rstrip()
    if time > duration * (1.0 + 1e-9):
        raise NothingToDoError(
            f"{there}, beyond run.duration = {duration:g}; nothing to do: go on to a later time, or start a "
            "shorter run without --resume"
        )
    with storage.open_existing(Path(output), schema.FORMAT, schema.FORMAT_VERSION) as file:
        complete = bool(file.attrs["complete"])
    if complete:
        raise NothingToDoError(f"{there}; nothing to do: --set run.duration=... goes on to a later time")
