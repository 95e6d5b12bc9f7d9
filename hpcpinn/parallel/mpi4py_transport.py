"""Communication inside compiled code through ordered callbacks to mpi4py.

Slower than mpi4jax (tens of microseconds a call, data pass through the host), but it needs nothing
built for the device, and an MPI error comes back as a Python exception.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from jaxtyping import Array, Shaped
from mpi4py import MPI
from numpy import ndarray

from hpcpinn.parallel.exchange import ExchangePlan
from hpcpinn.parallel.mpi_host import MpiHostCommunicator


class Mpi4pyCommunicator(MpiHostCommunicator):
    """mpi4py behind ordered callbacks, on an MPI communicator of its own. Not differentiable."""

    transport = "mpi4py"

    def __init__(self) -> None:
        super().__init__()
        self._traced = MPI.COMM_WORLD.Dup()

    def sum(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
        def add(values: ndarray) -> ndarray:
            total = np.empty_like(values)
            self._traced.Allreduce(values, total, op=MPI.SUM)
            return total

        x = jnp.asarray(x)
        return _call(add, x.shape, x)

    def allgather(self, x: Shaped[Array, "*shape"]) -> Shaped[Array, " ranks *shape"]:
        def collect(values: ndarray) -> ndarray:
            everything = np.empty((self.size, *values.shape), values.dtype)
            self._traced.Allgather(values, everything)
            return everything

        x = jnp.asarray(x)
        return _call(collect, (self.size, *x.shape), x)

    def exchange(self, x: Shaped[Array, " slots *rest"], plan: ExchangePlan) -> Shaped[Array, " slots *rest"]:
        def swap(outgoing: ndarray) -> ndarray:
            incoming = np.empty((len(plan.receive_rows), *outgoing.shape[1:]), outgoing.dtype)
            sent = received = 0
            requests = []
            for meeting in plan.rounds:
                to_partner = outgoing[sent : (sent := sent + len(meeting.send_rows))]
                from_partner = incoming[received : (received := received + len(meeting.receive_rows))]
                requests.append(self._traced.Irecv(from_partner, source=meeting.partner))
                requests.append(self._traced.Isend(to_partner, dest=meeting.partner))
            MPI.Request.Waitall(requests)
            return incoming

        if not plan.rounds:
            return x
        received = _call(swap, (len(plan.receive_rows), *x.shape[1:]), x[plan.send_rows])
        return x.at[plan.receive_rows].set(received)


def _call(function: Callable[[ndarray], ndarray], shape: tuple[int, ...], x: Array) -> Array:
    """Run `function` on the host at this point of the compiled program, in program order."""

    def on_host(values: Array) -> ndarray:
        return function(np.ascontiguousarray(values).reshape(values.shape))

    result: Array = io_callback(on_host, jax.ShapeDtypeStruct(shape, x.dtype), x, ordered=True)
    return result
