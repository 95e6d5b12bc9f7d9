"""One rank without MPI, and what is said when a transport cannot be had."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.parallel.exchange import ExchangePlan, plan_exchange
from hpcpinn.parallel.transports import make_communicator


def test_a_process_started_by_hand_is_serial() -> None:
    communicator = make_communicator()
    assert isinstance(communicator, SerialCommunicator)
    assert (communicator.rank, communicator.size, communicator.mpi) == (0, 1, None)


def test_reductions_over_one_rank_are_the_identity() -> None:
    serial = SerialCommunicator()
    x = jnp.array([3.0, -1.0])
    for reduce in (serial.sum, serial.max, lambda x: serial.exchange(x, ExchangePlan(()))):
        np.testing.assert_array_equal(jax.jit(reduce)(x), x)
    assert jax.jit(serial.allgather)(x).shape == (1, 2)
    assert serial.share("one") == serial.gather("one") == ["one"]
    assert serial.on_root(max, 1, 2) == 2


def test_errors_pass_through() -> None:
    serial = SerialCommunicator()
    serial.agree(None)
    with pytest.raises(InputError, match="as it was"):
        serial.agree(InputError("as it was"))
    with pytest.raises(ZeroDivisionError):
        serial.on_root(lambda: 1 / 0)


def test_exchange_with_other_ranks_is_refused() -> None:
    plan = plan_exchange({(0, 1): ([0], [0])}, 0)
    with pytest.raises(InputError, match="only one rank"):
        SerialCommunicator().exchange(jnp.zeros(1), plan)


def test_unknown_transport_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="'nccl' is unknown; use one of auto, serial, mpi4jax, mpi4py"):
        make_communicator("nccl")


def test_launcher_of_another_mpi_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rank would otherwise take itself for rank 0 of 1 and write the same file."""
    monkeypatch.setenv("PMI_RANK", "3")
    monkeypatch.setenv("PMI_SIZE", "8")
    monkeypatch.setattr("hpcpinn.parallel.transports._world_size", lambda: 1)
    with pytest.raises(InputError, match="started 8 ranks but the MPI library of mpi4py sees 1"):
        make_communicator()
