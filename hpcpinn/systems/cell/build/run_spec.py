"""From a run description to what a run keeps of it."""

from dataclasses import dataclass

from hpcpinn.io import checkpoint
from hpcpinn.morphology import Cable
from hpcpinn.systems.cell.build.stimulus import pulses_of, uniform_magnitude
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.run_spec import RunSpec

RESUMABLE = (
    "morphology", "physics", "buffer", "organelle", "voltage", "field", "stimulation", "clamp", "channels", "cable",
    "synapse", "flux", "pieces",
)  # fmt: skip
"""Tables that shape the state of every run; others do so where their windows or networks are used."""


@dataclass(frozen=True)
class OutputPlan:
    """How long a run is, and how often and how finely it writes.

    Attributes:
        duration: Length of the run, user time.
        output_interval: Interval between frames, user time.
        probe_interval: Interval between samples at probes, user time.
        cells_per_piece: Number of output cells per piece.
        chosen: Whether the run has chosen the intervals between frames and between samples itself.
    """

    duration: float
    output_interval: float
    probe_interval: float
    cells_per_piece: int
    chosen: tuple[bool, bool] = (False, False)


def run_spec(config: RunConfig, pieces: Cable, plan: OutputPlan | None = None) -> RunSpec:
    """What a run keeps of its description.

    Args:
        config: The run description.
        pieces: Pieces of the whole tree.
        plan: What is written; as the description says where left out.
    """
    run, per_piece = config.run, config.pieces.cells_per_piece
    plan = plan or OutputPlan(run.duration, run.output_interval, run.probe_interval, per_piece)
    pulses, pulse_length = pulses_of(config)
    return RunSpec(
        duration=plan.duration,
        output_interval=plan.output_interval,
        probe_interval=plan.probe_interval,
        tolerance=config.window.tolerance,
        held_at=config.voltage.constant,
        field=uniform_magnitude(config),
        pulses=pulses,
        pulse_length=pulse_length,
        units=("", "") if config.physics.preset == "seed" else ("ms", "uM"),
        may_drain=config.physics.constants.ghk_sign == "as_printed",
        settings=_settings(config, pieces, plan.cells_per_piece),
    )


def _settings(config: RunConfig, pieces: Cable, cells_per_piece: int) -> dict[str, str]:
    """What states depend on: it must not change on resume."""
    by_networks = not config.is_long or config.by_networks
    names = {*RESUMABLE, *(("split", "population") if config.is_long else ())}
    names |= {"network", "training"} if by_networks else set()
    names |= {"schwarz", "window"} if config.window.kind != "split" else set()
    tables = config.model_dump(mode="json", include=names)
    tables["pieces"]["cells_per_piece"] = cells_per_piece
    tables.get("split", {}).pop("checkpoint_every", None)  # how often they are written shapes nothing
    if by_networks:
        tables["run"] = {"seed": config.run.seed}
    return checkpoint.fingerprint(tables, pieces)
