"""A run on a square held against the closed form and other methods."""

from hpcpinn.core.order import Checking
from hpcpinn.reference.deepxde_peer import Training
from hpcpinn.systems.square.comparison import Level, Peer, SquareValidation, validate_square
from hpcpinn.wording import as_typed, biology, counted, duration

_MOST_GRIDS = 3
"""Finite-difference grids, at most."""


def validate(asked: Checking) -> SquareValidation:
    """Holds a run against the closed form, finite differences and, if it is asked, DeepXDE.

    Raises:
        InputError: There is no such result, it has no frames, or DeepXDE is not there.
        SolveError: DeepXDE failed; closed form and finite differences are kept.
        OutputError: The solutions cannot be kept.
    """

    def say(level: Level) -> None:
        asked.say(
            f"finite differences on {level.cells[0]} x {level.cells[1]} cells in {duration(level.seconds)}: "
            f"{level.error:.1e} from the closed form"
        )

    peer = None if asked.peer is None else Peer(asked.peer, Training(limit=60.0 * asked.minutes))
    return validate_square(
        asked.result, refinement=min(asked.refinement, _MOST_GRIDS), peer=peer, watch=say, progress=asked.progress
    )


def tell(outcome: SquareValidation, asked: Checking) -> None:
    """Prints the errors and the costs, those of DeepXDE also where it was asked earlier."""
    finest, worst = outcome.levels[-1], outcome.result.time[outcome.frame_error.argmax()]
    figures = {
        "relative L2 error, all frames": f"{outcome.error_exact:.2e} against the closed form",
        "largest in a frame": f"{outcome.frame_error.max():.2e} at {biology(worst, 6)}",
        "largest error at a point": f"{outcome.error_exact_max:.2e} uM",
        "finite differences, all frames": f"{finest.error:.2e} against the closed form "
        f"({finest.cells[0]} x {finest.cells[1]} cells, {duration(finest.seconds)})",
        "ours against finite differences": f"{outcome.error_difference:.2e}",
    }
    run, ranks = outcome.peer, outcome.result.attributes["ranks"]
    if run is not None:
        when = "" if asked.peer else ", in an earlier validation"
        figures["DeepXDE, all frames"] = (
            f"{outcome.error_peer:.2e} against the closed form ({run.adam} of {run.settings['adam']} steps of Adam, "
            f"{run.lbfgs} of {run.settings['lbfgs']} of L-BFGS, {duration(run.seconds)} on {run.device}{when})"
        )
    figures |= {
        "this run": f"{duration(outcome.seconds_ours)} on {counted(int(ranks), 'rank')}, compilation included",
        "others kept in": str(outcome.sidecar),
        "error": outcome.accuracy.words,
    }
    print(f"{outcome.result.path}: to {biology(float(outcome.result.time[-1]))}")
    for name, value in figures.items():
        print(f"{name:<36}{value}")
    print(f"next: hpcpinn plot {as_typed(outcome.result.path)}")
