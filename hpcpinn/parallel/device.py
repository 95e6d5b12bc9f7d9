"""One rank, one device; float64 everywhere.

`prepare` chooses the device and has to come before JAX starts a backend; float64 is on without it, too, as soon as
there is a communicator (`double_precision`).
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpcpinn.errors import InputError
from hpcpinn.parallel import compiled, launch, xla_flags

_NVIDIA_DEVICES = Path("/proc/driver/nvidia/gpus")

_MEMORY_SHARE = 0.9
"""Part of a device's memory that its ranks divide among themselves; the rest is left to the driver."""

_MEMORY_VARIABLES = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")

_PLATFORM_VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_DEFAULT_DEVICE")
"""Where a user says what JAX shall compute on."""

_CUDA = ("cuda", "gpu")


@dataclass(frozen=True)
class Device:
    """What a rank computes on.

    Attributes:
        accelerator: Identifier of the one visible accelerator, None on a CPU.
        memory_fraction: Part of its memory that JAX may take, None where JAX's own default stays.
        sharing: How many ranks use the same device (or, on a CPU, the same node).
    """

    accelerator: str | None
    memory_fraction: float | None
    sharing: int


def visible_accelerators(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Accelerators that this node (or its scheduler) offers to the process."""
    offered = environment.get("CUDA_VISIBLE_DEVICES")
    if offered is None:
        count = len(list(_NVIDIA_DEVICES.iterdir())) if _NVIDIA_DEVICES.is_dir() else 0
        return [str(number) for number in range(count)]
    return [name for name in offered.split(",") if name not in ("", "-1", "NoDevFiles")]


def choose(accelerators: list[str], local_rank: int, local_size: int) -> Device:
    """Deal the accelerators of a node to its ranks in turn.

    A single visible accelerator is taken as it is. It may be the node's only one, which all ranks
    share, or the one that the scheduler bound to this rank; assuming that it is shared costs
    memory in the second case, assuming that it is not fails in the first.

    Args:
        accelerators: Identifiers visible to this rank.
        local_rank: Number of the rank on its node.
        local_size: Ranks on the node.
    """
    if not accelerators:
        return Device(accelerator=None, memory_fraction=None, sharing=local_size)
    position = local_rank % len(accelerators)
    sharing = len(range(position, local_size, len(accelerators)))
    fraction = round(_MEMORY_SHARE / sharing, 3) if sharing > 1 else None
    return Device(accelerators[position], fraction, max(sharing, 1))


def scheduler_bound_one(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the scheduler says that each task has accelerators of its own (``--gpus-per-task``)."""
    return "SLURM_GPUS_PER_TASK" in environment or "SLURM_TRES_PER_TASK" in environment


def double_precision() -> None:
    """Lets JAX compute in double precision, also where it was loaded in single precision before. Safe to call again.

    Raises:
        InputError: It cannot be: a ``with jax.enable_x64(False)`` around the call keeps it in single precision.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    if jax.dtypes.result_type(float) != "float64":
        raise InputError(
            "JAX is kept in single precision here (jax.enable_x64(False)), and hpcpinn computes in double: call it "
            "outside that block"
        )


def prepare() -> Device:
    """Choose this rank's device, switch JAX to float64 and let it keep what it compiles. Safe to call again.

    Respects what is set already: a memory fraction, thread flags, a platform in ``JAX_PLATFORMS``.

    Returns:
        The device that was chosen.

    Raises:
        InputError: JAX cannot start: a variable asks for a device that is not here, or XLA refuses its flags.
    """
    ranks = launch.local_size()
    offered = os.environ.get("CUDA_VISIBLE_DEVICES")
    accelerators = visible_accelerators()
    if len(accelerators) == 1 and scheduler_bound_one():
        device = Device(accelerators[0], None, 1)
    else:
        device = choose(accelerators, launch.local_rank(), ranks)
    if device.accelerator is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device.accelerator
    if device.memory_fraction is not None and not any(name in os.environ for name in _MEMORY_VARIABLES):
        os.environ["XLA_CLIENT_MEM_FRACTION"] = str(device.memory_fraction)
    xla_flags.check()  # the user's, before others are put beside them
    if device.accelerator is None:
        _choose_threads()

    import jax  # the environment above has to stand before JAX is loaded

    double_precision()
    compiled.keep(first_rank=launch.promised_rank() == 0)
    _start()
    if device.accelerator is not None and jax.default_backend() == "cpu":
        _warn_of_processors(offered)
    return device


def _start() -> None:
    """Starts JAX's backend now, when a device that cannot be had is still the user's to hear of.

    Raises:
        InputError: It cannot be had.
    """
    import jax

    try:
        jax.devices()
        jax.device_put(0.0)  # JAX_DEFAULT_DEVICE and JAX_PLATFORM_NAME are looked at only here
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(_no_device(error)) from error


def _no_device(error: Exception) -> str:
    """What a person can do about a backend that does not start."""
    wished = [name for name in _PLATFORM_VARIABLES if os.environ.get(name)]
    if not wished:
        reason = " ".join(str(error).split())[:300]
        return f"JAX cannot start on this machine ({reason}); JAX_PLATFORMS=cpu computes on processors"
    name = wished[0]
    value = os.environ[name]
    if value.lower() in _CUDA:
        fix = "install the CUDA build (scripts/setup.sh), ask for a GPU (--gpus-per-node), or unset it"
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            fix = f"CUDA_VISIBLE_DEVICES={visible} must name a GPU of this machine; {fix}"
    else:
        fix = "unset it, or give cpu or cuda"
    return f"{name}={value}: JAX finds no such device here; {fix}"


def _warn_of_processors(offered: str | None) -> None:
    """Says that a GPU that the user named is not used, unless processors were asked for."""
    if offered is not None and not os.environ.get("JAX_PLATFORMS") and launch.promised_rank() == 0:
        print(
            f"hpcpinn: warning: CUDA_VISIBLE_DEVICES={offered}: JAX finds no such GPU and computes on processors; "
            "install the CUDA build (scripts/setup.sh), or set JAX_PLATFORMS=cpu",
            file=sys.stderr,
        )


def _choose_threads() -> None:
    """One thread per process on processors, or as many as ``OMP_NUM_THREADS`` says; ``XLA_FLAGS`` go before.

    The programs are small: threads that meet after each of them wait for the slowest. On two cores that other work
    used as well, the default job took nine times as long with two threads as with one. Ranks share processors better.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    is_file = not flags.lstrip().startswith("--") and bool(flags.strip())
    if is_file or "multi_thread_eigen" in flags or "intra_op_parallelism_threads" in flags:
        return
    asked = os.environ.setdefault("OMP_NUM_THREADS", "1").split(",")[0].strip()
    threads = max(1, int(asked)) if asked.isdecimal() else 1
    eigen = str(threads > 1).lower()
    chosen = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    os.environ["XLA_FLAGS"] = f"{flags} {chosen}".strip()
