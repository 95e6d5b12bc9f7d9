"""Dopamine that spreads over a square, and constants from measurements of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hpcpinn.systems.inverse import DrawAction, InferAction, StudyAction
from hpcpinn.systems.square import config_checks
from hpcpinn.systems.square.config import SquareConfig

if TYPE_CHECKING:
    from hpcpinn.core.system import Problem
    from hpcpinn.parallel.communicator import Communicator


class SquareSystem:
    """The system of squares."""

    name = "square"
    summary = "dopamine on a square"
    tables = SquareConfig
    conflicts = staticmethod(config_checks.conflicts)
    idle = staticmethod(config_checks.idle)
    quantity_of = staticmethod(config_checks.quantity_of)
    peer = "DeepXDE"
    actions: ClassVar[Mapping[str, Any]] = {
        "run": "hpcpinn.systems.square.run",
        "infer": InferAction("hpcpinn.systems.square.inverse"),
        "uq": DrawAction("hpcpinn.systems.square.inverse"),
        "study": StudyAction("hpcpinn.systems.square.inverse"),
    }
    front: ClassVar[Mapping[str, str]] = {
        name: f"hpcpinn.systems.square.front:{name}" for name in ("Dopamine", "Square")
    }
    former: ClassVar[Mapping[str, str]] = {"hpcpinn-square": "hpcpinn.systems.square.former:former"}
    draw = "hpcpinn.systems.square.pictures:draw"
    validate = "hpcpinn.systems.square.validation:validate"
    tell_validation = "hpcpinn.systems.square.validation:tell"

    def build(self, described: SquareConfig, communicator: "Communicator") -> "Problem":
        """What a description means. Collective over all ranks."""
        from hpcpinn.systems.square.build import square_run

        return square_run(described, communicator)

    def on(self, described: SquareConfig, beside: Mapping[str, Any]) -> Any:
        """The square of a description, for Python."""
        from hpcpinn.systems.square import front

        return front.Square(**described.domain.model_dump())


SYSTEM = SquareSystem()
