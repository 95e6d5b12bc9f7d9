"""How a command's work on an order is done, whatever the system."""

from typing import Any

from hpcpinn.core.order import Order
from hpcpinn.systems import part
from hpcpinn.systems.jobs import require_action
from hpcpinn.terminal.progress import make_progress


def carry_out(order: Order, command: str, *, silent: bool = False) -> Any:
    """Does what a command does with an order, and tells what came of it. Collective over all ranks.

    Args:
        order: The order.
        command: Such as ``run``.
        silent: Whether nothing is printed.

    Returns:
        The outcome of the system's action.

    Raises:
        InputError: The system has no such action, or something the user gave cannot be used.
        SolveError: The work did not succeed.
        OutputError: The result cannot be written.
    """
    named = require_action(order, command)

    from hpcpinn.parallel.device import prepare  # the device must be chosen before JAX is loaded

    prepare()
    from hpcpinn.parallel.transports import make_communicator

    action, communicator = part(named), make_communicator(order.described.run.transport)
    with order.origin.naming_places():
        communicator.on_root(action.look, order)
        with make_progress(-1 if silent else communicator.rank) as progress:
            outcome = action.work(order, communicator, progress)
    if communicator.rank == 0 and not silent:
        action.tell(order, outcome)
    if hasattr(action, "judge"):
        action.judge(order, outcome)
    return outcome
