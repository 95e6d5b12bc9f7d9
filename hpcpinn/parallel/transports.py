"""Which transport the ranks of a job talk through: the choice, and what stands in its way."""

from hpcpinn.errors import InputError
from hpcpinn.parallel import launch
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.parallel.device import double_precision

TRANSPORTS = ("auto", "serial", "mpi4jax", "mpi4py")


def make_communicator(transport: str = "auto") -> Communicator:
    """The communicator of this process. Collective over all ranks.

    Nothing is solved without one: from here on JAX computes in double precision.

    Args:
        transport: ``serial`` (one rank, MPI is not even loaded), ``mpi4jax`` (fastest), ``mpi4py``
            (callbacks to the host: slower, works on any device), or ``auto``: serial for a process
            started by hand, else mpi4jax where it can serve the device, else mpi4py.

    Raises:
        InputError: Unknown transport, ``serial`` on several ranks, a library that is missing, an
            mpirun that does not belong to the MPI library that mpi4py uses, or JAX kept in single precision.
    """
    double_precision()
    if transport not in TRANSPORTS:
        raise InputError(f"run.transport = {transport!r} is unknown; use one of {', '.join(TRANSPORTS)}")
    promised = launch.promised_size()
    if transport == "serial" or (transport == "auto" and not launch.started_by_launcher()):
        if promised > 1:
            raise InputError(
                f"run.transport = 'serial', but {promised} ranks were started, which would overwrite each "
                "other's files; use transport 'auto' or start one process"
            )
        return SerialCommunicator()
    if transport == "auto" and promised == 1 and not _finds_mpi():
        return SerialCommunicator()  # one process, started by a launcher or with the variables of one
    size = _world_size()
    if size < promised:
        raise InputError(
            f"the launcher started {promised} ranks but the MPI library of mpi4py sees {size}; "
            "use the mpirun of the MPI that mpi4py was built with (under SLURM: srun --mpi=pmix), or, if no "
            f"launcher started this, unset {', '.join(launch.sizes_given())}"
        )
    if transport == "auto":
        if size == 1:
            return SerialCommunicator()
        transport = "mpi4jax" if _mpi4jax_serves_device() else "mpi4py"
    if transport == "mpi4jax":
        try:
            from hpcpinn.parallel.mpi4jax_transport import Mpi4jaxCommunicator
        except ImportError as error:
            raise _missing(transport, error) from error
        return Mpi4jaxCommunicator()
    from hpcpinn.parallel.mpi4py_transport import Mpi4pyCommunicator

    return Mpi4pyCommunicator()


def _finds_mpi() -> bool:
    try:
        from mpi4py import MPI  # noqa: F401
    except (ImportError, RuntimeError):
        return False
    return True


def _world_size() -> int:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise _missing("mpi4py", error) from error
    return int(MPI.COMM_WORLD.size)


def _missing(library: str, error: Exception) -> InputError:
    return InputError(
        f"{library} cannot be loaded ({error}); scripts/setup.sh of a checkout builds it, or, where an MPI is "
        "installed: pip install 'hpcpinn[mpi]'"
    )


def _mpi4jax_serves_device() -> bool:
    """Whether mpi4jax is installed and was built for the device that JAX computes on."""
    import jax

    device = jax.default_backend()
    try:
        import mpi4jax
    except ImportError:
        return False
    return device == "cpu" or (device in ("gpu", "cuda") and mpi4jax.has_cuda_support())
