"""Finds flags of XLA that XLA does not know: it would end the process (and dump core), too late to say why."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping

from hpcpinn.errors import InputError

_HARMLESS = re.compile(
    r"--xla_cpu_multi_thread_eigen=(true|false)|intra_op_parallelism_threads=\d+"
    r"|--xla_backend_optimization_level=\d|--xla_cpu_use_fusion_emitters=(true|false)"
    r"|--xla_cpu_parallel_codegen_split_count=\d+|--xla_force_host_platform_device_count=\d+"
)
"""What is known to be taken, and spares the other process: what hpcpinn itself sets, and what most people set."""

_PARSE = "from jaxlib.xla_client import CompileOptions; CompileOptions()"
"""The first thing that reads the flags."""

_COMPLAINT = re.compile(r"^[EF]\d{4} .*?\] (.*)$", re.MULTILINE)
"""How XLA logs an error, the fatal one last."""


def check(environment: Mapping[str, str] = os.environ, limit: float = 60.0) -> None:
    """Finds out that XLA would not take ``XLA_FLAGS``.

    A small process (0.2 s) tries flags that are not known to be good.

    Args:
        environment: Variables.
        limit: Seconds that the other process may take; who is too slow to answer is believed.

    Raises:
        InputError: A flag is unknown, has an impossible value, or a file of flags is missing.
    """
    flags = environment.get("XLA_FLAGS", "")
    if all(_HARMLESS.fullmatch(flag) for flag in flags.split()):
        return
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PARSE], env=dict(environment), capture_output=True, timeout=limit, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    told = _COMPLAINT.search(done.stderr.decode(errors="replace"))
    if done.returncode == 0 or told is None:  # another jaxlib may lack what is called: no fault of the flags
        return
    reason = " ".join(told[1].split())[:200]
    raise InputError(f"XLA_FLAGS={flags}: XLA does not take it ({reason}); correct it, or unset XLA_FLAGS")
