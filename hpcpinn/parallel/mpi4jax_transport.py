"""Communication inside compiled code through mpi4jax: microseconds, no return to Python."""

import jax.numpy as jnp
import mpi4jax
from jaxtyping import Array, Shaped
from mpi4py import MPI

from hpcpinn.parallel.exchange import ExchangePlan
from hpcpinn.parallel.mpi_host import MpiHostCommunicator


class Mpi4jaxCommunicator(MpiHostCommunicator):
    """mpi4jax on an MPI communicator that nothing else uses.

    A communicator shared with mpi4py would deadlock: compiled code runs asynchronously, so the
    order of its operations against those of the host is not fixed.

    `sum` can be differentiated in both modes (the transpose is the identity: reduce gradients
    yourself); `exchange` in reverse mode only; `allgather` and `max` not at all.
    """

    transport = "mpi4jax"

    def __init__(self) -> None:
        super().__init__()
        self._traced = MPI.COMM_WORLD.Clone()

    def sum(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
        total: Array = mpi4jax.allreduce(jnp.asarray(x), op=MPI.SUM, comm=self._traced)
        return total

    def allgather(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, " ranks *shape"]:
        collected: Array = mpi4jax.allgather(jnp.asarray(x), comm=self._traced)
        return collected

    def exchange(self, x: Shaped[Array, " slots *rest"], plan: ExchangePlan) -> Shaped[Array, " slots *rest"]:
        received = []
        for meeting in plan.rounds:
            outgoing = x[meeting.send_rows]
            incoming = jnp.empty((len(meeting.receive_rows), *x.shape[1:]), x.dtype)
            received.append(
                mpi4jax.sendrecv(outgoing, incoming, source=meeting.partner, dest=meeting.partner, comm=self._traced)
            )
        if not received:
            return x
        return x.at[plan.receive_rows].set(jnp.concatenate(received))
