"""How a command's work on an order is done, whatever the system."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcpinn.core.order import Order
from hpcpinn.parallel import stopping
from hpcpinn.systems import part
from hpcpinn.systems.jobs import require_action
from hpcpinn.terminal.progress import make_progress

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


@contextmanager
def held(order: Order, action: Any, communicator: "Communicator") -> Iterator[Order]:
    """Holds the files that a command writes while it works. Collective over all ranks.

    Args:
        order: The order.
        action: What is done, a `hpcpinn.core.order.Action`.
        communicator: All ranks.

    Yields:
        The order with the checkpoint that it goes on from.

    Raises:
        InputError: A file cannot be written, or another program writes it; an error of the work names its places.
    """
    from hpcpinn.io.owner import check_free, owning  # loads HDF5, as what follows
    from hpcpinn.systems.common.resumption import checkpoint_for

    output = Path(order.described.run.output)

    def look() -> None:
        check_free(output)
        action.look(order)

    with order.origin.naming_places():
        communicator.on_root(look)
        with owning(communicator, output):
            if order.wish is not None:
                order = replace(order, resume=communicator.on_root(checkpoint_for, order.wish, output))
            yield order


def judge(order: Order, action: Any, outcome: Any) -> None:
    """Raises where the outcome of an action must not pass for a success, on every rank.

    Raises:
        SolveError: It must not.
    """
    if hasattr(action, "judge"):
        action.judge(order, outcome)


def carry_out(order: Order, command: str) -> Any:
    """Does what a command does with an order, and tells what came of it. Collective over all ranks.

    Args:
        order: The order.
        command: Name of the command, such as ``run``.

    Returns:
        The outcome of the system's action.

    Raises:
        InputError: The system has no such action, or something the user gave cannot be used.
        SolveError: The work did not succeed.
        OutputError: The result cannot be written.
    """
    action = require_action(order, command)
    stopping.keeping(_kept(order, command))
    if command == "run" and order.wish is not None:
        from hpcpinn.systems.common.resumption import stop_if_finished  # loads HDF5

        stop_if_finished(order, order.wish.checkpoint)

    from hpcpinn.parallel.device import prepare  # the device must be chosen before JAX is loaded

    prepare()
    from hpcpinn.parallel.transports import make_communicator

    communicator = make_communicator(order.described.run.transport)
    action = part(action)
    with make_progress(communicator.rank) as progress, held(order, action, communicator) as mine:
        outcome = action.work(mine, communicator, progress)
    if communicator.rank == 0:
        action.tell(order, outcome)
    judge(order, action, outcome)
    return outcome


def _kept(order: Order, command: str) -> str:
    """What is kept where a signal ends the work before it has written anything."""
    if command != "run":
        return f"nothing is written before the end: {order.described.run.output} is as it was"
    begins = order.wish is None or not order.wish.checkpoint.is_file()
    return "nothing was computed yet" if begins else "the checkpoint is as it was; go on with --resume"
