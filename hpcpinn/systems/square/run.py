"""``hpcpinn run`` on a square."""

from rich.console import Console

from hpcpinn.core.order import Order
from hpcpinn.systems.common.run import look, work
from hpcpinn.systems.common.run_summary import RunSummary
from hpcpinn.systems.common.verdict import lines_of
from hpcpinn.terminal.lines import print_verdict
from hpcpinn.wording import as_typed, biology, counted, duration

__all__ = ["look", "tell", "work"]


def tell(order: Order, outcome: RunSummary) -> None:
    """Prints what was computed, how well, and what it cost."""
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
