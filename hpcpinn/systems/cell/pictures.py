"""``hpcpinn plot`` of what was computed on a cell: a run, an inference."""

from dataclasses import replace

from hpcpinn.core.order import Drawing
from hpcpinn.io import neuron_inference, read
from hpcpinn.io.neuron_draws import read_neuron_draws
from hpcpinn.io.neuron_inference import read_neuron_inference
from hpcpinn.io.sidecar import reference_path
from hpcpinn.io.storage import format_of
from hpcpinn.report import gallery
from hpcpinn.report.corner import draw_corner
from hpcpinn.report.heading import Heading
from hpcpinn.report.inference import draw_estimates
from hpcpinn.report.neuron_inference import draw_neuron_inference
from hpcpinn.report.places import refuse_unusable_gallery
from hpcpinn.report.summary import summary_lines
from hpcpinn.terminal.drawn import say_drawn
from hpcpinn.wording import as_typed, counted


def draw(asked: Drawing) -> None:
    """Draws what a result has the data for.

    Raises:
        InputError: The file is damaged, or the pictures cannot go where they should.
    """
    if format_of(asked.result) == neuron_inference.FORMAT:
        _draw_inference(asked)
    else:
        _draw_run(asked)


def _draw_run(asked: Drawing) -> None:
    run, member = read(asked.result), asked.member
    if member is not None:
        number = run.member_number(int(member) if member.isdecimal() else member)
        run = run.member(number)
        asked = asked if asked.is_named else replace(asked, folder=asked.folder / f"member-{number}")
    refuse_unusable_gallery(asked.folder, asked.suffix, asked.result)
    for line in summary_lines(run):
        print(line)
    progress, drawn = asked.progress, 0

    def begins(name: str, of: int) -> None:
        nonlocal drawn
        if not drawn:
            progress.doing("drawing", of, "pictures")
        progress.done(drawn, name)
        drawn += 1

    pictures = gallery.draw_all(run, asked.folder, times=asked.times, suffix=asked.suffix, watch=begins)
    progress.done(drawn)
    progress.close()  # what it says last comes before the list
    say_drawn(*pictures)
    if run.members:
        names = ", ".join(f"{number} {name!r}" for number, name in enumerate(run.members[:6]))
        more = ", …" if len(run.members) > 6 else ""
        print(f"one member by itself: --member NUMBER ({names}{more})")
    elif len(run.time) and not reference_path(asked.result).is_file():
        print(f"the traces show no reference: hpcpinn validate {as_typed(asked.result)} computes it")


def _draw_inference(asked: Drawing) -> None:
    result, folder, suffix = asked.result, asked.folder, asked.suffix
    found = read_neuron_inference(result)
    refuse_unusable_gallery(folder, suffix, result)
    count, sites = len(found.data.value), len(found.band_sites)
    data = f"{counted(count, 'value')} at {counted(sites, 'site')}"
    print(f"{result}: {counted(len(found.names), 'constant')} from {data}")
    drawn = read_neuron_draws(result)
    heading = Heading(result.name)
    say_drawn(draw_neuron_inference(found, folder, suffix, drawn, heading))
    say_drawn(*draw_estimates(found, folder, suffix=suffix, heading=heading))
    if drawn is not None:
        corner = folder / f"corner.{suffix}"
        draw_corner(corner, found, drawn, heading)
        say_drawn([corner])
