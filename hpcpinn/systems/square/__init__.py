"""Dopamine that spreads over a square, and constants from measurements of it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from hpcpinn.systems.inverse import DrawAction, InferAction, StudyAction
from hpcpinn.systems.square import checks as square_checks
from hpcpinn.systems.square.config import SquareConfig


class SquareSystem:
    """The system of squares."""

    name = "square"
    summary = "dopamine on a square"
    tables = SquareConfig
    conflicts = staticmethod(square_checks.conflicts)
    idle = staticmethod(square_checks.idle)
    quantity_of = staticmethod(square_checks.quantity_of)
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

    def build(self, described: SquareConfig, communicator: Any) -> Any:
        """What a description means. Collective over all ranks."""
        from hpcpinn.systems.square.trunk import square_run

        return square_run(described, communicator)

    def draw(self, drawing: Any) -> Any:
        """Draws the pictures of a run, an inference or a study."""
        from hpcpinn.systems.square.pictures import draw

        return draw(drawing)

    def validate(self, checking: Any) -> Any:
        """Holds a run against the closed form, finite differences and DeepXDE."""
        from hpcpinn.systems.square.validation import validate

        return validate(checking)

    def tell_validation(self, outcome: Any, checking: Any) -> None:
        """Prints what came of it."""
        from hpcpinn.systems.square.validation import tell

        tell(outcome, checking)


SYSTEM = SquareSystem()
