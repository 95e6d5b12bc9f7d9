"""The host side that both MPI transports share: Python objects, barriers, files."""

from typing import Any, TypeVar

from mpi4py import MPI

from hpcpinn.parallel.communicator import Communicator

T = TypeVar("T")


class MpiHostCommunicator(Communicator):
    """Host-side members over mpi4py, on a duplicate of the world of its own."""

    def __init__(self) -> None:
        self._host = MPI.COMM_WORLD.Dup()
        self.rank = self._host.rank
        self.size = self._host.size

    @property
    def mpi(self) -> Any:
        return self._host

    def gather(self, value: T) -> list[T] | None:
        return self._host.gather(value, root=0)

    def share(self, value: T) -> list[T]:
        return self._host.allgather(value)

    def broadcast(self, value: T) -> T:
        received: T = self._host.bcast(value, root=0)
        return received

    def barrier(self) -> None:
        self._host.Barrier()
