"""From a run description to what a run keeps of it."""

from dataclasses import dataclass

from hpcpinn.morphology import Cable
from hpcpinn.systems.cell.build.stimulus import pulses_of, uniform_magnitude
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.config.settings import settings_of
from hpcpinn.systems.cell.run_spec import RunSpec


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
        settings=settings_of(config, plan.cells_per_piece, pieces),
    )
