"""How benchmarks start a command on several ranks."""

_SHELL = '. scripts/mpi_environment.sh && exec mpirun -n "$0" "$@"'


def under_mpi(ranks: int, command: list[str]) -> list[str]:
    """The command line, for the root of the repository."""
    return ["bash", "-c", _SHELL, str(ranks), *command]
