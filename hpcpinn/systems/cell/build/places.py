"""From a run description to the files that it names."""

from pathlib import Path

from hpcpinn.errors import concerning
from hpcpinn.morphology.meshes import morphology_path
from hpcpinn.systems.cell.config.schema import RunConfig


def input_files(config: RunConfig, job: Path | None = None) -> dict[str, Path]:
    """What a run reads, by what a person calls it.

    Args:
        config: The run description.
        job: File of the description.

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
