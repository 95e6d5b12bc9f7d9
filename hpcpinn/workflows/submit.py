"""Write a SLURM batch script from a template of ``jobs/`` and hand it to ``sbatch``."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcpinn import bundled
from hpcpinn.config import load_with_origin
from hpcpinn.config.load import Override
from hpcpinn.errors import InputError

_BLANK = re.compile(r"\{\{(\w+)\}\}")
_TIME = re.compile(r"\d+(:[0-5]?\d){0,2}|\d+-\d{1,2}(:[0-5]?\d){0,2}")
_NAME = re.compile(r"[\w.+-]+")

_ALWAYS = ("--requeue", "--open-mode=append")
"""Go back to the queue when a node fails, and keep the log of the first attempt."""


@dataclass(frozen=True)
class Submission:
    """A run and the machines it should get.

    Attributes:
        arguments: What follows ``hpcpinn run``: job file and options.
        nodes: Number of nodes.
        ranks_per_node: Ranks on each; 0: one per GPU, or one per core of `cpus_per_node`.
        gpus_per_node: GPUs on each node; 0 computes on processors.
        ranks_per_gpu: Ranks that share a GPU.
        cpus_per_rank: Cores of each rank.
        time: Limit in SLURM's spelling: minutes, ``H:MM:SS`` or ``D-HH:MM:SS``.
        grace: Seconds before the limit at which the job goes back to the queue.
        restarts: How often it may do so.
        name: Name of the job, also of its log.
        options: Further options of sbatch, such as ``--partition=gpu``.
        program: What starts `hpcpinn run`.
    """

    arguments: tuple[str, ...] = ()
    nodes: int = 1
    ranks_per_node: int = 0
    gpus_per_node: int = 0
    ranks_per_gpu: int = 1
    cpus_per_rank: int = 1
    time: str = "01:00:00"
    grace: int = 120
    restarts: int = 20
    name: str = "hpcpinn"
    options: tuple[str, ...] = ()
    program: tuple[str, ...] = (sys.executable, "-m", "hpcpinn", "run")

    def __post_init__(self) -> None:
        least = {"nodes": 1, "ranks_per_gpu": 1, "cpus_per_rank": 1, "gpus_per_node": 0, "restarts": 0}
        for name, smallest in least.items():
            _require(getattr(self, name) >= smallest, name, getattr(self, name), f"at least {smallest}")
        _require(bool(_TIME.fullmatch(self.time)), "time", self.time, "minutes, H:MM:SS or D-HH:MM:SS")
        _require(bool(_NAME.fullmatch(self.name)), "name", self.name, "letters, digits and . _ + -")
        _require(self.ranks_per_node >= 0, "ranks_per_node", self.ranks_per_node, "at least 1")
        for option in self.options:
            if not option.startswith("-"):
                raise InputError(f"--sbatch {option!r}: an option of sbatch begins with a dash, as --mem=8G")

    @property
    def template(self) -> str:
        """Name of the template that fits."""
        if self.gpus_per_node == 0:
            return "cpu"
        return "gpu" if self.ranks_on_node <= self.gpus_per_node else "gpu-shared"

    @property
    def ranks_on_node(self) -> int:
        """Ranks on each node, counted out."""
        return self.ranks_per_node or self.gpus_per_node * self.ranks_per_gpu or 1


def _require(good: bool, name: str, value: object, wanted: str) -> None:
    if not good:
        raise InputError(f"--{name.replace('_', '-')} {value}: give {wanted}")


def script(submission: Submission, directory: Path | None = None) -> str:
    """The batch script.

    Args:
        submission: The run and its machines.
        directory: Where the job runs; relative paths of its arguments start there. Default: here.

    Raises:
        InputError: A template is missing or has a blank that nothing fills.
    """
    options = (
        *_ALWAYS,
        f"--signal=B:USR1@{submission.grace}",
        f"--chdir={directory or Path.cwd()}",
        *submission.options,
    )
    return _fill(
        submission.template + ".sbatch",
        {
            "name": submission.name,
            "nodes": submission.nodes,
            "ranks_per_node": submission.ranks_on_node,
            "gpus_per_node": submission.gpus_per_node,
            "cpus_per_rank": submission.cpus_per_rank,
            "time": submission.time,
            "log": f"{submission.name}-%j.log",
            "options": "\n".join(f"#SBATCH {option}" for option in options),
            "launch": _fill(
                "launch.sh",
                {
                    "command": shlex.join((*submission.program, *submission.arguments, "--resume", "auto")),
                    "restarts": submission.restarts,
                },
            ),
        },
    )


def submit(text: str) -> int:
    """Hand a batch script to SLURM.

    Returns:
        Number of the job.

    Raises:
        InputError: There is no SLURM here, or it refuses the script.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"], input=text, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise InputError(
            "sbatch is not installed here; log in to the cluster, or see the script with --dry-run"
        ) from None
    if done.returncode:
        reason = " ".join(done.stderr.replace("sbatch: error: ", "").split())
        raise InputError(f"SLURM refuses the job: {reason}")
    return int(done.stdout.split(";")[0])


def check_run(job: Path | None, overrides: Sequence[Override]) -> None:
    """Find mistakes in the run description now rather than after hours in the queue.

    Raises:
        InputError: As `load_config`, or the result would replace an input or another file.
    """
    config, origin = load_with_origin(job, overrides)
    with origin.naming_places():
        from hpcpinn.workflows.places import refuse_unusable_places  # loads NumPy and h5py

        refuse_unusable_places(config, job)


def _fill(template: str, values: Mapping[str, object]) -> str:
    stem, dot, suffix = template.partition(".")
    file = bundled.files("jobs", dot + suffix).get(stem)
    if file is None:
        raise InputError(f"the template {template} is missing from {bundled.folders('jobs')[0]}; install hpcpinn again")
    text = file.read_text()
    unknown = set(_BLANK.findall(text)) - values.keys()
    if unknown:
        raise InputError(f"{file}: nothing fills the blank {{{{{min(unknown)}}}}}")
    return _BLANK.sub(lambda blank: str(values[blank[1]]), text)
