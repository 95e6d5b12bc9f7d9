"""First-order training of the heads with optax: the papers' way, kept as a baseline.

Every piece is trained by itself (its own moments, its own line search), so that the result does
not depend on which pieces share a rank.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import optax
from jaxtyping import Array, Float, PyTree

REMEDIES = {
    "adam": "give adam more training.steps and another training.learning_rate",
    "lbfgs": "give lbfgs more training.steps (it reads no training.learning_rate)",
}
"""What helps trainers that seldom come to their end by themselves."""


@dataclass(frozen=True)
class FirstOrder:
    """An optimiser with its settings.

    Attributes:
        name: "adam" or "lbfgs".
        learning_rate: Learning rate of Adam; L-BFGS searches along its line.
        decay: Steps over which Adam's rate falls (half a cosine) to a thousandth; None: constant.
        memory: Pairs that L-BFGS remembers.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    decay: int | None = None
    memory: int = 20

    @property
    def transform(self) -> optax.GradientTransformationExtraArgs:
        if self.name == "lbfgs":
            return optax.lbfgs(memory_size=self.memory)
        rate: optax.ScalarOrSchedule = self.learning_rate
        if self.decay is not None:
            rate = optax.cosine_decay_schedule(self.learning_rate, self.decay, alpha=1e-3)
        return optax.with_extra_args_support(optax.adam(rate))

    def begin(self, parameters: PyTree) -> Any:
        """State of the optimiser at the start."""
        return self.transform.init(parameters)

    def again(self, state: Any, parameters: PyTree) -> Any:
        """State after the loss has changed a little: Adam's moments last, L-BFGS starts afresh."""
        return self.begin(parameters) if self.name == "lbfgs" else state

    def minimise(
        self,
        loss: Callable[[PyTree], Float[Array, ""]],
        parameters: PyTree,
        state: Any,
        steps: int,
    ) -> tuple[PyTree, Any, Float[Array, ""]]:
        """Takes `steps` steps. Traceable.

        Returns:
            Parameters, state, and the loss before the last step.
        """
        transform = self.transform
        if self.name == "lbfgs":
            value_and_grad = optax.value_and_grad_from_state(loss)
        else:
            plain = jax.value_and_grad(loss)

            def value_and_grad(parameters: PyTree, state: Any) -> tuple[Float[Array, ""], PyTree]:
                return plain(parameters)

        def step(carry: tuple[PyTree, Any], _: None) -> tuple[tuple[PyTree, Any], Float[Array, ""]]:
            parameters, state = carry
            value, grad = value_and_grad(parameters, state=state)
            updates, state = transform.update(grad, state, parameters, value=value, grad=grad, value_fn=loss)
            return (optax.apply_updates(parameters, updates), state), value

        (parameters, state), values = jax.lax.scan(step, (parameters, state), None, length=steps)
        return parameters, state, values[-1]
