"""Where a run writes, held against what it reads."""

from pathlib import Path

from hpcpinn.errors import concerning
from hpcpinn.io import checkpoint, places, schema
from hpcpinn.io.metrics import metrics_path
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.systems.cell.config.schema import RunConfig

ANOTHER = "name another file with --output (run.output)"


def input_files(config: RunConfig, job: Path | None = None) -> dict[str, Path]:
    """What a run reads, by what a person calls it.

    Args:
        config: The run description.
        job: Its file.

    Raises:
        InputError: There is no bundled cell of that name.
    """
    given: dict[str, str | Path | None] = {
        "the job file": job,
        "the voltage file (voltage.file)": config.voltage.file,
        "the field file (field.file)": config.field.file,
        "the waveform file (stimulation.waveform)": config.stimulation.waveform,
        "the flow map (split.flow_map)": config.split.flow_map,
    }
    with concerning("morphology", "file"):
        given["the morphology file (morphology.file)"] = morphology_path(config.morphology.file)
    return {name: Path(file) for name, file in given.items() if file is not None}


def check_places(config: RunConfig, job: Path | None = None) -> None:
    """Finds out before the work starts that a run cannot, or must not, write its files.

    The result, its checkpoint and its metrics; nothing is written.

    Raises:
        InputError: One of them is an input, a directory or a file of another kind, or cannot be made.
    """
    inputs = input_files(config, job)
    output = Path(config.run.output)
    with concerning("run", "output"):
        places.check_usable(output, inputs, ANOTHER, schema.FORMAT)
        saved = f"the checkpoint goes there: {ANOTHER}"
        places.check_usable(checkpoint.checkpoint_path(output), inputs, saved, checkpoint.FORMAT)
        places.check_usable(metrics_path(output), inputs, f"the metrics go there: {ANOTHER}")
        for part in output.parent.glob(f"{output.stem}.rank*{output.suffix}"):
            places.check_usable(part, inputs, f"one rank's part of the result goes there: {ANOTHER}")
