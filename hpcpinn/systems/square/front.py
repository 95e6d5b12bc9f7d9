"""What a run on a square is described with in Python; signatures for type checkers stand in ``front.pyi``."""

from typing import Any

from hpcpinn.config.given import Given
from hpcpinn.systems.square.config import SquareDomainConfig, SquarePhysicsConfig


class Dopamine(Given, SquarePhysicsConfig):
    """Dopamine that spreads on a square and is taken up: a preset, and the constants that differ from it."""

    table, order, inside = "physics", ("preset",), "constants"


class Square(Given, SquareDomainConfig):
    """A square, to be solved on instead of a cell."""

    table, order = "domain", ("subdomains",)

    def tables(self) -> dict[str, Any]:
        return {"domain": {"kind": "square", **self.given}}


__all__ = ["Dopamine", "Square"]
