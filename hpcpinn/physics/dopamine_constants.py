"""Constants of dopamine on a square and the two published settings of EQUATIONS §3.

Units: µm, ms, µM. Plain numbers only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hpcpinn.core.parameters import NON_NEGATIVE, POSITIVE, Constants, Scalar, constant, presets
from hpcpinn.core.plausibility import Quantity, Unit, concentration, length


@dataclass(frozen=True)
class DopamineConstants(Constants):
    """Every constant of EQUATIONS §3.

    Attributes:
        name: Name of the preset.
        duration: Length of the published run of these constants, ms.
    """

    name: str
    D: Scalar = constant(
        "Diffusion", "µm²/ms", POSITIVE, default=0.32,
        quantity=Quantity(
            "µm²/ms", (1e-3, 10.0), (-math.inf, 1e3), (Unit("µm²/s", 1e-3), Unit("cm²/s", 1e5), Unit("m²/s", 1e9)),
            name="diffusion of dopamine",
        ),
    )  # fmt: skip
    k: Scalar = constant(
        "Uptake", "1/ms", NON_NEGATIVE, default=0.05,
        quantity=Quantity(
            "1/ms", (1e-5, 10.0), (-math.inf, 1e6), (Unit("1/s", 1e-3), Unit("1/µs", 1e3)), name="uptake"
        ),
    )  # fmt: skip
    C0: Scalar = constant(
        "Peak of the release", "µM", POSITIVE, default=1.0, quantity=concentration("peak of a release", 1e-3, 1e5)
    )
    sigma: Scalar = constant(
        "Width of the release", "µm", POSITIVE, symbol="σ", default=0.5,
        quantity=length("width of a release", 0.02, 100.0),
    )  # fmt: skip
    half_width: Scalar = constant(
        "Half of the square's side", "µm", POSITIVE, default=2.5, quantity=length("half width of a square", 0.2, 1e3)
    )
    duration: float = 20.0


PRESETS: Mapping[str, DopamineConstants] = presets(
    DopamineConstants("dopamine"), DopamineConstants("dopamine-slow", k=0.02, duration=50.0)
)
"""The two published settings."""
