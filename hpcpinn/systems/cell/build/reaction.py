"""The reaction of split windows: the flow map where calbindin is the only buffer, the stiff integrator for others."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.inputs import files_read
from hpcpinn.errors import InputError, concerning
from hpcpinn.physics.constants import CalciumConstants, ReactionConstants
from hpcpinn.physics.pumped_binding import ErRatio, check_rest, reaction_constants
from hpcpinn.systems.cell.build.constants import constants_of
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.flow_map import FlowMapTask
from hpcpinn.timestepping.flow_map_store import load_flow_map, shipped_flow_map
from hpcpinn.timestepping.reaction import FlowMapReaction, StiffReaction
from hpcpinn.timestepping.splitting import Reaction


def check_split(config: RunConfig) -> None:
    """Refuses what no split window can solve.

    Raises:
        InputError: There is such a thing.
    """
    if config.physics.preset == "seed":
        raise InputError("physics.preset: 'seed' is dimensionless; split windows need a physical preset")
    if (config.buffer or config.organelle) and config.split.flow_map:
        raise InputError(
            f"{config.split.flow_map!r}: a flow map knows calcium and calbindin alone, and there are other species; "
            "leave it away",
            ("split", "flow_map"),
        )


def reaction_of(
    config: RunConfig, k: CalciumConstants, er_ratio: Float[ndarray, "2 N"] | None
) -> tuple[Reaction, ReactionConstants, float]:
    """What takes the reaction over a window, what it is of, and the longest window that it takes, ms.

    The flow map where calcium and calbindin are the only species, and the stiff integrator where there are others.

    Args:
        config: The run description.
        k: Constants.
        er_ratio: Membrane of the reticulum over the volumes it parts at every point (`SplitPoints`), 1/µm, (2, N).
    """
    if k.buffers or k.organelles:
        constants = jax.tree.map(float, reaction_constants(k))
        of_er = None if er_ratio is None else ErRatio(*jax.device_put(er_ratio))
        return StiffReaction(constants, of_er), constants, np.inf
    file = config.split.flow_map
    with concerning(*(("split", "flow_map") if file else ("physics", "constants"))):
        flow_map = load_flow_map(file, k) if file else shipped_flow_map(k)
    return FlowMapReaction(flow_map), flow_map.constants, 0.5 * flow_map.box.step[1] / k.time_unit


def flow_map_task(config: RunConfig, job: Path | None = None) -> FlowMapTask:
    """The constants of a run description as a flow map is trained for them.

    Args:
        config: The run description.
        job: File of the run description.

    Raises:
        InputError: The constants have no flow map.
    """
    if config.physics.preset == "seed":
        raise InputError("physics.preset: 'seed' is dimensionless; a flow map needs a physical preset")
    if config.buffer:
        raise InputError("a flow map knows calbindin alone; leave further buffers away", ("buffer", 0, "name"))
    if config.organelle:
        raise InputError("a flow map knows the cytosol alone; leave organelles away", ("organelle", 0, "name"))
    described = constants_of(config)
    check_rest(described)
    k = reaction_constants(described)
    for name in ("k_plus", "b_tot"):
        if getattr(k, name) == 0.0:
            raise InputError(
                f"physics.constants.{name}: 0 means that nothing binds, and a flow map is one of binding; "
                "give a positive number, or use window.kind = 'coupled'"
            )
    return FlowMapTask(k, config.physics.preset, files_read(config, job))
