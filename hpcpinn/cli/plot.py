"""``hpcpinn plot``: pictures of a run."""

from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.cli.progress import Progress, make_progress
from hpcpinn.errors import InputError
from hpcpinn.wording import as_typed, counted


def plot(
    result: Annotated[Path, typer.Argument(help="Result file of a run, finished or not.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures; RESULT-pictures beside RESULT.h5 if left out.", metavar="DIR"),
    ] = None,
    times: Annotated[
        str | None, typer.Option(help="When to show the cell, such as 2.5,10,50.", metavar="T,T,...")
    ] = None,
    member: Annotated[
        str | None,
        typer.Option(help="A member of a population, by its name or number from 0.", metavar="MEMBER"),
    ] = None,
    suffix: Annotated[str, typer.Option("--format", help="png, pdf or svg.")] = "png",
) -> None:
    """Draws the pictures of a run.

    An overview, the cell coloured by the change of calcium, the voltage on it, kymograph, traces, partition
    (of several ranks), convergence; before
    them, for a long protocol in split windows, one page of all of it. Of a population one page of
    all members; --member draws the pictures of one.
    """
    from hpcpinn.io.storage import stem_of

    if suffix not in ("png", "pdf", "svg"):
        raise InputError(f"--format {suffix}: no such format; use png, pdf or svg")
    folder = out or result.parent / f"{stem_of(result)}-pictures"
    with make_progress() as progress:
        progress.doing("reading the result, and drawing")
        _plot(result, folder, out, times, member, suffix, progress)


def _plot(
    result: Path,
    folder: Path,
    out: Path | None,
    times: str | None,
    member: str | None,
    suffix: str,
    progress: Progress,
) -> None:
    from hpcpinn.cli.pictures import refuse_unusable_gallery
    from hpcpinn.io import inference, neuron_inference, read, square, study
    from hpcpinn.io.sidecar import reference_path
    from hpcpinn.io.storage import format_of
    from hpcpinn.report.gallery import draw_all
    from hpcpinn.report.summary import summary_lines

    kind = format_of(result)
    if kind == neuron_inference.FORMAT:
        _plot_neuron_inference(result, folder, suffix)
        return
    if kind == square.FORMAT:
        _plot_square(result, folder, times, member, suffix)
        return
    if kind == inference.FORMAT:
        _plot_inference(result, folder, times, member, suffix)
        return
    if kind == study.FORMAT:
        _plot_study(result, folder, times, member, suffix)
        return
    run = read(result)
    if member is not None:
        number = run.member_number(int(member) if member.isdecimal() else member)
        run, folder = run.member(number), out or folder / f"member-{number}"
    refuse_unusable_gallery(folder, suffix, result)
    for line in summary_lines(run):
        print(line)
    drawn = 0

    def begins(name: str, of: int) -> None:
        nonlocal drawn
        if not drawn:
            progress.doing("drawing", of, "pictures")
        progress.done(drawn, name)
        drawn += 1

    pictures = draw_all(run, folder, times=_times(times), suffix=suffix, watch=begins)
    progress.done(drawn)
    progress.close()  # what it says last comes before the list
    _say(*pictures)
    if run.members:
        names = ", ".join(f"{number} {name!r}" for number, name in enumerate(run.members[:6]))
        more = ", …" if len(run.members) > 6 else ""
        print(f"one member by itself: --member NUMBER ({names}{more})")
    elif len(run.time) and not reference_path(result).is_file():
        print(f"the traces show no reference: hpcpinn validate {as_typed(result)} computes it")


def _plot_square(result: Path, folder: Path, times: str | None, member: str | None, suffix: str) -> None:
    from hpcpinn.cli.pictures import refuse_unusable_gallery
    from hpcpinn.io.square import read_square
    from hpcpinn.report.square import draw_square

    if member is not None:
        raise InputError(f"--member {member}: a run on a square has no members; leave it away")
    run = read_square(result)
    refuse_unusable_gallery(folder, suffix, result)
    state = "complete" if run.complete else "not complete"
    print(f"{result}: {state}, {counted(len(run.time), 'frame')} of {len(run.x)} x {len(run.y)} cells")
    _say(*draw_square(run, folder, times=_times(times), suffix=suffix))


def _plot_inference(result: Path, folder: Path, times: str | None, member: str | None, suffix: str) -> None:
    from hpcpinn.cli.pictures import refuse_unusable_gallery
    from hpcpinn.io.draws import read_draws
    from hpcpinn.io.inference import read_inference
    from hpcpinn.report.draws import draw_draws
    from hpcpinn.report.heading import Heading
    from hpcpinn.report.inference import draw_inference

    _refuse_choices("an inference", times, member)
    outcome, drawn = read_inference(result), read_draws(result)
    refuse_unusable_gallery(folder, suffix, result)
    print(f"{result}: {', '.join(outcome.names)} from {counted(len(outcome.observations['value']), 'observation')}")
    heading = Heading(result.name)
    _say(*draw_inference(outcome, folder, suffix=suffix, heading=heading))
    if drawn is not None:
        _say(draw_draws(outcome, *drawn, folder, suffix=suffix, heading=heading), [])


def _plot_study(result: Path, folder: Path, times: str | None, member: str | None, suffix: str) -> None:
    from hpcpinn.cli.pictures import refuse_unusable_gallery
    from hpcpinn.io.study import read_study
    from hpcpinn.report.heading import Heading
    from hpcpinn.report.study import draw_study

    _refuse_choices("a study", times, member)
    found = read_study(result)
    refuse_unusable_gallery(folder, suffix, result)
    print(
        f"{result}: {', '.join(found.names)}, {found.n_draws} data sets for each of {len(found.noise)} levels of noise "
        f"and {len(found.observations)} numbers of observations"
    )
    draw_study(folder / f"study.{suffix}", found, Heading(result.name))
    _say([folder / f"study.{suffix}"], [])


def _refuse_choices(kind: str, times: str | None, member: str | None) -> None:
    for flag, given in (("--times", times), ("--member", member)):
        if given is not None:
            raise InputError(f"{flag} {given}: {kind} has none to choose from; leave it away")


def _say(drawn: list[Path], left_out: list[str]) -> None:
    for picture in drawn:
        print(f"picture: {picture}")
    for reason in left_out:
        print(reason)


def _plot_neuron_inference(result: Path, folder: Path, suffix: str) -> None:
    from hpcpinn.cli.pictures import refuse_unusable_gallery
    from hpcpinn.io.neuron_draws import read_neuron_draws
    from hpcpinn.io.neuron_inference import read_neuron_inference
    from hpcpinn.report.corner import draw_corner
    from hpcpinn.report.heading import Heading
    from hpcpinn.report.inference import draw_estimates
    from hpcpinn.report.neuron_inference import draw_neuron_inference

    found = read_neuron_inference(result)
    refuse_unusable_gallery(folder, suffix, result)
    count, sites = len(found.data.value), len(found.band_sites)
    data = f"{counted(count, 'value')} at {counted(sites, 'site')}"
    print(f"{result}: {counted(len(found.names), 'constant')} from {data}")
    drawn = read_neuron_draws(result)
    heading = Heading(result.name)
    _say(draw_neuron_inference(found, folder, suffix, drawn, heading), [])
    _say(*draw_estimates(found, folder, suffix=suffix, heading=heading))
    if drawn is not None:
        corner = folder / f"corner.{suffix}"
        draw_corner(corner, found, drawn, heading)
        _say([corner], [])


def _times(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"--times {text}: not numbers with commas between; write --times 2.5,10") from error
