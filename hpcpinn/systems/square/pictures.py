"""Pictures of what was computed on a square: a run, a study."""

from hpcpinn.core.order import Drawing, Drawn, check_choices
from hpcpinn.errors import InputError
from hpcpinn.io import schema
from hpcpinn.io.read import read
from hpcpinn.io.storage import format_of
from hpcpinn.io.study import read_study
from hpcpinn.report.heading import Heading
from hpcpinn.report.places import check_gallery
from hpcpinn.report.study import draw_study
from hpcpinn.systems.square.drawings import draw_square
from hpcpinn.wording import counted


def draw(asked: Drawing) -> Drawn:
    """Draws what a result has the data for.

    Raises:
        InputError: The file is damaged, or the pictures cannot go where they should.
        OutputError: A picture cannot be written.
    """
    return _draw_study(asked) if format_of(asked.result) == schema.STUDY_FORMAT else _draw_run(asked)


def _draw_run(asked: Drawing) -> Drawn:
    if asked.member is not None:
        raise InputError(f"--member {asked.member}: a run on a square has no members; leave it away")
    run = read(asked.result)
    check_gallery(asked.folder, asked.suffix, asked.result)
    state = "complete" if run.complete else "not complete"
    cells = f"{len(run.box.x)} x {len(run.box.y)} cells"
    asked.say(f"{asked.result}: {state}, {counted(len(run.time), 'frame')} of {cells}")
    return Drawn(*draw_square(run, asked.folder, times=asked.times, suffix=asked.suffix))


def _draw_study(asked: Drawing) -> Drawn:
    check_choices("a study", asked)
    found = read_study(asked.result)
    check_gallery(asked.folder, asked.suffix, asked.result)
    asked.say(
        f"{asked.result}: {', '.join(found.names)}, {found.n_draws} data sets for each of {len(found.noise)} levels of "
        f"noise and {len(found.observations)} numbers of observations"
    )
    picture = asked.folder / f"study.{asked.suffix}"
    draw_study(picture, found, Heading(asked.result.name))
    return Drawn([picture])
