"""A run: a problem is marched to its end, written, and kept in checkpoints from which it goes on to the last bit."""

import time as clock
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol

from hpcpinn.errors import HpcpinnError, OutputError, StoppedError
from hpcpinn.marching.checkpoints import Q, Reached, at_start, load, save
from hpcpinn.marching.kept import check_kept
from hpcpinn.marching.march import Improvement, March, Step
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel import stopping
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay
from hpcpinn.wording import amount_of, biology_of, counted

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


class Output(Protocol):
    """What takes the windows of a run; all methods are collective over all ranks."""

    def window(self, step: Step[Any], stats: Stats) -> None:
        """Remembers what is due of an accepted window.

        Args:
            step: The window.
            stats: Figures of the run with the window counted in.
        """

    def flush(self) -> None:
        """Makes everything remembered part of the result; called before every checkpoint.

        Raises:
            OutputError: It cannot be written; what was flushed before stays readable.
        """

    def close(self, *, complete: bool = True) -> None:
        """Flushes, and says whether the run came to its end."""


def window_detail(stats: Stats, step: Step[Any]) -> str:
    """What is said of a window while a run goes on."""
    sweeps = step.attempt.notes.get("sweeps")
    work = "" if sweeps is None else f"{counted(int(sweeps), 'sweep')}, "
    return f"window {stats.windows}, {work}error estimate {step.attempt.error:.1e}"


@dataclass(frozen=True)
class Cadence:
    """How often checkpoints are written; there is always one at the end.

    Attributes:
        windows: Number of windows from one checkpoint to the next; None where the clock says.
        seconds: Wall time from one checkpoint to the next; windows then reuse nothing of each other, so that what a
            run finds does not depend on the clock.
    """

    windows: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class RunOptions(Generic[Q]):
    """How a run is done.

    Attributes:
        checkpoint: Path of the checkpoint; None: none is written.
        settings: Values that states depend on, key by key, as `hpcpinn.io.checkpoint.fingerprint` makes it: a
            checkpoint of others is refused.
        resume: Checkpoint to go on from; None: from the start.
        cadence: Rule of how often checkpoints are written.
        progress: Display that is told what is being done, and about every accepted window.
        improvement: Improvement that may change the problem on the way.
        detail: What is said of a window while the run goes on.
        unit: Unit of user time, in words for progress; empty for a dimensionless run.
        began: Reading of the wall clock at the beginning of the set-up.
        who: Name of the system that packs states, for messages: the first checkpoint is then read again and held
            against the state (`hpcpinn.marching.kept`); empty: it is not.
    """

    checkpoint: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    resume: Path | None = None
    cadence: Cadence = Cadence(windows=1)
    progress: ProgressDisplay = NO_PROGRESS
    improvement: Improvement[Q] | None = None
    detail: Callable[[Stats, Step[Any]], str] = window_detail
    unit: str = "ms"
    began: float = field(default_factory=clock.perf_counter)
    who: str = ""


@dataclass(frozen=True, eq=False)
class Finished(Generic[Q]):
    """A run that came to its end.

    Attributes:
        reached: State at the end, and what belongs to it.
        seconds_setup: Wall time from the beginning of the set-up until the first window was done.
    """

    reached: Reached[Q]
    seconds_setup: float


def run(
    problem: Q,
    communicator: "Communicator",
    open_output: Callable[[Reached[Q], bool], Output],
    options: RunOptions[Q] | None = None,
) -> Finished[Q]:
    """Marches a problem to its end, writing on the way. Collective over all ranks.

    Args:
        problem: Problem as it is built from its description.
        communicator: All ranks.
        open_output: Makes the output; is given where the march stands, and whether it goes on from a checkpoint: the
            output then drops what is later.
        options: Checkpoints, progress and what else is chosen of a run.

    Raises:
        InputError: The checkpoint cannot be used for this problem.
        SolveError: A window does not reach its tolerance; what was accepted is in the output.
        OutputError: The result cannot be written; what was flushed is kept.
        StoppedError: A signal has stopped it (`hpcpinn.parallel.stopping`), with a checkpoint.
    """
    options = options or RunOptions()
    if options.resume is None:
        reached = at_start(problem)
    else:
        reached = load(options.resume, communicator, problem, options.settings, options.improvement)
    output = open_output(reached, options.resume is not None)
    loop = _Loop(communicator, output, options, reached)
    march = loop.march
    with _closing(output):
        if not march.is_at_end:
            loop.solve_last_again()
            loop.take(next(march))  # nothing would be lost: until then a signal ends the run at once
            loop.end_set_up()
        with loop.stopped_by_signals():
            while not march.is_at_end:
                stopping.heed(communicator)
                loop.take(next(march))
                loop.tell()
    return Finished(loop.reached, loop.seconds_setup)


@contextmanager
def _closing(output: Output) -> Iterator[None]:
    """Closes an output, whole or, where the solution fails, with what was accepted."""
    try:
        yield
    except OutputError:
        raise
    except HpcpinnError:
        output.close(complete=False)  # all ranks come here together: what was accepted is kept and can be read
        raise
    output.close()
    stopping.keeping("the result is whole")


class _Loop(Generic[Q]):
    """The loop of a run and what it holds on to."""

    def __init__(
        self, communicator: "Communicator", output: Output, options: RunOptions[Q], reached: Reached[Q]
    ) -> None:
        self.communicator, self.output, self.options, self.stats = communicator, output, options, reached.stats
        self.march = March(reached.problem, reached.state, reached.plan, options.improvement, reached.stats.windows)
        self.march.who, self.march.lineage = options.who, reached.lineage
        self.last_saved, self.seconds_setup = clock.perf_counter(), 0.0
        self.is_trusted, self.is_saved, self.said = not options.who, False, ""

    @property
    def reached(self) -> Reached[Q]:
        march = self.march
        return Reached(march.problem, march.state, march.plan, self.stats, march.lineage)

    @property
    def time(self) -> float:
        """Where it is, user units."""
        return self._user_time(self.march.state.time)

    @property
    def end(self) -> float:
        """Where it ends, user units."""
        return self._user_time(float(self.march.problem.stops[-1:].sum()))

    def _user_time(self, internal: float) -> float:
        return self.march.problem.rule.since + internal / self.march.problem.rule.unit

    def solve_last_again(self) -> None:
        """Makes anew what the next window uses of the last ones: it is solved as in a run that was not stopped."""
        if self.march.lineage is not None:
            self.options.progress.doing("solving the last windows again, of which the next uses parts")
            self.march.reuse = self.march.lineage.left_by(self.march.problem)

    def end_set_up(self) -> None:
        """The first window is done, and with it what is done once."""
        self.seconds_setup = clock.perf_counter() - self.options.began
        self.options.progress.doing("solving", self.end, self.options.unit)
        self.tell()

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """A signal that the march heeds ends it where it stands, in a checkpoint."""
        with stopping.patient(stopping.kept_so_far()):
            try:
                yield
            except stopping.StopAsked as asked:
                self._stop(asked.number)

    def take(self, step: Step[Q]) -> None:
        """An accepted window is counted and written; its arrays are gone while the next one is solved."""
        self.stats = self.stats.and_window(step)
        self._write(step)
        self.said = self.options.detail(self.stats, step)

    def tell(self) -> None:
        """Where the run is, for progress."""
        self.options.progress.done(self.time, self.said)

    def _stop(self, number: int) -> NoReturn:
        """Keeps where the run stands: a window that a signal has come into is solved again."""
        if not self.is_saved:
            self._save()  # with what the next window uses of the last ones: the run goes on as if it had not stopped
        unit = self.options.unit
        place = biology_of(self.time, self.end) if unit == "ms" else f"{amount_of(self.time, self.end)} {unit}".rstrip()
        raise StoppedError(f"stopped at {place}; go on with --resume", stopping.code_of(number))

    def _write(self, step: Step[Q]) -> None:
        """Between two windows: what is due goes out. Everything that may stop a run belongs here."""
        begun = clock.perf_counter()
        self.output.window(step, self.stats)
        if self.options.cadence.windows is None:
            self.march.forget()
        self.is_saved = False
        if self._is_time_to_save():
            # A run that goes on from here has nothing to reuse: neither has this one, to the last bit.
            self.march.forget()
            self._save(step)
        self.stats = self.stats.plus({"seconds_io": clock.perf_counter() - begun})

    def _save(self, last: Step[Q] | None = None) -> None:
        self.output.flush()
        options = self.options
        if options.checkpoint is not None:
            save(options.checkpoint, self.communicator, self.reached, options.settings, options.improvement)
            if not self.is_trusted:
                check_kept(options.checkpoint, self.communicator, self.reached, options.settings, options.who, last)
                self.is_trusted = True
            stopping.keeping("go on from the last checkpoint with --resume")
        self.last_saved, self.is_saved = clock.perf_counter(), True

    def _is_time_to_save(self) -> bool:
        cadence = self.options.cadence
        if self.march.is_at_end:
            return True
        if cadence.windows is not None and self.stats.windows % cadence.windows == 0:
            return True
        if cadence.seconds is None:
            return False
        # Rank 0 looks at the clock for all.
        return self.communicator.broadcast(clock.perf_counter() - self.last_saved >= cadence.seconds)
