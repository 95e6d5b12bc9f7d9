"""What the launcher (mpirun, srun) left in the environment. Needs neither MPI nor JAX."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

_MPI_RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
"""Set by a launcher that starts MPI processes; SLURM_PROCID is not one: a batch script has it too."""

_MPI_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")

_LOCAL_RANK = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PALS_LOCAL_RANKID", "SLURM_LOCALID")
"""Open MPI first: under mpirun inside a batch script all ranks inherit SLURM_LOCALID=0."""

_LOCAL_SIZE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE")

_NUMBER = re.compile(r"[0-9]{1,9}")


def _first_integer(names: tuple[str, ...], environment: Mapping[str, str]) -> int | None:
    """Value of the first variable of `names` that holds an integer."""
    for name in names:
        value = environment.get(name, "")
        if _NUMBER.fullmatch(value):
            return int(value)
    return None


def started_by_launcher(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether an MPI launcher started this process."""
    return _first_integer(_MPI_RANK, environment) is not None


def promised_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Rank according to the launcher; 0 for a process started by hand."""
    return _first_integer(_MPI_RANK, environment) or 0


def promised_size(environment: Mapping[str, str] = os.environ) -> int:
    """Number of ranks according to the launcher; 1 for a process started by hand."""
    if not started_by_launcher(environment):
        return 1
    return _first_integer(_MPI_SIZE, environment) or 1


def sizes_given(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that `promised_size` may go by."""
    return [name for name in _MPI_SIZE if name in environment]


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Number of this rank among the ranks of its node."""
    return _first_integer(_LOCAL_RANK, environment) or 0


def local_size(environment: Mapping[str, str] = os.environ) -> int:
    """How many ranks share this node; 1 where nobody says."""
    known = _first_integer(_LOCAL_SIZE, environment)
    if known is not None:
        return known
    if not started_by_launcher(environment):
        return 1
    # SLURM writes "4", "4(x2)" or "4(x2),3"; the first entry is right for all but odd last nodes.
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE", "").split("(")[0].split(",")[0]
    return int(tasks) if _NUMBER.fullmatch(tasks) else 1


def output_is_terminal() -> bool:
    """Whether a person reads our output as it comes.

    mpirun gives every rank a terminal of its own, so that one looks at mpirun's output instead.
    """
    if "OMPI_COMM_WORLD_RANK" not in os.environ:
        return sys.stdout.isatty()
    try:
        target = os.readlink(f"/proc/{os.getppid()}/fd/1")
    except OSError:
        return False
    return target.startswith(("/dev/pts/", "/dev/tty", "/dev/console")) and Path(target).exists()
