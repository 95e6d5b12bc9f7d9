"""``hpcpinn plot`` of a system that has no pictures of its own: every field on its geometry, and how the run went."""

from hpcpinn.core.order import Drawing, Drawn
from hpcpinn.core.system import System
from hpcpinn.errors import InputError
from hpcpinn.io.read import read
from hpcpinn.report.fields import draw_fields
from hpcpinn.report.places import check_gallery
from hpcpinn.wording import counted


def draw(system: System, asked: Drawing) -> Drawn:
    """Draws every field of a run.

    Raises:
        InputError: The file is damaged, a choice cannot be made, or the pictures cannot go where they should.
    """
    if asked.member is not None:
        raise InputError(f"--member {asked.member}: this run has no members; leave it away")
    run = read(asked.result)
    check_gallery(asked.folder, asked.suffix, asked.result)
    state = "complete" if run.complete else "not complete"
    names = ", ".join(field.name for field in run.declared)
    asked.say(f"{asked.result}: {state}, {counted(len(run.time), 'frame')} of {names}")
    pictures, advice = draw_fields(run, asked.folder, times=asked.times, suffix=asked.suffix)
    return Drawn(pictures, advice=advice)
