"""``hpcpinn run`` of a system that builds a problem and has no more to say: march, results, checkpoints."""

import time as clock
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console

from hpcpinn.config.reading import Reading
from hpcpinn.core.order import Order
from hpcpinn.core.system import Problem
from hpcpinn.errors import InputError, concerning
from hpcpinn.io import checkpoint, places, schema
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.metrics import metrics_path, write_metrics
from hpcpinn.io.results import ResultWriter
from hpcpinn.marching import run as driver
from hpcpinn.marching.checkpoints import Reached
from hpcpinn.marching.kept import not_finite
from hpcpinn.marching.march import Step
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems.common.resumption import stop_where_done
from hpcpinn.systems.common.run_summary import RunSummary, summarised
from hpcpinn.systems.common.verdict import Accuracy, Verdict, lines_of
from hpcpinn.systems.contract import blamed, built, check_after, check_begun, wrong_frames
from hpcpinn.terminal.lines import print_verdict
from hpcpinn.wording import as_typed, biology, counted, duration

ANOTHER = "name another file with --output (run.output)"
_NOT_OF_THE_STATE = ("run", "parameter", "data", "inference", "uq", "study")
"""Tables that no state depends on; a run that goes on may have others."""


def look(order: Order) -> None:
    """Finds out before the work starts that a run cannot, or must not, write its files.

    Raises:
        InputError: One of them is an input, a directory or a file of another kind, or cannot be made.
    """
    inputs, output = input_files(order), Path(order.described.run.output)
    with concerning("run", "output"):
        places.check_usable(output, inputs, ANOTHER, schema.FORMAT)
        saved = f"the checkpoint goes there: {ANOTHER}"
        places.check_usable(checkpoint.checkpoint_path(output), inputs, saved, checkpoint.FORMAT)
        places.check_usable(metrics_path(output), inputs, f"the metrics go there: {ANOTHER}")


def input_files(order: Order) -> dict[str, Path]:
    """What is read, by what a person calls it."""
    document = order.described.model_dump()
    named = [str(holder[key]) for holder, key in Reading.of(order.system).files(document)]
    found = {f"the input file {name}": Path(name) for name in named if not name.startswith("builtin:")}
    return found if order.file is None else {"the job file": order.file, **found}


def work(order: Order, communicator: Communicator, progress: ProgressDisplay) -> RunSummary:
    """Marches the problem of a description into its result file. Collective over all ranks.

    Raises:
        InputError: Something the user gave cannot be used.
        SolveError: A window does not reach its tolerance; what was accepted is in the file.
        OutputError: The result cannot be written.
        NothingToDoError: The checkpoint is at the end of the run.
    """
    began, described = clock.perf_counter(), order.described
    progress.doing("setting up")
    problem = built(order.system, described, communicator)
    output = described.run.output
    unit = "" if _is_dimensionless(problem) else "ms"

    def opened(reached: Reached[Problem], resumed: bool) -> FieldOutput:
        check_begun(blamed(order.system, problem), reached.state, resumed)
        if resumed and len(problem.stops):
            times = (_user_time(problem, time) for time in (problem.stops[-1], reached.state.time))
            communicator.on_root(stop_where_done, output, *times, unit)
        progress.doing("solving the first window")
        return FieldOutput.opened(order, problem, communicator, reached.state.time if resumed else None)

    options = driver.RunOptions[Problem](
        checkpoint=checkpoint.checkpoint_path(output) if len(problem.stops) else None,
        settings=_settings(order),
        resume=order.resume,
        cadence=driver.Cadence(windows=described.run.checkpoint_every),
        progress=progress,
        improvement=getattr(problem, "improvement", None),
        unit=unit,
        began=began,
        who=blamed(order.system, problem),
    )
    finished = driver.run(problem, communicator, opened, options)
    reached = finished.reached
    verdict = Verdict((_asked(reached, _accuracy, "accuracy"),))
    summary = summarised(
        communicator, output, _user_time(problem, reached.state.time), _asked(reached, _figures, "figures"), verdict,
        began=began, seconds_setup=finished.seconds_setup, time_unit=unit,
    )  # fmt: skip
    write_metrics(output, communicator, summary.metrics())
    return summary


def tell(order: Order, outcome: RunSummary) -> None:
    """Prints what was computed, how well, and what it cost."""
    s, typed = outcome, as_typed(outcome.result)
    time = biology(s.duration, 6) if s.time_unit else f"{s.duration:g}"
    solved = f"{time} in {counted(s.windows, 'window')} ({s.rejected} rejected)" if s.duration else "at once"
    sums = [f"{name.replace('_', ' ')} {value:.6g}" for name, value in s.counted.items()]
    lines = {
        order.system.name[:9]: order.system.summary,
        "solve": solved,
        "": ", ".join(sums),
        "accuracy": f"error estimate of a window at most {s.error_estimate:.1e} (tolerance {s.tolerance:.1e})",
        "cost": f"{duration(s.seconds)} (set-up {duration(s.seconds_setup)}), {s.memory_gib:.2f} GiB per rank",
    }
    after = {"result": s.result, "next": f"hpcpinn validate {typed}  and then  hpcpinn plot {typed}"}
    shown = [(label, text) for label, text in lines.items() if text]
    print_verdict([*shown, *lines_of(s.verdict), *after.items()], Console(highlight=False, markup=False))


class FieldOutput:
    """Frames of every field and rows of windows, as they come. Collective over all ranks."""

    def __init__(self, problem: Problem, writer: ResultWriter, communicator: Communicator, who: str) -> None:
        self._problem, self._writer, self._communicator, self._who = problem, writer, communicator, who
        self._columns = [entry.name for entry in getattr(problem, "columns", ())]
        self._names = [field.name for field in problem.fields]
        self._size = len(writer.local_pieces) * problem.geometry.values_per_piece
        self._is_heard = problem.geometry.pieces is not None or communicator.rank == 0

    @classmethod
    def opened(cls, order: Order, problem: Problem, communicator: Communicator, until: float | None) -> "FieldOutput":
        """The output of a run that begins, or goes on.

        Args:
            order: The order.
            problem: What is solved.
            communicator: All ranks.
            until: Internal time from which it goes on; None where it begins.

        Raises:
            InputError: The result that it goes on with belongs to another run.
            OutputError: The file cannot be written.
        """
        header = ResultHeader(
            system=order.system.name, geometry=problem.geometry, fields=problem.fields,
            windows=(*schema.WINDOWS, *getattr(problem, "columns", ())), config=order.described.to_json(),
            seed=getattr(order.described.run, "seed", 0), dimensionless=_is_dimensionless(problem),
        )  # fmt: skip
        path, who = order.described.run.output, blamed(order.system, problem)
        if until is None:
            return cls(problem, ResultWriter(path, communicator, header), communicator, who)
        resumed = ResultWriter.resume(path, communicator, header, _user_time(problem, until))
        return cls(problem, resumed, communicator, who)

    def window(self, step: Step[Problem], stats: Stats) -> None:
        """Remembers the frames that are due in a window, and its row.

        Raises:
            InputError: The problem gives other fields than it says, or windows that end elsewhere.
        """
        attempt, rule = step.attempt, self._problem.rule
        begin = step.before.time
        check_after(self._who, begin, attempt)
        if attempt.error == 0.0:  # whoever claims that is asked; others' estimates are made of the state
            lost = not_finite(step.problem.pack(attempt.after))
            said = f"{self._who}: an attempt from {begin:g} has error 0 and {lost!r} in its state that is not finite"
            self._communicator.agree(None if lost is None else InputError(f"{said}; let its error be NaN"))
        times = np.asarray(self._problem.times, float)
        internal, late = (times - rule.since) * rule.unit, 1e-9 * max(attempt.length, 1e-300)
        is_due = (internal > begin + late) & (internal <= begin + attempt.length + late)
        if step.number == 0:
            at_start = np.abs(internal - begin) <= late
            if hasattr(self._problem, "initially"):
                self._frames(times[at_start], self._problem.initially(), "initially")
            else:
                is_due |= at_start
        if is_due.any():
            # as it was when it solved this window: trunks may have been trained since
            inside = np.clip(internal[is_due] - begin, 0.0, attempt.length)
            self._frames(times[is_due], step.problem.observe(attempt, inside), "observe")
        row = {
            "start": _user_time(self._problem, begin), "length": attempt.length / rule.unit,
            "error_estimate": attempt.error, "rejected": step.rejected,
        }  # fmt: skip
        known = {"seconds": step.seconds, **attempt.notes, **attempt.largest}
        self._writer.windows([row | {name: known[name] for name in self._columns}])

    def _frames(self, times: Float[ndarray, " n"], values: Mapping[str, Float[ndarray, "n ..."]], of: str) -> None:
        wrong = wrong_frames(values, self._names, len(times), self._size) if self._is_heard else None
        if self._is_heard and wrong is None and (missing := [name for name in self._names if name not in values]):
            wrong = f"no {', '.join(missing)}"
        self._communicator.agree(None if wrong is None else InputError(f"{self._who}: {of} gives {wrong}"))
        for number, time in enumerate(times if values else ()):
            self._writer.frame(float(time), {name: of_field[number] for name, of_field in values.items()})

    def flush(self) -> None:
        """Makes everything remembered part of the file."""
        self._writer.flush()

    def close(self, *, complete: bool = True) -> None:
        """Ends the file."""
        self._writer.close(complete=complete)


def _settings(order: Order) -> dict[str, str]:
    whole = order.described.model_dump(mode="json")
    kept = {name: table for name, table in whole.items() if name not in _NOT_OF_THE_STATE}
    return checkpoint.fingerprint(kept | {"run": {"seed": whole["run"].get("seed")}})


def _asked(reached: Reached[Problem], otherwise: Callable[[Problem, Stats], Any], name: str) -> Any:
    """What the problem itself says of its stats, or what is said of every one."""
    own: Callable[[Stats], Any] | None = getattr(reached.problem, name, None)
    return otherwise(reached.problem, reached.stats) if own is None else own(reached.stats)


def _figures(problem: Problem, stats: Stats) -> dict[str, Any]:
    counted_up = {name: value for name, value in stats.sums.items() if not name.startswith("seconds_")}
    return {
        "windows": stats.windows,
        "rejected": stats.rejected,
        "error_estimate": stats.error,
        "tolerance": problem.rule.tolerance,
        "counted": counted_up | dict(stats.largest),
    }


def _accuracy(problem: Problem, stats: Stats) -> Accuracy:
    return Accuracy(stats.error, problem.rule.tolerance, "the largest estimate of a window", "window.tolerance")


def _user_time(problem: Problem, internal: float) -> float:
    return float(problem.rule.since + internal / problem.rule.unit)


def _is_dimensionless(problem: Problem) -> bool:
    return bool(getattr(problem, "dimensionless", False))
