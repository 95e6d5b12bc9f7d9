"""A run of a cell held against finite volumes."""

from rich.console import Console
from rich.table import Table

from hpcpinn.core.order import Checking
from hpcpinn.reference.refinement import Settled
from hpcpinn.systems.cell.comparison import Validation
from hpcpinn.systems.cell.comparison import validate as hold_against_reference
from hpcpinn.systems.cell.verdict import judgement, lines_of_cells, moment
from hpcpinn.wording import as_typed, counted, duration

_MOST_ROWS = 10
"""Frames listed in the table; ``--json`` gives all."""


def validate(asked: Checking) -> Validation:
    """Holds a run against finite volumes, refined until they no longer move.

    Raises:
        InputError: There is no such result, or it cannot be compared.
    """

    def say(settled: Settled) -> None:
        moved = ", ".join(f"{movement:.1e} ({name})" for name, movement in settled.movement.items())
        asked.say(
            f"reference with {2 * settled.finest.cells.sum()} cells in {duration(settled.finest.seconds)}, "
            f"moved by {moved}"
        )

    outcome = hold_against_reference(
        asked.result,
        refinement=asked.refinement,
        patience=asked.patience,
        timed=asked.is_timed,
        watch=say,
        progress=asked.progress,
    )
    if outcome.unsettled:
        ended = len(outcome.settled.meshes) == asked.refinement
        more = f"raise --refinement ({asked.refinement})" if ended else f"raise --patience ({asked.patience:g})"
        asked.say(
            f"warning: the reference still moved when it was last refined: {outcome.unsettled}; to know it "
            f"better, {more}"
        )
    return outcome


def tell(outcome: Validation, asked: Checking) -> None:
    """Prints the errors, what they mean, and the costs."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    settled, result = outcome.settled, outcome.result
    unit = result.units.get("time", "")
    units = ("ms", "uM") if unit else ("", "")
    end = moment(float(result.time[-1]), unit)
    console.print(f"{result.path}: {counted(result.cable.n_frusta, 'piece')}, to {end}", markup=False)
    ranks = result.attributes["ranks"]
    of_calcium, *of_others = outcome.accuracy.values()
    figures = {f"relative L2 error of {name}": f"{error:.2e}" for name, error in settled.error.items()}
    figures |= {
        "calcium balance": f"{_balance(outcome)} (reference {outcome.balance_reference:.1e})",
        "seconds, this run": f"{outcome.seconds_ours:.2f} on {counted(int(ranks), 'rank')} "
        f"({outcome.seconds_first:.2f} in the first window, compilation included)",
        **({"seconds, reference at equal error": _price(outcome)} if asked.is_timed else {}),
        "reference kept in": str(outcome.sidecar),
        "error": judgement(of_calcium, outcome.of_run.cells if outcome.of_run else (), units[1]),
    }
    figures |= {" " * number: accuracy.words for number, accuracy in enumerate(of_others)}
    if outcome.of_run is not None:
        said = lines_of_cells(outcome.of_run, "", *units)
        figures |= {label: text for label, text in said if label in ("fired", "calcium")}
    if outcome.unsettled:
        figures["unsolved"] = f"the reference still moves: {outcome.unsettled}"
    if not result.complete:
        figures["unsolved"] = f"what follows {moment(float(result.time[-1]), unit)}: the run is not complete"
    for name, value in figures.items():
        console.print(f"{name:<36}{value}", markup=False)
    table = Table(box=None, pad_edge=False)
    console.print("errors frame by frame, calcium over its excursion in the frame, buffers over themselves:")
    for heading in (f"time {unit}".strip(), *outcome.error):
        table.add_column(heading, justify="right")
    count = len(outcome.time)
    step = max(1, -(-(count - 1) // _MOST_ROWS))
    for i in range(count - 1, 0, -step)[::-1]:
        table.add_row(f"{outcome.time[i]:g}", *(f"{error[i]:.1e}" for error in outcome.error.values()))
    console.print(table)
    console.print(f"next: hpcpinn plot {as_typed(result.path)}")


def _balance(outcome: Validation) -> str:
    return "not measured in split windows" if outcome.balance is None else f"{outcome.balance:.1e}"


def _price(outcome: Validation) -> str:
    price = outcome.price
    if price is None:
        return f"not reached; last refinement {outcome.seconds_reference:.2f}"
    return (
        f"{price.seconds:.2f} ({price.method} mesh, {price.cells} cells, tolerance {price.tolerance:.0e}, "
        f"errors {', '.join(f'{error:.1e}' for error in price.error.values())})"
    )
