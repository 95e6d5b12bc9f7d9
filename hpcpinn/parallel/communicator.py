"""What the solver talks through: one small interface, three transports.

The members `sum`, `max`, `allgather` and `exchange` may be called inside ``jax.jit``, ``scan``,
``while_loop`` and ``cond``; the others run on the host and never inside a compiled function. All
are collective over all ranks, unless they say otherwise: every rank calls them, in the same order.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from hpcpinn.errors import InputError
from hpcpinn.parallel.exchange import ExchangePlan

T = TypeVar("T")


class Communicator(ABC):
    """The ranks of a job, as seen by one of them.

    Attributes:
        rank: Number of this rank, from 0.
        size: Number of ranks.
        transport: Name of the transport, one of `transports.TRANSPORTS`.
    """

    rank: int
    size: int
    transport: str

    @property
    @abstractmethod
    def mpi(self) -> Any | None:
        """mpi4py communicator for collective files, None without MPI. Not collective."""

    @abstractmethod
    def sum(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
        """Sum over all ranks, element by element; the same bits on every rank. Traceable."""

    @abstractmethod
    def allgather(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, " ranks *shape"]:
        """The arrays of all ranks, of equal shape, stacked along a new first axis. Traceable."""

    @abstractmethod
    def exchange(self, x: Shaped[Array, " slots *rest"], plan: ExchangePlan) -> Shaped[Array, " slots *rest"]:
        """Swap rows with neighbouring ranks. Traceable; collective among the plan's partners.

        Args:
            x: Array of shape ``(slots, ...)``, the same trailing shape on all ranks.
            plan: Plan of this rank; its partners call with theirs.

        Returns:
            `x` with the rows named by the plan's `receive_rows` replaced by those of the partners.
        """

    @abstractmethod
    def gather(self, value: T) -> list[T] | None:
        """Python objects of all ranks, in rank order, on rank 0; None elsewhere."""

    @abstractmethod
    def share(self, value: T) -> list[T]:
        """Python objects of all ranks, in rank order, on every rank."""

    @abstractmethod
    def broadcast(self, value: T) -> T:
        """The Python object of rank 0, on every rank."""

    @abstractmethod
    def barrier(self) -> None:
        """Return when every rank has come here."""

    def max(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
        """Largest value over all ranks, element by element. Traceable.

        A NaN on any rank is a NaN on all: MPI's own maximum may lose it, and with it the news
        that a solve has failed.
        """
        return jnp.max(self.allgather(x), axis=0)

    def on_root(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call on rank 0 only; its result, or its error, on every rank.

        Raises:
            Exception: Whatever `function` raised on rank 0.
        """
        result, error = None, None
        if self.rank == 0:
            try:
                result = function(*arguments)
            except Exception as caught:
                error = caught
        error = self.broadcast(None if error is None else _portable(error))
        if error is not None:
            raise error
        return self.broadcast(result)  # type: ignore[return-value]

    def agree(self, error: Exception | None) -> None:
        """Carry on together or fail together.

        Args:
            error: What went wrong on this rank, None if nothing did.

        Raises:
            Exception: On every rank, the error of the lowest rank that has one.
        """
        errors = self.share(None if error is None else _portable(error))
        first = next((one for one in errors if one is not None), None)
        if first is not None:
            raise first


def _portable(error: Exception) -> Exception:
    """The error, or its text where the error itself cannot be sent to another process."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class SerialCommunicator(Communicator):
    """One rank, no MPI: every reduction is the identity."""

    rank = 0
    size = 1
    transport = "serial"

    @property
    def mpi(self) -> None:
        return None

    def sum(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
        return jnp.asarray(x)

    def allgather(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, " ranks *shape"]:
        return jnp.asarray(x)[None]

    def exchange(self, x: Shaped[Array, " slots *rest"], plan: ExchangePlan) -> Shaped[Array, " slots *rest"]:
        if plan.rounds:
            raise InputError(f"exchange: the plan names ranks {plan.partners}, but there is only one rank")
        return x

    def gather(self, value: T) -> list[T]:
        return [value]

    def share(self, value: T) -> list[T]:
        return [value]

    def broadcast(self, value: T) -> T:
        return value

    def barrier(self) -> None:
        return None
