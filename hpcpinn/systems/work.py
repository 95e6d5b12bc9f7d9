"""How a command's work on an order is done, whatever the system."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcpinn.core.order import Order
from hpcpinn.parallel import stopping
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems import part
from hpcpinn.systems.jobs import require_action
from hpcpinn.terminal.progress import make_progress

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


def work_on(order: Order, command: str, communicator: "Communicator", progress: ProgressDisplay) -> Any:
    """Does what a command does with an order; nothing is printed. Collective over all ranks.

    Args:
        order: The order.
        command: Name of the command, such as ``run``.
        communicator: All ranks.
        progress: Display that is told what is being done.

    Returns:
        The outcome of the system's action, still to be judged (`judge`).

    Raises:
        InputError: The system has no such action, or something the user gave cannot be used.
        SolveError: The work did not succeed.
        OutputError: The result cannot be written.
    """
    from hpcpinn.io.owner import check_free, owning  # loads HDF5, as what follows
    from hpcpinn.systems.common.resumption import checkpoint_for

    action, output = part(require_action(order, command)), Path(order.described.run.output)

    def look() -> None:
        check_free(output)
        action.look(order)

    with order.origin.naming_places():
        communicator.on_root(look)
        with owning(communicator, output):
            if order.wish is not None:
                order = replace(order, resume=communicator.on_root(checkpoint_for, order.wish, output))
            return action.work(order, communicator, progress)


def judge(order: Order, command: str, outcome: Any) -> None:
    """Raises where an outcome must not pass for a success, on every rank.

    Raises:
        SolveError: It must not.
    """
    action = part(require_action(order, command))
    if hasattr(action, "judge"):
        action.judge(order, outcome)


def carry_out(order: Order, command: str, *, silent: bool = False) -> Any:
    """Does what a command does with an order, and tells what came of it. Collective over all ranks.

    Args:
        order: The order.
        command: Name of the command, such as ``run``.
        silent: Whether nothing is printed.

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
    with make_progress(-1 if silent else communicator.rank) as progress:
        outcome = work_on(order, command, communicator, progress)
    if communicator.rank == 0 and not silent:
        part(action).tell(order, outcome)
    judge(order, command, outcome)
    return outcome


def _kept(order: Order, command: str) -> str:
    """What is kept where a signal ends the work before it has written anything."""
    if command != "run":
        return f"nothing is written before the end: {order.described.run.output} is as it was"
    begins = order.wish is None or not order.wish.checkpoint.is_file()
    return "nothing was computed yet" if begins else "the checkpoint is as it was; go on with --resume"
