"""The reaction over a window: the flow map where it holds, a stiff sub-step elsewhere."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hpcpinn.physics import pumped_binding
from hpcpinn.physics.constants import ReactionConstants
from hpcpinn.physics.pumped_binding import ErRatio
from hpcpinn.physics.stiff_step import stiff_flow
from hpcpinn.training.flow_map import FlowMap, ReactionState


@dataclass(frozen=True, eq=False)
class FlowMapReaction:
    """Φ, and the stiff integrator for compartments whose state its box does not hold."""

    flow_map: FlowMap

    def __call__(
        self, state: ReactionState, h: Float[Array, ""], ratio: Float[Array, " N"]
    ) -> tuple[ReactionState, Int[Array, ""]]:
        """The state after h, and the number of compartments that were outside the box."""
        fm = self.flow_map
        inside = fm.box.contains(state, h, ratio, fm.constants)
        outside = jnp.sum(~inside)
        mapped = fm(state, h, ratio)
        stiff = StiffReaction(fm.constants)

        def mend() -> ReactionState:
            exact, _ = stiff(state, h, ratio)
            return mapped.each(lambda x, y: jnp.where(inside, x, y), exact)

        return jax.lax.cond(outside > 0, mend, lambda: mapped), outside


@dataclass(frozen=True, eq=False)
class StiffReaction:
    """The stiff integrator everywhere: slow, for any constants and buffers, and the measure of the flow map.

    Attributes:
        constants: Constants of binding, pumps and organelles.
        er_ratio: Membrane of the reticulum over the volumes it parts at every compartment, 1/µm; None where no species
            lives in it.
    """

    constants: ReactionConstants
    er_ratio: ErRatio | None = None

    def __call__(
        self, state: ReactionState, h: Float[Array, ""], ratio: Float[Array, " N"]
    ) -> tuple[ReactionState, Int[Array, ""]]:
        """The state after h; nothing is ever outside."""
        start = pumped_binding.deviation(state.c, state.b, self.constants, state.others)
        end = stiff_flow(start, h, ratio, self.constants, self.er_ratio)
        return ReactionState.of(pumped_binding.state(end, self.constants)), jnp.zeros((), int)
