"""``hpcpinn run`` on a square."""

from typing import TYPE_CHECKING

from rich.console import Console

from hpcpinn.core.order import Order
from hpcpinn.progress import ProgressDisplay
from hpcpinn.terminal.lines import print_verdict
from hpcpinn.wording import as_typed, biology, counted, duration

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator
    from hpcpinn.workflows.run_summary import RunSummary


def look(order: Order) -> None:
    """Finds out before the work starts that a run cannot, or must not, write its files.

    Raises:
        InputError: It cannot.
    """
    from hpcpinn.workflows import square

    square.refuse_unusable_places(order.described, order.file)


def work(order: Order, communicator: "Communicator", progress: ProgressDisplay) -> "RunSummary":
    """Runs it, into its result file. Collective over all ranks."""
    from hpcpinn.workflows import square

    return square.run_square(order.described, communicator, progress)


def tell(order: Order, outcome: "RunSummary") -> None:
    """Prints what was computed, how well, and what it cost."""
    from hpcpinn.workflows.run_verdict import lines_of

    s = outcome
    lines = {
        "square": f"{s.subdomains[0]} x {s.subdomains[1]} subdomains on {counted(s.ranks, 'rank')}",
        "solve": f"{biology(s.duration, 6)} in {counted(s.windows, 'window')} ({s.rejected} rejected), "
        f"{counted(s.newton_steps, 'Newton step')}, {counted(s.sweeps, 'sweep')}",
        "accuracy": f"{s.exact_error:.1e} from the closed form (relative L2 over the square and all times; at most "
        f"{s.exact_error_worst:.1e} in a window), {s.exact_error_max:.1e} uM at most",
        "": f"error estimate at most {s.error_estimate:.1e} (window.tolerance {s.tolerance:.1e}), interface jump "
        f"{s.interface_jump:.1e}",
        "cost": f"{duration(s.seconds)} (first window with compilation {duration(s.seconds_setup)}), "
        f"{s.memory_gib:.2f} GiB per rank",
    }
    typed = as_typed(s.result)
    after = {"result": s.result, "next": f"hpcpinn validate {typed}  and then  hpcpinn plot {typed}"}
    print_verdict([*lines.items(), *lines_of(s.verdict), *after.items()], Console(highlight=False, markup=False))
