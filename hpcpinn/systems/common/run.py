"""``hpcpinn run``, whatever is solved: march, results, checkpoints."""

import os
import resource
import time as clock
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from hpcpinn.config.inputs import files_read, with_digests
from hpcpinn.core.order import Order
from hpcpinn.core.system import Problem
from hpcpinn.errors import InputError, concerning
from hpcpinn.io import checkpoint, places, schema
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.metrics import metrics_path, write_metrics
from hpcpinn.io.size import free_bytes, result_bytes, warn_of_space
from hpcpinn.marching import run as driver
from hpcpinn.marching.checkpoints import Reached
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems import OWN
from hpcpinn.systems.common.output import RunOutput, is_dimensionless, user_time
from hpcpinn.systems.common.resumption import settings_of, stop_where_done
from hpcpinn.systems.common.run_summary import RunSummary
from hpcpinn.systems.common.verdict import Accuracy, Verdict, check_possible, lines_of, wrong_accuracy, wrong_verdict
from hpcpinn.systems.contract import blamed, built, check_begun
from hpcpinn.terminal.lines import print_verdict
from hpcpinn.wording import as_typed, biology, counted, duration

EVERY_RUN = ("windows", "rejected", "error_estimate", "tolerance", "counted")
"""Figures of every run; the last are sums and largest values by name."""

ANOTHER = "name another file with --output (run.output)"


def look(order: Order) -> None:
    """Finds out before the work starts that a run cannot, or must not, write its files.

    Raises:
        InputError: One of them is an input, a directory or a file of another kind, or cannot be made.
    """
    check_files(order.described.run.output, files_read(order.described, order.file))


def check_files(result: str, inputs: Mapping[str, Path]) -> None:
    """Finds out before the work starts that a result, or what lies beside it, cannot or must not be written.

    Args:
        result: The result file.
        inputs: Files that are read, by what a person calls them.

    Raises:
        InputError: As `look`.
    """
    output = Path(result)
    with concerning("run", "output"):
        places.check_usable(output, inputs, ANOTHER, schema.FORMAT)
        saved = f"the checkpoint goes there: {ANOTHER}"
        for kept in checkpoint.paths_of(output):
            places.check_usable(kept, inputs, saved, checkpoint.FORMAT)
        places.check_usable(metrics_path(output), inputs, f"the metrics go there: {ANOTHER}")


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
    problem: Any = built(order.system, described, communicator)
    output, unit = described.run.output, "" if is_dimensionless(problem) else "ms"
    who = blamed(order.system, problem) if order.system.name not in OWN else ""  # the house's own are tested
    seconds_planned: float | None = None

    def opened(reached: Reached[Problem], resumed: bool) -> RunOutput:
        nonlocal seconds_planned
        check_begun(blamed(order.system, problem), reached.state, resumed)
        now = user_time(problem, reached.state.time)
        if resumed and len(problem.stops):
            communicator.on_root(stop_where_done, output, _end(problem), now, unit)
        written = RunOutput.opened(order, problem, communicator, now if resumed else None, who)
        size, free = communicator.on_root(space_of, problem, written.header, output)
        if hasattr(problem, "plan"):
            for line in problem.plan(now, size, free):
                progress.tell(*line)
            seconds_planned = clock.perf_counter() - began
        communicator.on_root(warn_of_space, output, size, free)
        progress.doing(f"compiling and solving the first {getattr(problem, 'called', 'window')}")
        return written

    settings = problem.settings if hasattr(problem, "settings") else settings_of(order)
    options = driver.RunOptions[Problem](
        checkpoint=checkpoint.checkpoint_path(output) if len(problem.stops) else None,
        settings=communicator.on_root(with_digests, settings, described),
        resume=order.resume,
        cadence=getattr(problem, "cadence", None) or driver.Cadence(windows=described.run.checkpoint_every),
        progress=progress,
        improvement=getattr(problem, "improvement", None),
        detail=getattr(problem, "detail", driver.window_detail),
        unit=unit,
        began=began,
        who=who,
    )
    finished = driver.run(problem, communicator, opened, options)
    reached = finished.reached
    figures, verdict = _figures(reached, who), _verdict(reached, Path(output), who)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    summary = RunSummary(
        result=output,
        duration=_rounded(user_time(problem, reached.state.time)),
        figures=figures,
        ranks=communicator.size,
        seconds=clock.perf_counter() - began,
        seconds_setup=finished.seconds_setup if seconds_planned is None else seconds_planned,
        memory_gib=max(communicator.share(memory)),
        output_mib=communicator.on_root(os.path.getsize, output) / 2**20,
        time_unit=unit,
        verdict=verdict,
    )
    write_metrics(output, communicator, summary.metrics())
    return summary


def tell(order: Order, outcome: RunSummary) -> None:
    """Prints what was computed, how well, and what it cost."""
    s, typed = outcome, as_typed(outcome.result)
    time = biology(s.duration, 6) if s.time_unit else f"{s.duration:g}"
    solved = f"{time} in {counted(s.windows, 'window')} ({s.rejected} rejected)" if s.duration else "at once"
    sums = [f"{name.replace('_', ' ')} {value:.6g}" for name, value in s.counted.items()]
    own = [
        f"{name.replace('_', ' ')} {f'{value:.6g}' if isinstance(value, int | float) else value}"
        for name, value in s.figures.items()
        if name not in EVERY_RUN
    ]
    lines = {
        order.system.name: order.system.summary,
        "solve": solved,
        "": ", ".join(sums),
        "figures": ", ".join(own),
        "accuracy": f"error estimate of a window at most {s.error_estimate:.1e} (tolerance {s.tolerance:.1e})",
        "cost": f"{duration(s.seconds)} (set-up {duration(s.seconds_setup)}), {s.memory_gib:.2f} GiB per rank",
    }
    following = f"hpcpinn validate {typed}  and then  hpcpinn plot {typed}"
    after = {"result": s.result, **({} if s.verdict.impossible else {"next": following})}
    shown = [(label, text) for label, text in lines.items() if text]
    print_verdict([*shown, *lines_of(s.verdict), *after.items()], Console(highlight=False, markup=False))


def judge(order: Order, outcome: RunSummary) -> None:
    """Ends a run whose solution cannot be.

    Raises:
        SolveError: Its verdict says so.
    """
    check_possible(outcome.verdict, order.described.run.output)


def space_of(problem: Any, header: ResultHeader, output: str) -> tuple[int, int]:
    """Bytes of a result, at most where the number of its windows is known, and those that are free."""
    samples = len(problem.sample_times) if header.probes else 0
    size = result_bytes(header, frames=len(problem.times), samples=samples, windows=len(problem.stops))
    return size, free_bytes(output)


def _figures(reached: Reached[Any], who: str) -> Mapping[str, Any]:
    """What is said of every run, and over it what the problem itself says of its stats.

    Raises:
        InputError: These are no figures by name, or have names that say something else.
    """
    problem, stats = reached.problem, reached.stats
    own: Any = problem.figures(stats) if hasattr(problem, "figures") else {}
    if own and not who:  # what comes with hpcpinn says all that its own lines need
        house: Mapping[str, Any] = own
        return house
    if not isinstance(own, Mapping) or not all(isinstance(name, str) for name in own):
        raise InputError(f"{who}: figures gives a {type(own).__name__}, not figures by name, such as {{'spikes': 3}}")
    taken = {"verdict", *(entry.name for entry in fields(RunSummary))}.intersection(own)
    if taken:
        raise InputError(f"{who}: figures gives {min(taken)!r}, which a run says itself; give it another name")
    for name in EVERY_RUN:
        if name in own and isinstance(own[name], Mapping) != (name == "counted"):
            right = "figures by name" if name == "counted" else "a number"
            raise InputError(f"{who}: figures gives {name} = {own[name]!r}; let it be {right}, or leave it out")
    counted_up = {name: value for name, value in stats.sums.items() if not name.startswith("seconds_")}
    every = (stats.windows, stats.rejected, stats.error, problem.rule.tolerance, counted_up | dict(stats.largest))
    return {**dict(zip(EVERY_RUN, every, strict=True)), **own}


def _verdict(reached: Reached[Any], result: Path, who: str) -> Verdict:
    """Likewise, what came of it.

    Raises:
        InputError: The problem gives something else.
    """
    problem, stats = reached.problem, reached.stats
    if hasattr(problem, "verdict"):
        own: Verdict = problem.verdict(reached.state, stats, result)
        _check_member(who, "verdict", wrong_verdict(own))
        return own
    if hasattr(problem, "accuracy"):
        accuracy = problem.accuracy(stats)
        _check_member(who, "accuracy", wrong_accuracy(accuracy))
        return Verdict((accuracy,))
    of = "the largest estimate of a window"
    return Verdict((Accuracy(stats.error, problem.rule.tolerance, of, "window.tolerance"),))


def _check_member(who: str, member: str, wrong: str) -> None:
    if who and wrong:
        raise InputError(f"{who}: {member} gives {wrong}")


def _end(problem: Problem) -> float:
    return _rounded(user_time(problem, float(problem.stops[-1])))


def _rounded(time: float) -> float:
    """A user time as it was typed, whatever internal units have made of its last bit."""
    return float(f"{time:.15g}")
