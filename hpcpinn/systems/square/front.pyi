"""Written by scripts/describe_api.py from the tables of the run description: change them there."""

from collections.abc import Sequence
from typing import Literal

from hpcpinn.config.given import Given
from hpcpinn.systems.square.config import SquareDomainConfig, SquarePhysicsConfig

class Dopamine(Given, SquarePhysicsConfig):
    def __init__(
        self,
        preset: Literal["dopamine", "dopamine-slow"] = "dopamine",
        *,
        D: float | None = None,
        k: float | None = None,
        C0: float | None = None,
        sigma: float | str | None = None,
        half_width: float | str | None = None,
    ) -> None: ...

class Square(Given, SquareDomainConfig):
    def __init__(
        self,
        subdomains: Sequence[int] = ...,
        *,
        kind: Literal["square"] = "square",
    ) -> None: ...
