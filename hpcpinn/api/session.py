"""The ranks of this process and the device they compute on, made ready when something is first computed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from hpcpinn.errors import warn
from hpcpinn.progress import NO_PROGRESS, ProgressDisplay

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


@cache
def _prepared() -> None:
    """Chooses the device, once in a process, before JAX starts."""
    _say_precision()
    from hpcpinn.parallel.device import prepare

    prepare()


def ranks(transport: str = "auto") -> "Communicator":
    """All ranks: one in a notebook or a script, those of mpirun under it; from now on JAX computes in double precision.

    Collective over all ranks.

    Args:
        transport: Name of the way in which they exchange arrays (`make_communicator`).

    Raises:
        InputError: There is no such device or transport, or JAX is kept in single precision.
    """
    _prepared()
    from hpcpinn.parallel.transports import make_communicator

    return make_communicator(transport)


@contextmanager
def telling(progress: ProgressDisplay | bool, communicator: "Communicator") -> Iterator[ProgressDisplay]:
    """Who is told how work goes.

    Args:
        progress: Display that is told what is being done; True for what the command line shows, False for none.
        communicator: All ranks, of which the first shows it.
    """
    if progress is True:
        from hpcpinn.terminal.progress import make_progress

        with make_progress(communicator.rank) as shown:
            yield shown
    else:
        yield progress or NO_PROGRESS


def _say_precision() -> None:
    """Says that a program that computes with JAX in single precision will do so in double precision from now on."""
    jax = sys.modules.get("jax")
    if jax is not None and not jax.config.jax_enable_x64:
        warn("JAX was in single precision; hpcpinn computes in double, so jax_enable_x64 is on from here")
