"""``hpcpinn run``: one forward run of one cell."""

import json
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hpcpinn.cli.job import JOB_HELP, chosen_job
from hpcpinn.cli.progress import make_progress
from hpcpinn.config import SquareConfig, load_any
from hpcpinn.config.jobs import DEFAULT, is_cell
from hpcpinn.errors import InputError, InterruptedRunError, warn
from hpcpinn.files import refuse_endless
from hpcpinn.wording import as_typed, biology, counted, duration

if TYPE_CHECKING:
    from hpcpinn.config import Origin
    from hpcpinn.workflows.forward import RunSummary
    from hpcpinn.workflows.long_state import LongSummary
    from hpcpinn.workflows.square import SquareSummary

MORE = (
    "Every key of a job file, which --set can change, is in docs/run-description.md.\n\n"
    "A site is soma, root, apic[12](0.5), point:123, xyz:1,2,3 or tip:apic."
)


def run(
    job: Annotated[Path | None, typer.Argument(help=f"{JOB_HELP}; an SWC file: the default protocol on it.")] = None,
    morphology: Annotated[
        str | None, typer.Option(help="SWC file to use instead of the job's.", metavar="FILE")
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="Unit of the SWC file: auto, um, nm, mm, 8nm, ...", metavar="UNIT")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Result file to write instead of the job's.", metavar="FILE")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on from a checkpoint: FILE, or the one beside the result if no FILE is named; "
            "'auto' does so only if there is one.",
            metavar="[FILE|auto]",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as run.duration=20.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Solves calcium and calbindin on a cell, or dopamine on a square.

    Start it under mpirun for many ranks: mpirun -n 8 hpcpinn run --morphology cell.swc
    """
    flags = {"morphology.file": morphology, "morphology.units": units, "run.output": output}
    found = chosen_job(job, DEFAULT, morphology)
    chosen = found.file
    config, origin = load_any(chosen, [*found.overrides, *(settings or []), *overrides_of(flags)])
    if config.parameter:
        _warn_of_inference(job if job is not None else chosen)
    if isinstance(config, SquareConfig):
        if resume is not None:
            raise InputError("--resume: runs on a square take seconds and keep no checkpoints; start without it")
        run_on_square(config, origin, chosen)
        return
    checkpoint = checkpoint_to_resume(resume, Path(config.run.output))

    from hpcpinn.parallel.device import prepare  # the device must be chosen before JAX is loaded

    prepare()
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import forward, long_run
    from hpcpinn.workflows.places import refuse_unusable_places
    from hpcpinn.workflows.verdict import refuse_impossible

    communicator = make_communicator(config.run.transport)
    with origin.naming_places():
        communicator.on_root(refuse_unusable_places, config, chosen)
        with telling_how_to_go_on(Path(config.run.output)), make_progress(communicator.rank) as progress:
            if config.is_long:
                long_summary = long_run.run_long(config, communicator, progress, resume=checkpoint)
            else:
                summary = forward.run(config, communicator, progress, resume=checkpoint)
    verdict = long_summary.verdict if config.is_long else summary.verdict
    if communicator.rank == 0:
        console = Console(highlight=False, markup=False)
        search = threshold_arguments(job, morphology, units, settings or [], config.field.magnitude)
        if config.is_long:
            print_long_summary(long_summary, console, search)
        else:
            print_summary(summary, console, search)
    refuse_impossible(verdict, config.run.output)


def _warn_of_inference(job: Path | None) -> None:
    """A description with constants to infer is solved with what it says of them."""
    name = DEFAULT if job is None else as_typed(job)
    warn(f"{name} describes an inference: `hpcpinn infer {name}` infers its constants; this solves it forward")


def run_on_square(config: SquareConfig, origin: "Origin", job: Path | None) -> None:
    """A forward run on a square. Collective over all ranks."""
    from hpcpinn.parallel.device import prepare  # the device must be chosen before JAX is loaded

    prepare()
    from hpcpinn.parallel.communicator import make_communicator
    from hpcpinn.workflows import square

    communicator = make_communicator(config.run.transport)
    with origin.naming_places():
        communicator.on_root(square.refuse_unusable_places, config, job)
        with make_progress(communicator.rank) as progress:
            summary = square.run_square(config, communicator, progress)
    if communicator.rank == 0:
        print_square_summary(summary, Console(highlight=False, markup=False))


def overrides_of(flags: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Flags that stand for keys of the run description, as overrides that remember the flag.

    Args:
        flags: Values by key; ``run.output`` is typed ``--output``, ``morphology.file`` ``--morphology``.
    """
    typed = {"morphology.file": "morphology"}
    return [
        (f"--{typed.get(key, key.rpartition('.')[2])} {value}", f"{key}={json.dumps(value, ensure_ascii=False)}")
        for key, value in flags.items()
        if value is not None
    ]


def checkpoint_to_resume(wish: str | None, output: Path) -> Path | None:
    """The checkpoint that ``--resume`` means.

    Args:
        wish: None (start afresh), ``here`` (the checkpoint of `output`), ``auto`` (the same where
            there is one), or a file.
        output: The result file.

    Raises:
        InputError: The checkpoint is not there.
    """
    if wish is None:
        return None
    if not output.name:
        raise InputError(f"run.output: {output} is a directory; name a file with --output")
    from hpcpinn.io.checkpoint import checkpoint_path

    own = checkpoint_path(output)
    checkpoint = own if wish in ("here", "auto") else Path(wish)
    if checkpoint.is_file():
        return checkpoint
    if wish == "auto":
        return None
    refuse_endless(checkpoint)
    raise InputError(f"--resume: no checkpoint {checkpoint}; use --resume auto to start afresh then")


@contextmanager
def telling_how_to_go_on(output: Path) -> Iterator[None]:
    """An interrupted run (Ctrl-C) says how it goes on where it has saved a checkpoint by then.

    Args:
        output: The result file.

    Raises:
        InterruptedRunError: In the place of KeyboardInterrupt.
    """
    from hpcpinn.io.checkpoint import checkpoint_path

    own, begun = checkpoint_path(output), time.time()
    try:
        yield
    except KeyboardInterrupt as stopped:
        if own.is_file() and own.stat().st_mtime >= begun - 1.0:  # not that of an earlier run
            raise InterruptedRunError("interrupted; go on with the same command and --resume") from stopped
        raise


def threshold_arguments(
    job: Path | None, morphology: str | None, units: str | None, settings: Sequence[str], magnitude: float | None
) -> str:
    """What follows ``hpcpinn threshold`` for the cell and the pulses of a run, quoted for the shell.

    Args:
        job: As it was typed.
        morphology: Likewise, ``--morphology``.
        units: Likewise, ``--units``.
        settings: Likewise, ``--set``: all are carried but those that say how strong the field is, how long the run
            and where its result.
        magnitude: Of the run's field, V/m; the job file's own is known to the search.
    """
    if job is not None and is_cell(job):
        job, morphology = None, str(job)
    keys = [setting.partition("=")[0].strip() for setting in settings]
    kept = [
        setting
        for key, setting in zip(keys, settings, strict=True)
        if key.split(".")[0] != "run" and key != "field.magnitude"
    ]
    if units is not None:
        kept.append(f"morphology.units={json.dumps(units, ensure_ascii=False)}")
    words = [DEFAULT if job is None else str(job)]
    words += [] if morphology is None else ["--morphology", morphology]
    words += [word for setting in kept for word in ("--set", setting)]
    if magnitude is not None and "field.magnitude" in keys:
        from hpcpinn.workflows.threshold import HIGHEST

        far = 4.0 * abs(magnitude)  # it is what has just fired nothing
        words += ["--up-to", f"{far:g}"] if far > HIGHEST else []
    return shlex.join(words)


def print_verdict(lines: Sequence[tuple[str, str]], console: Console) -> None:
    """Sentences with what they are about; a label that repeats is said once."""
    said = ""
    for label, text in lines:
        console.print(f"{label if label != said else '':<10}{text}", soft_wrap=True, markup=False)
        said = label


def print_summary(summary: "RunSummary", console: Console, search: str = "") -> None:
    """What was computed, how well, what it cost, and what came of it."""
    from hpcpinn.workflows.verdict import lines_of

    s = summary
    time = biology(s.duration, 6) if s.time_unit else f"{s.duration:g}"
    lines = {
        "cell": f"{counted(s.sections, 'section')} in {counted(s.pieces, 'piece')} on {counted(s.ranks, 'rank')}",
        "solve": f"{time} in {counted(s.windows, 'window')} ({s.rejected} rejected), "
        f"{counted(s.newton_steps, 'Newton step')}, {counted(s.sweeps, 'sweep')} (at most "
        f"{s.most_sweeps_per_step} per step)",
        "accuracy": f"error estimate {s.error_estimate:.1e} of the excursion from rest over the run; windows at most "
        f"{s.window_error:.1e} (window.tolerance {s.tolerance:.1e})",
        "": f"calcium balance {s.calcium_balance:.1e}, interface jump {s.interface_jump:.1e}",
        "cost": f"{duration(s.seconds)} (set-up {duration(s.seconds_setup)}), "
        f"{100 * s.exchange_share:.1f} % of the windows in exchange, {s.memory_gib:.2f} GiB per rank",
    }
    after = {
        "result": f"{s.result} ({s.output_mib:.1f} MiB)",
        "next": f"hpcpinn plot {as_typed(s.result)}  or  hpcpinn validate {as_typed(s.result)}",
    }
    units = ("ms", "uM") if s.time_unit else ("", "")
    print_verdict([*lines.items(), *lines_of(s.verdict, search, *units), *after.items()], console)


def print_square_summary(summary: "SquareSummary", console: Console) -> None:
    """What was computed on a square, how well, and what it cost."""
    from hpcpinn.workflows.verdict import lines_of

    s = summary
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
    print_verdict([*lines.items(), *lines_of(s.verdict), *after.items()], console)


def print_long_summary(summary: "LongSummary", console: Console, search: str = "") -> None:
    """What a long run computed, how well, what it cost, and what came of it."""
    from hpcpinn.workflows.verdict import lines_of

    s = summary
    slots = s.motifs_solved + s.motifs_reused
    members = f"{s.members} members, " if s.members > 1 else ""
    coupled = f", {counted(s.coupled_windows, 'coupled one')}" if s.coupled_windows else ""
    lines = {
        "cell": f"{members}{counted(s.sections, 'section')} in {counted(s.cells, 'cell')}, voltage on "
        f"{counted(s.voltage_compartments, 'compartment')}, {counted(s.ranks, 'rank')}",
        "protocol": f"{counted(s.pulses, 'pulse')} in {biology(s.duration)} of "
        f"biology, {counted(s.windows - s.coupled_windows, 'split window')}{coupled}",
        "voltage": f"solved for {s.motifs_solved} of {slots} slots, reused in the others "
        f"(start off by at most {s.motif_mismatch:.1e})",
        "accuracy": f"error estimate of the windows at most {s.error_estimate:.1e} of calcium's distance from rest; "
        f"{100 * s.outside_flow_map:.2g} % of the states outside the flow map's box",
        "cost": f"{duration(s.seconds)} (set-up {duration(s.seconds_setup)}; voltage {duration(s.seconds_voltage)}, "
        f"windows {duration(s.seconds_windows)}, error estimate {duration(s.seconds_companion)}, output "
        f"{duration(s.seconds_output)}): {s.seconds_per_second:.3g} s per second of biology, {s.memory_gib:.2f} GiB",
    }
    after = {"result": f"{s.result} ({s.output_mib:.1f} MiB)", "next": f"hpcpinn plot {as_typed(s.result)}"}
    print_verdict([*lines.items(), *lines_of(s.verdict, search), *after.items()], console)
