"""Which rank gets which device, for the launchers that exist."""

import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest

from hpcpinn.parallel import launch
from hpcpinn.parallel.device import Device, choose, visible_accelerators

REPOSITORY = Path(__file__).resolve().parents[2]

OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
}
SRUN = {
    "PMIX_RANK": "5",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_PROCID": "5",
}
HYDRA = {"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}
BATCH_SCRIPT = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "8"}


@pytest.mark.parametrize("environment", [OPEN_MPI, SRUN, HYDRA], ids=["mpirun", "srun", "hydra"])
def test_launchers_are_understood(environment: dict[str, str]) -> None:
    assert launch.started_by_launcher(environment)
    assert launch.promised_rank(environment) == 5
    assert launch.promised_size(environment) == 8
    assert launch.local_rank(environment) == 1
    assert launch.local_size(environment) == 4


@pytest.mark.parametrize("environment", [{}, BATCH_SCRIPT], ids=["by hand", "batch script"])
def test_a_process_without_launcher_is_alone(environment: dict[str, str]) -> None:
    assert not launch.started_by_launcher(environment)
    assert launch.promised_size(environment) == launch.local_size(environment) == 1


def test_mpirun_inside_a_batch_script_outranks_slurm() -> None:
    assert launch.local_rank(BATCH_SCRIPT | OPEN_MPI) == 1


@pytest.mark.parametrize(
    ("accelerators", "ranks", "expected"),
    [
        (["0", "1", "2", "3"], 4, [("0", None), ("1", None), ("2", None), ("3", None)]),
        (["0", "1"], 4, [("0", 0.45), ("1", 0.45), ("0", 0.45), ("1", 0.45)]),
        (["0", "1"], 3, [("0", 0.45), ("1", None), ("0", 0.45)]),
        (["2"], 3, [("2", 0.3)] * 3),
        (["GPU-a1", "GPU-b2", "GPU-c3"], 2, [("GPU-a1", None), ("GPU-b2", None)]),
    ],
)
def test_devices_are_dealt_in_turn(accelerators, ranks, expected) -> None:
    dealt = [choose(accelerators, rank, ranks) for rank in range(ranks)]
    assert [(one.accelerator, one.memory_fraction) for one in dealt] == expected
    for name in accelerators:
        shares = [one.memory_fraction or 0.75 for one in dealt if one.accelerator == name]
        assert sum(shares) <= 0.9


def test_a_machine_without_accelerators_computes_on_its_processors() -> None:
    assert choose([], 1, 4) == Device(None, None, 4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", []), ("-1", []), ("NoDevFiles", []), ("3,1", ["3", "1"]), ("GPU-a", ["GPU-a"])],
)
def test_what_the_scheduler_offers(value: str, expected: list[str]) -> None:
    assert visible_accelerators({"CUDA_VISIBLE_DEVICES": value}) == expected


def test_arrays_are_float64() -> None:
    assert jnp.zeros(1).dtype == jnp.float64


def environment_after_prepare(environment: dict[str, str]) -> list[str]:
    """Device, memory fraction and XLA flags of a fresh process."""
    program = (
        "import os; from hpcpinn.parallel.device import prepare; prepare();"
        "print(*[os.environ.get(name, '-') for name in"
        " ('CUDA_VISIBLE_DEVICES', 'XLA_CLIENT_MEM_FRACTION', 'XLA_FLAGS')], sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip().split("|")


def test_prepare_binds_the_process() -> None:
    offered = OPEN_MPI | {"CUDA_VISIBLE_DEVICES": "4,6"}
    assert environment_after_prepare(offered) == ["6", "0.45", "-"]


def test_prepare_leaves_what_the_user_and_the_scheduler_chose() -> None:
    bound = SRUN | {"CUDA_VISIBLE_DEVICES": "2", "SLURM_GPUS_PER_TASK": "1"}
    assert environment_after_prepare(bound)[:2] == ["2", "-"]
    chosen = OPEN_MPI | {"CUDA_VISIBLE_DEVICES": "4,6", "XLA_CLIENT_MEM_FRACTION": "0.2"}
    assert environment_after_prepare(chosen)[:2] == ["6", "0.2"]


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({}, "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"),
        ({"OMP_NUM_THREADS": "8"}, "--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads=8"),
        ({"OMP_NUM_THREADS": "4,2"}, "--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads=4"),
        ({"OMP_NUM_THREADS": "junk"}, "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"),
        ({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=true"}, "--xla_cpu_multi_thread_eigen=true"),
        ({"XLA_FLAGS": "flags"}, "flags"),  # a file
        (
            {"XLA_FLAGS": "--xla_backend_optimization_level=1"},
            "--xla_backend_optimization_level=1 --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
        ),
    ],
)
def test_a_process_takes_one_thread_or_as_many_as_the_user_says(
    given: dict[str, str], flags: str, tmp_path: Path
) -> None:
    code = "import os; from hpcpinn.parallel.device import prepare; prepare(); print(os.environ['XLA_FLAGS'])"
    own = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "OMP_NUM_THREADS")}
    (tmp_path / "flags").write_text("--xla_cpu_multi_thread_eigen=true")
    done = subprocess.run(
        [sys.executable, "-c", code], env=own | {"PYTHONPATH": str(REPOSITORY)} | given, cwd=tmp_path,
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == flags
