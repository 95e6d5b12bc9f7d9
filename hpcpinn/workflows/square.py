"""A forward run on a square: dopamine, window after window, on all ranks, into one result file."""

import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpcpinn.config.square import SquareConfig
from hpcpinn.errors import concerning
from hpcpinn.io import checkpoint, places, schema
from hpcpinn.io.metrics import metrics_path, write_metrics
from hpcpinn.marching import run as driver
from hpcpinn.marching.checkpoints import Reached
from hpcpinn.marching.tally import Tally
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.workflows.run_summary import RunSummary, summarised
from hpcpinn.workflows.run_verdict import Accuracy, Verdict
from hpcpinn.workflows.square_output import SquareOutput
from hpcpinn.workflows.square_problem import build_square, duration_of
from hpcpinn.workflows.square_run import SquareRun
from hpcpinn.workflows.square_trunk import SquareTrunkTraining

ANOTHER = "name another file with --output (run.output)"
CHECKPOINT_EVERY = 10.0
"""Wall time between two checkpoints, s; what windows find does not depend on it, as they reuse nothing."""


def refuse_unusable_places(config: SquareConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a run cannot, or must not, write its files.

    Raises:
        InputError: One of them is an input, a directory or a file of another kind, or cannot be made.
    """
    given = {"the job file": job, "the data file (data.file)": config.data.file}
    inputs = {name: Path(file) for name, file in given.items() if file is not None}
    output = Path(config.run.output)
    with concerning("run", "output"):
        places.refuse_unusable(output, inputs, ANOTHER, schema.FORMAT)
        places.refuse_unusable(metrics_path(output), inputs, f"the metrics go there: {ANOTHER}")


def run_square(config: SquareConfig, communicator: Communicator, progress: ProgressDisplay) -> RunSummary:
    """Runs a job from its description to its result file. Collective over all ranks.

    Raises:
        InputError: Something the user gave cannot be used.
        SolveError: A window does not reach its tolerance; what was accepted is in the file.
        OutputError: The result cannot be written.
    """
    began = clock.perf_counter()
    progress.doing("setting up")
    marched = SquareRun(build_square(config, communicator), communicator)

    def opened(reached: Reached[SquareRun], resumed: bool) -> SquareOutput:
        output = SquareOutput(reached.problem.problem, communicator, reached.state.time if resumed else None)
        progress.doing("compiling and solving the first window")
        return output

    options = driver.RunOptions[SquareRun](
        checkpoint=checkpoint.checkpoint_path(config.run.output),
        cadence=driver.Cadence(seconds=CHECKPOINT_EVERY),
        progress=progress,
        improvement=SquareTrunkTraining.of(marched),
        began=began,
    )
    finished = driver.run(marched, communicator, opened, options)
    figures = _figures(config, finished.reached.tally)
    of = "the distance from the closed form, over the square and all times"
    accuracy = Accuracy(figures["exact_error"], config.window.tolerance, of, "window.tolerance")
    summary = summarised(
        communicator,
        config.run.output,
        duration_of(config),
        figures,
        Verdict((accuracy,)),
        began=began,
        seconds_setup=finished.seconds_setup,
    )
    write_metrics(config.run.output, communicator, summary.metrics())
    return summary


def _figures(config: SquareConfig, tally: Tally) -> Mapping[str, Any]:
    """What a run has counted and measured.

    ``exact_error`` is the L2 difference from the closed form over the box and all times, relative to its L2 norm;
    ``exact_error_worst`` the largest of a single window, in the same measure; ``exact_error_max`` the largest
    difference at any point and time, µM; ``error_estimate`` the largest of a window.
    """
    return {
        "subdomains": config.domain.subdomains,
        "windows": tally.windows,
        "rejected": tally.rejected,
        "newton_steps": tally["newton_steps"],
        "sweeps": tally["sweeps"],
        "exact_error": (tally["missed"] / tally["norm"]) ** 0.5,
        "exact_error_worst": tally["exact_error"],
        "exact_error_max": tally["exact_error_max"],
        "error_estimate": tally.error,
        "tolerance": config.window.tolerance,
        "interface_jump": tally["jump"],
    }
