"""A communicator for code that `jax.vmap` maps over: a sum of a batch is one message."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Shaped

from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.exchange import ExchangePlan

T = TypeVar("T")


class BatchedCommunicator(Communicator):
    """Passes all on to another communicator; its `sum` can be mapped. Not differentiable.

    Args:
        inner: What communicates.
    """

    def __init__(self, inner: Communicator) -> None:
        self.inner = inner
        self.rank, self.size, self.transport = inner.rank, inner.size, inner.transport

        @custom_vmap
        def total(x: Array) -> Array:
            return inner.sum(x)

        @total.def_vmap
        def total_of_batch(_size: int, batched: list[bool], x: Array) -> tuple[Array, bool]:
            return total(x), batched[0]

        self._sum: Callable[[Array], Array] = total

    @property
    def mpi(self) -> Any | None:
        return self.inner.mpi

    def sum(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
        return self._sum(jax.numpy.asarray(x))

    def allgather(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, " ranks *shape"]:
        return self.inner.allgather(x)

    def exchange(self, x: Shaped[Array, " slots *rest"], plan: ExchangePlan) -> Shaped[Array, " slots *rest"]:
        return self.inner.exchange(x, plan)

    def gather(self, value: T) -> list[T] | None:
        return self.inner.gather(value)

    def share(self, value: T) -> list[T]:
        return self.inner.share(value)

    def broadcast(self, value: T) -> T:
        return self.inner.broadcast(value)

    def barrier(self) -> None:
        self.inner.barrier()
