"""Pictures of what was computed on a cell: a run."""

from dataclasses import replace

from hpcpinn.core.order import Drawing, Drawn
from hpcpinn.io import read
from hpcpinn.io.sidecar import reference_path
from hpcpinn.report.places import check_gallery
from hpcpinn.systems.cell.pictures import gallery
from hpcpinn.systems.cell.pictures.summary import summary_lines
from hpcpinn.wording import as_typed


def draw(asked: Drawing) -> Drawn:
    """Draws what a run has the data for.

    Raises:
        InputError: The file is damaged, or the pictures cannot go where they should.
        OutputError: A picture cannot be written.
    """
    run, member = read(asked.result), asked.member
    if member is not None:
        number = run.member_number(int(member) if member.isdecimal() else member)
        run = run.member(number)
        asked = asked if asked.is_named else replace(asked, folder=asked.folder / f"member-{number}")
    check_gallery(asked.folder, asked.suffix, asked.result)
    for line in summary_lines(run):
        asked.say(line)
    progress, drawn = asked.progress, 0

    def begins(name: str, of: int) -> None:
        nonlocal drawn
        if not drawn:
            progress.doing("drawing", of, "pictures")
        progress.done(drawn, name)
        drawn += 1

    pictures, left_out = gallery.draw_all(run, asked.folder, times=asked.times, suffix=asked.suffix, watch=begins)
    progress.done(drawn)
    advice = []
    if run.members:
        names = ", ".join(f"{number} {name!r}" for number, name in enumerate(run.members[:6]))
        more = ", …" if len(run.members) > 6 else ""
        advice = [f"one member by itself: --member NUMBER ({names}{more})"]
    elif len(run.time) and not reference_path(asked.result).is_file():
        advice = [f"the traces show no reference: hpcpinn validate {as_typed(asked.result)} computes it"]
    return Drawn(pictures, left_out, advice)
