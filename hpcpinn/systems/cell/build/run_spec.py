"""From a run description to what a run keeps of it."""

from hpcpinn.io import checkpoint
from hpcpinn.morphology import Cable
from hpcpinn.systems.cell.build.stimulus import pulses_of, uniform_magnitude
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.run_spec import RunSpec

RESUMABLE = (
    "morphology", "physics", "buffer", "voltage", "field", "stimulation", "clamp", "channels", "cable", "synapse",
    "flux", "pieces",
)  # fmt: skip
"""Tables that shape the state of every run; others do so where their windows or networks are used."""


def run_spec(config: RunConfig, pieces: Cable) -> RunSpec:
    """What a run keeps of its description.

    Args:
        config: The run description.
        pieces: Pieces of the whole tree.
    """
    pulses, pulse_length = pulses_of(config)
    return RunSpec(
        duration=config.run.duration,
        output_interval=config.run.output_interval,
        probe_interval=config.run.probe_interval,
        tolerance=config.window.tolerance,
        held_at=config.voltage.constant,
        field=uniform_magnitude(config),
        pulses=pulses,
        pulse_length=pulse_length,
        units=("", "") if config.physics.preset == "seed" else ("ms", "uM"),
        may_drain=config.physics.constants.ghk_sign == "as_printed",
        settings=_settings(config, pieces),
    )


def _settings(config: RunConfig, pieces: Cable) -> dict[str, str]:
    """What states depend on: it must not change on resume."""
    by_networks = not config.is_long or config.by_networks
    names = {*RESUMABLE, *(("split", "population") if config.is_long else ())}
    names |= {"network", "training"} if by_networks else set()
    names |= {"schwarz", "window"} if config.window.kind != "split" else set()
    tables = config.model_dump(mode="json", include=names)
    tables.get("split", {}).pop("checkpoint_every", None)  # how often they are written shapes nothing
    if by_networks:
        tables["run"] = {"seed": config.run.seed}
    return checkpoint.fingerprint(tables, pieces)
