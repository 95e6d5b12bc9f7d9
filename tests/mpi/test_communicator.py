"""The traceable and the host-side members of every transport, against what they must give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.parallel.exchange import plan_exchange
from hpcpinn.parallel.transports import make_communicator

pytestmark = pytest.mark.mpi_ranks(2, 3, pytest.param(4, marks=pytest.mark.slow))


@pytest.fixture(params=["mpi4jax", "mpi4py"])
def ranks_talk(request: pytest.FixtureRequest) -> Communicator:
    return make_communicator(request.param)


def test_reductions_inside_compiled_loops(ranks_talk: Communicator) -> None:
    size, rank = ranks_talk.size, ranks_talk.rank

    @jax.jit
    def iterate(x):
        def step(x, _):
            return ranks_talk.sum(x) / size + 1.0, (ranks_talk.max(x), ranks_talk.allgather(x))

        return jax.lax.scan(step, x, None, length=3)

    last, (largest, everyone) = iterate(jnp.array([float(rank), 10.0 * rank]))
    mean = (size - 1) / 2
    np.testing.assert_allclose(last, [mean + 3, 10 * mean + 3], rtol=1e-14)
    np.testing.assert_array_equal(largest[0], [size - 1, 10.0 * (size - 1)])
    np.testing.assert_array_equal(everyone[0][:, 0], np.arange(size))
    assert last.dtype == jnp.float64


def test_loop_whose_end_depends_on_all_ranks(ranks_talk: Communicator) -> None:
    @jax.jit
    def halve(x):
        return jax.lax.while_loop(
            lambda state: ranks_talk.max(state[1]) > 1.0, lambda state: (state[0] + 1, state[1] / 2), (0, x)
        )

    count, _ = halve(jnp.float64(2.0**ranks_talk.rank))
    assert int(count) == ranks_talk.size - 1


def test_nan_of_one_rank_reaches_all(ranks_talk: Communicator) -> None:
    for culprit in range(ranks_talk.size):
        value = jnp.nan if ranks_talk.rank == culprit else float(ranks_talk.rank)
        assert np.isnan(jax.jit(ranks_talk.max)(jnp.float64(value)))


def ring(size: int) -> dict[tuple[int, int], tuple[list[int], list[int]]]:
    """Every rank sends its row 0 to row 1 of the next rank, twice for odd senders (rows 0, 2 -> 1, 3)."""
    return {(rank, (rank + 1) % size): ([0, 2], [1, 3]) if rank % 2 else ([0], [1]) for rank in range(size)}


def test_exchange_moves_exactly_the_planned_rows(ranks_talk: Communicator) -> None:
    size, rank = ranks_talk.size, ranks_talk.rank
    plan = plan_exchange(ring(size), rank)
    x = jnp.arange(4.0)[:, None] + jnp.array([100.0 * rank, 1000.0 * rank])
    y = np.asarray(jax.jit(lambda x: ranks_talk.exchange(x, plan))(x))
    before = (rank - 1) % size
    expected = np.array(x)
    expected[1] = [100.0 * before, 1000.0 * before]
    if before % 2:
        expected[3] = [2 + 100.0 * before, 2 + 1000.0 * before]
    np.testing.assert_array_equal(y, expected)


def test_exchange_repeats_in_a_compiled_loop(ranks_talk: Communicator) -> None:
    """A token handed round the ring comes home after as many rounds as there are ranks."""
    size, rank = ranks_talk.size, ranks_talk.rank
    plan = plan_exchange({(one, (one + 1) % size): ([0], [1]) for one in range(size)}, rank)

    def pass_on(_, x):
        return ranks_talk.exchange(x, plan)[jnp.array([1, 0])]

    x = jax.jit(lambda x: jax.lax.fori_loop(0, size, pass_on, x))(jnp.array([float(rank), -1.0]))
    assert float(x[0]) == rank


def test_large_arrays_pass(ranks_talk: Communicator) -> None:
    """Beyond the eager limit of MPI and the size up to which callbacks get their data inline."""
    x = jnp.full(300_000, float(ranks_talk.rank))
    size = ranks_talk.size
    plan = plan_exchange(
        {(one, (one + 1) % size): (range(200_000), range(200_000)) for one in range(size)}, ranks_talk.rank
    )
    y = jax.jit(lambda x: ranks_talk.exchange(x, plan))(x)
    assert float(y[0]) == float(y[199_999]) == (ranks_talk.rank - 1) % size
    assert float(y[200_000]) == ranks_talk.rank


def test_gradient_through_sum_is_the_local_one() -> None:
    ranks_talk = make_communicator("mpi4jax")
    x = jnp.arange(3.0) + ranks_talk.rank
    gradient = jax.jit(jax.grad(lambda x: ranks_talk.sum(jnp.sum(x**2))))(x)
    np.testing.assert_allclose(gradient, 2 * x, rtol=1e-15)


def test_host_side_members(ranks_talk: Communicator) -> None:
    size, rank = ranks_talk.size, ranks_talk.rank
    assert ranks_talk.share({"rank": rank}) == [{"rank": one} for one in range(size)]
    assert ranks_talk.broadcast(f"from {rank}") == "from 0"
    assert ranks_talk.gather(rank) == (list(range(size)) if rank == 0 else None)
    assert ranks_talk.on_root(lambda factor: factor * (rank + 1), 7) == 7


def test_error_on_the_root_is_raised_everywhere(ranks_talk: Communicator) -> None:
    def refuse() -> None:
        raise InputError("cell.swc:7: radius is NaN")

    with pytest.raises(InputError, match="cell.swc:7"):
        ranks_talk.on_root(refuse)
    ranks_talk.barrier()


def test_ranks_fail_together_with_the_lowest_ranks_error(ranks_talk: Communicator) -> None:
    ranks_talk.agree(None)
    error = InputError(f"rank {ranks_talk.rank}") if ranks_talk.rank else None
    with pytest.raises(InputError, match="rank 1"):
        ranks_talk.agree(error)


def test_error_that_cannot_travel_keeps_its_text(ranks_talk: Communicator) -> None:
    class LocalError(Exception):
        pass

    with pytest.raises(Exception, match="lost footing"):
        ranks_talk.agree(LocalError("lost footing") if ranks_talk.rank == 1 else None)


def test_serial_transport_is_refused_on_several_ranks() -> None:
    with pytest.raises(InputError, match="overwrite each other's files"):
        make_communicator("serial")


def test_auto_takes_mpi4jax_on_a_cpu() -> None:
    assert make_communicator().transport == "mpi4jax"
