"""Pictures of an inference, of whichever system."""

from hpcpinn.core.order import Drawing, Drawn, check_choices
from hpcpinn.io.draws import read_draws, read_placement
from hpcpinn.io.inference import read_inference
from hpcpinn.report.heading import Heading
from hpcpinn.report.inference import draw_inference
from hpcpinn.report.places import check_gallery
from hpcpinn.wording import counted


def draw_inference_of(asked: Drawing) -> Drawn:
    """Draws what an inference has the data for.

    Raises:
        InputError: The file is damaged, or the pictures cannot go where they should.
        OutputError: A picture cannot be written.
    """
    check_choices("an inference", asked)
    result, folder, suffix = asked.result, asked.folder, asked.suffix
    found, draws, placement = read_inference(result), read_draws(result), read_placement(result)
    check_gallery(folder, suffix, result)
    asked.say(f"{result}: {', '.join(found.names)} from {counted(len(found.observations), 'observation')}")
    return Drawn(*draw_inference(found, folder, draws, placement, suffix=suffix, heading=Heading(result.name)))
