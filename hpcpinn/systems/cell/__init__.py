"""Calcium, a buffer and the voltage of branched neurons."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hpcpinn.core.front import Verb
from hpcpinn.systems.cell.config.reading import CELL
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.inverse import DrawAction, InferAction

if TYPE_CHECKING:
    from hpcpinn.core.system import Problem
    from hpcpinn.parallel.communicator import Communicator


class CellSystem:
    """The system of whole cells."""

    name = "cell"
    summary = "calcium, calbindin and voltage of a branched neuron"
    tables = RunConfig
    conflicts = staticmethod(CELL.conflicts)
    idle = staticmethod(CELL.idle)
    beyond_the_end = staticmethod(CELL.beyond_the_end)
    fitted = staticmethod(CELL.fitted)
    quantity_of = staticmethod(CELL.quantity_of)
    actions: ClassVar[Mapping[str, Any]] = {
        "run": "hpcpinn.systems.cell.run",
        "infer": InferAction("hpcpinn.systems.cell.build.inverse"),
        "uq": DrawAction("hpcpinn.systems.cell.build.inverse"),
    }
    commands: ClassVar[Mapping[str, str]] = {
        name: f"hpcpinn.systems.cell.commands.{name.replace('-', '_')}"
        for name in ("inspect", "partition", "protocols", "threshold", "locations", "flow-map")
    }
    front: ClassVar[Mapping[str, str]] = {
        "Cell": "hpcpinn.systems.cell.cell:Cell",
        **{
            name: f"hpcpinn.systems.cell.front:{name}"
            for name in (
                "Axon", "Buffer", "Calcium", "Channels", "Clamp", "Field", "Flux", "Learned", "Placement", "Probe",
                "Reticulum", "Stimulation", "Synapse", "Traces", "Voltage",
            )
        },
    }  # fmt: skip
    verbs: ClassVar[Mapping[str, Verb]] = {
        name: Verb(f"hpcpinn.systems.cell.verbs:{name}", taken={"field": {"magnitude": 1.0}})
        for name in ("threshold", "threshold_map")
    }
    bare = "hpcpinn.systems.cell.bare:BARE"
    taken = "hpcpinn.systems.cell.build.taken:taken"
    former: ClassVar[Mapping[str, str]] = {"hpcpinn-result": "hpcpinn.systems.cell.former:former"}
    draw = "hpcpinn.systems.cell.pictures.draw:draw"
    verdict_in = "hpcpinn.systems.cell.verdict:cells_verdict_in"
    validate = "hpcpinn.systems.cell.validation:validate"
    tell_validation = "hpcpinn.systems.cell.validation:tell"

    def build(self, described: RunConfig, communicator: "Communicator") -> "Problem":
        """What a description means: a run in coupled windows, or slot by slot. Collective over all ranks."""
        if described.is_long:
            from hpcpinn.systems.cell.build.long import slot_run

            return slot_run(described, communicator)
        from hpcpinn.systems.cell.build.coupled import coupled_run

        return coupled_run(described, communicator)

    def settings(self, described: RunConfig) -> tuple[dict[str, str], float]:
        """What a finished run of the description has kept: settings without the pieces, and its duration."""
        from hpcpinn.systems.cell.build.protocol import duration_of
        from hpcpinn.systems.cell.config.settings import output_cells, settings_of

        duration = duration_of(described) if described.is_long else described.run.duration
        return settings_of(described, output_cells(described)), duration

    def on(self, described: RunConfig, beside: Mapping[str, Any]) -> Any:
        """The cell of a description, for Python."""
        from hpcpinn.systems.cell.cell import cell_of

        return cell_of(described, beside)


SYSTEM = CellSystem()
