"""What a run writes as it goes: frames of every field, samples at probes, rows of windows and sweeps."""

import time as clock
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.core.order import Order
from hpcpinn.core.system import Problem, Record, Written
from hpcpinn.errors import InputError
from hpcpinn.io import schema
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.marching.kept import not_finite
from hpcpinn.marching.march import Step
from hpcpinn.marching.stats import Stats
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.systems.common.kept_inputs import input_files_of
from hpcpinn.systems.contract import check_after, no_number, wrong_frames


def every(interval: float, end: float) -> Float[ndarray, " n"]:
    """Multiples of an interval from 0 to an end, which rounding does not cut off."""
    multiples: Float[ndarray, " n"] = np.arange(int(end / interval * (1.0 + 1e-12)) + 1) * interval
    return multiples


def user_time(problem: Problem, internal: float) -> float:
    """User time at an internal time."""
    return float(problem.rule.since + internal / problem.rule.unit)


def is_dimensionless(problem: Problem) -> bool:
    """Whether numbers of a problem have no units."""
    return bool(getattr(problem, "dimensionless", False))


def header_of(order: Order, problem: Problem) -> ResultHeader:
    """What a result file knows before its first frame."""
    return ResultHeader(
        system=order.system.name,
        geometry=problem.geometry,
        fields=tuple(problem.fields),
        probes=tuple(getattr(problem, "probes", ())),
        windows=(*schema.WINDOWS, *getattr(problem, "columns", ())),
        config=getattr(problem, "description", None) or order.described.to_json(),
        seed=getattr(order.described.run, "seed", 0),
        dimensionless=is_dimensionless(problem),
        members=tuple(getattr(problem, "members", ())),
        inputs=input_files_of(order),
    )


class RunOutput:
    """The result file of a run while it is written. Collective over all ranks."""

    def __init__(
        self, problem: Problem, header: ResultHeader, writer: ResultWriter, communicator: Communicator, who: str = ""
    ) -> None:
        """Takes what a run writes.

        Args:
            problem: What is solved.
            header: What the file knows.
            writer: The file.
            communicator: All ranks.
            who: What gives values, for messages about those that do not fit; empty: they are not looked at.
        """
        self._problem, self._header, self._writer = problem, header, writer
        self._communicator, self._who = communicator, who
        self._columns = [entry.name for entry in header.windows]
        self._has_own_values = header.geometry.pieces is not None or communicator.rank == 0
        self._written = {"times": 0, "sample_times": 0}
        self._times = {name: np.asarray(getattr(problem, name, ()), float) for name in self._written}
        rule = problem.rule
        self._internal = {name: (times - rule.since) * rule.unit for name, times in self._times.items()}

    @classmethod
    def opened(
        cls, order: Order, problem: Problem, communicator: Communicator, until: float | None, who: str = ""
    ) -> "RunOutput":
        """The output of a run that begins, or goes on.

        Args:
            order: The order.
            problem: What is solved.
            communicator: All ranks.
            until: User time from which it goes on; None where it begins.
            who: Name of what gives values, for messages, as in `RunOutput`.

        Raises:
            InputError: The result that it goes on with belongs to another run.
            OutputError: The file cannot be written.
        """
        path, header = order.described.run.output, header_of(order, problem)
        if until is None:
            return cls(problem, header, ResultWriter(path, communicator, header), communicator, who)
        output = cls(problem, header, ResultWriter.resume(path, communicator, header, until), communicator, who)
        late = until + 1e-9 * max(1.0, abs(until))  # as the file drops what is later
        output._written = {
            name: int(np.searchsorted(times, late, side="right")) for name, times in output._times.items()
        }
        return output

    @property
    def header(self) -> ResultHeader:
        """What the file knows."""
        return self._header

    def window(self, step: Step[Problem], stats: Stats) -> None:
        """Remembers what is due of an accepted window, and its row.

        Raises:
            InputError: The problem gives other fields than it says, or windows that end elsewhere.
        """
        begun = clock.perf_counter()
        if self._who:
            self._check_window(step)
        problem, attempt = step.problem, step.attempt  # as it was then: trunks may have been trained since
        record: Record = problem.record(step, stats) if hasattr(problem, "record") else Record()
        self._agree(None if isinstance(record, Record) else f"record gives a {type(record).__name__}, not a Record")
        row = {
            "seconds": step.seconds, **attempt.notes, **attempt.largest,
            "start": user_time(problem, step.before.time), "length": attempt.length / problem.rule.unit,
            "error_estimate": attempt.error, "rejected": step.rejected, **record.row,
        }  # fmt: skip
        missing = [name for name in self._columns if name not in row and name != "seconds_io"]
        self._agree(f"columns has {', '.join(missing)}, of which no attempt has a note" if missing else None)
        frames = self._due_frames(step) if record.frames is None else [self._checked("record", *record.frames)]
        for times, values in frames:
            for number, time in enumerate(times if values else ()):
                self._writer.frame(float(time), {name: of_field[number] for name, of_field in values.items()})
        if self._header.probes:  # every rank, with a probe or without
            own = record.samples
            samples = self._due_samples(step) if own is None else self._checked("record", *own, at_probes=True)
            if len(samples.times):
                self._writer.probes(*samples)
        self._writer.sweeps(record.sweeps)
        row = {"seconds_io": clock.perf_counter() - begun, **row}
        self._writer.windows([{name: row[name] for name in self._columns}])

    def _agree(self, wrong: str | None) -> None:
        """Refuses what does not fit, on all ranks; what comes with hpcpinn is not asked."""
        if self._who:
            self._communicator.agree(None if wrong is None else InputError(f"{self._who}: {wrong}"))

    def _check_window(self, step: Step[Problem]) -> None:
        """Refuses a window that does not fit what the problem says of itself."""
        begin, attempt = step.before.time, step.attempt
        check_after(self._who, begin, attempt)
        lost = not_finite(step.problem.pack(attempt.after))
        start = user_time(step.problem, begin)
        said = f"an attempt from {start:g} has error {attempt.error:g} and {lost!r} in its state that is not finite"
        self._agree(None if lost is None else f"{said}; let its error be NaN")

    def _due_frames(self, step: Step[Problem]) -> list[Written]:
        """Those of a window that are asked of `observe`, and of `initially` at the start of a run."""
        found, problem = [], self._problem
        times, inside = self._due(step, "times")
        if step.number == 0 and hasattr(problem, "initially"):
            after = int(np.searchsorted(inside, 1e-9 * step.attempt.length, side="right"))
            found.append(self._checked("initially", times[:after], problem.initially()))
            times, inside = times[after:], inside[after:]
        if len(times):
            found.append(self._checked("observe", times, step.problem.observe(step.attempt, inside)))
        return found

    def _due_samples(self, step: Step[Problem]) -> Written:
        times, inside = self._due(step, "sample_times")
        problem: Any = step.problem
        values = problem.sample(step.attempt, inside) if len(times) else {}
        return self._checked("sample", times, values, at_probes=True) if len(times) else Written(times, values)

    def _due(self, step: Step[Problem], of: str) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
        """User times, of a member of the problem, that a window has reached; the same from its start, internal."""
        begin, length = step.before.time, step.attempt.length
        times, internal, first = self._times[of], self._internal[of], self._written[of]
        self._written[of] = last = int(np.searchsorted(internal, begin + length * (1.0 + 1e-9), side="right"))
        return times[first:last], np.clip(internal[first:last] - begin, 0.0, length)

    def _checked(
        self, of: str, times: Float[ndarray, " n"], values: Mapping[str, Any], *, at_probes: bool = False
    ) -> Written:
        names, writer, wrong = [field.name for field in self._problem.fields], self._writer, None
        if self._who and self._has_own_values:
            size = len(writer.local_pieces) * self._problem.geometry.values_per_piece
            wrong = wrong_frames(values, names, len(times), len(writer.local_probes) if at_probes else size)
            if wrong is None and at_probes:
                flat = [name for name in values if np.ndim(values[name]) < 2]
                wrong = f"{flat[0]!r} of shape {np.shape(values[flat[0]])}; let it be (times, probes)" if flat else None
            if wrong is None and (missing := [name for name in names if name not in values]):
                wrong = f"no {', '.join(missing)}"
            mask = getattr(self._problem.geometry, "mask", None)
            if wrong is None and not (at_probes and mask is not None):  # a probe outside a mask holds nothing
                wrong = no_number(times, values, None if mask is None else np.ravel(mask))
        self._agree(None if wrong is None else f"{of} gives {wrong}")
        return Written(times, values)

    def flush(self) -> None:
        """Makes everything remembered part of the file."""
        self._writer.flush()

    def close(self, *, complete: bool = True) -> None:
        """Ends the file."""
        self._writer.close(complete=complete)
