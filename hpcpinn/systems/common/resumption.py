"""Going on from a checkpoint: which one, does it fit, is anything left to do? Light: known before JAX is loaded."""

from pathlib import Path

from hpcpinn.config.inputs import with_digests, without_names
from hpcpinn.core.order import Order, Resumption
from hpcpinn.errors import InputError, NothingToDoError, warn
from hpcpinn.io import checkpoint, schema, storage

_NOT_OF_THE_STATE = ("run", "parameter", "data", "inference", "uq", "study")
"""Tables that no state depends on; a run that goes on may have others."""


def checkpoint_for(wish: Resumption, output: Path) -> Path | None:
    """The checkpoint that a run goes on from: the last one, or the one before it where that is damaged. Serial.

    Args:
        wish: Wish of who started the run.
        output: Path of the result.

    Returns:
        Its path; None where the run begins.

    Raises:
        InputError: Neither can be used, or the result is gone that they belong to.
    """
    last = wish.checkpoint
    there = [path for path in (last, checkpoint.previous_path(last)) if path.is_file()]
    if not there:
        if wish.or_begins:
            return None
        raise InputError(f"--resume: no checkpoint {last}; use --resume auto to start afresh then")
    if not output.exists():
        gone = f"--resume: {there[0]} is there, but the result {output} is gone"
        if wish.or_begins:
            warn(f"{gone}: the run begins anew")
            return None
        raise InputError(f"{gone}; restore it, or start without --resume")
    wrong: InputError | None = None
    for path in there:
        try:
            checkpoint.check(path)
        except InputError as error:
            wrong = wrong or error
            continue
        if path != last:
            warn(f"{last} is {'damaged' if last.is_file() else 'gone'}: goes on from the one before it, {path}")
        return path
    assert wrong is not None
    raise wrong


def stop_if_finished(order: Order, saved: Path) -> None:
    """Ends a command that would go on with a run that is at its end, before anything is built. Serial.

    What it cannot tell is told when the run is built.

    Args:
        order: The order.
        saved: Path of the checkpoint.

    Raises:
        NothingToDoError: The run is there.
    """
    described, output = order.described, Path(order.described.run.output)
    own = getattr(order.system, "settings", None)
    if not output.is_file() or not saved.is_file():
        return
    try:
        settings, duration = (settings_of(order), described.run.duration) if own is None else own(described)
        with storage.open_existing(output, schema.FORMAT, schema.FORMAT_VERSION) as file:
            windows, unit = int(file["committed"][2]), "ms" if "units" in file["time"].attrs else ""
            if not (file.attrs["complete"] and windows):
                return
            end = sum(float(file[f"windows/{name}"][windows - 1]) for name in ("start", "length"))
        if abs(end - duration) <= 1e-9 * duration and checkpoint.fits(saved, with_digests(settings, described)):
            stop_where_done(str(output), duration, duration, unit)
    except InputError:
        return


def stop_where_done(output: str, duration: float, time: float, unit: str = "ms") -> None:
    """Ends a run whose checkpoint is at its end already, or beyond; leaves its files as they are. Serial.

    A run that was cut short between its last checkpoint and its end goes on: its result is not marked
    as complete yet.

    Args:
        output: The result file.
        duration: Duration of the run, user units.
        time: Time of the checkpoint, user units.
        unit: Unit of user time.

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


def settings_of(order: Order) -> dict[str, str]:
    """What states depend on, by key, of a problem that does not say so itself."""
    whole = without_names(order.described.model_dump(mode="json"), type(order.described))
    kept = {name: table for name, table in whole.items() if name not in _NOT_OF_THE_STATE}
    return checkpoint.fingerprint(kept | {"run": {"seed": whole["run"].get("seed")}})
