"""Calcium, a buffer and the voltage of branched neurons."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

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
        for name in ("inspect", "partition", "protocols", "threshold", "flow-map")
    }

    front: ClassVar[Mapping[str, str]] = {
        "Cell": "hpcpinn.systems.cell.cell:Cell",
        **{
            name: f"hpcpinn.systems.cell.front:{name}"
            for name in (
                "Buffer", "Calcium", "Channels", "Clamp", "Field", "Flux", "Learned", "Probe", "Stimulation", "Synapse",
                "Traces", "Voltage",
            )
        },
    }  # fmt: skip

    def build(self, described: RunConfig, communicator: "Communicator") -> "Problem":
        """What a description means: a run in coupled windows, or slot by slot. Collective over all ranks."""
        if described.is_long:
            from hpcpinn.systems.cell.build.long import slot_run

            return slot_run(described, communicator)
        from hpcpinn.systems.cell.build.coupled import coupled_run

        return coupled_run(described, communicator)

    def draw(self, drawing: Any) -> Any:
        """Draws the pictures of a run or an inference."""
        from hpcpinn.systems.cell.pictures import draw

        return draw(drawing)

    def verdict_in(self, metrics: Mapping[str, Any]) -> Any:
        """What came of a run, from its metrics: what fired, how high calcium rose; None where they do not say."""
        from hpcpinn.systems.cell.verdict import cells_verdict_in

        return cells_verdict_in(metrics)

    def validate(self, checking: Any) -> Any:
        """Holds a run against finite volumes."""
        from hpcpinn.systems.cell.validation import validate

        return validate(checking)

    def tell_validation(self, outcome: Any, checking: Any) -> None:
        """Prints what came of it."""
        from hpcpinn.systems.cell.validation import tell

        tell(outcome, checking)


SYSTEM = CellSystem()
