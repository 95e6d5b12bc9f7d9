"""Write a SLURM batch script from a template of ``jobs/`` and hand it to ``sbatch``."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcpinn import bundled
from hpcpinn.errors import InputError
from hpcpinn.parallel import stopping
from hpcpinn.terminal.sbatch import (
    TASK,
    Option,
    arguments_of_a_task,
    check_printable,
    check_times,
    tasks_of,
)

_BLANK = re.compile(r"\{\{(\w+)\}\}")
_NAME = re.compile(r"[\w.+-]{1,100}")

_ALWAYS = ("--requeue", "--open-mode=append")
"""Go back to the queue when a node fails, and keep the log of the first attempt."""

_OURS = {
    "--time": "--time", "-t": "--time", "--signal": "--grace", "--nodes": "--nodes", "-N": "--nodes",
    "--ntasks-per-node": "--ranks-per-node", "--gpus-per-node": "--gpus-per-node", "--job-name": "--name",
    "-J": "--name", "--cpus-per-task": "--cpus-per-rank", "-c": "--cpus-per-rank",
}  # fmt: skip
"""Options of sbatch that are ours as well: given twice they would not be checked together."""

_BOUNDS = {
    "nodes": (1, 65_535), "ranks_per_gpu": (1, 1_000), "cpus_per_rank": (1, 65_535), "gpus_per_node": (0, 1_000),
    "restarts": (0, 1_000_000), "ranks_per_node": (0, 65_535),
}  # fmt: skip
"""Least and most; the most is what SLURM's own numbers hold, or beyond any machine."""


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
        systems: What ``HPCPINN_SYSTEMS`` is there; empty: it is not set.
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
    systems: str = ""

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            wanted = f"at least {max(least, name == 'ranks_per_node')}" if value < least else f"at most {most}"
            _require(least <= value <= most, name, value, wanted)
        _require(self.ranks_on_node <= 65_535, "ranks_per_gpu", self.ranks_per_gpu, "fewer ranks on a node")
        if self.ranks_per_gpu > 1 and not self.gpus_per_node:
            advice = f"give --gpus-per-node as well, or --ranks-per-node {self.ranks_per_gpu} for processors"
            raise InputError(f"--ranks-per-gpu {self.ranks_per_gpu}: there is no GPU to share; {advice}")
        check_times(self.time, self.grace)
        _require(bool(_NAME.fullmatch(self.name)), "name", self.name, "up to 100 letters, digits and . _ + -")
        for argument in self.arguments:
            check_printable("the argument", argument)
        check_printable("HPCPINN_SYSTEMS", self.systems)
        for option in self.read_options:
            if option.flag in _OURS:
                raise InputError(f"--sbatch {option.flag}: use {_OURS[option.flag]}, which is checked with the others")
            if option.flag in ("--chdir", "-D"):
                raise InputError(f"--sbatch {option.flag}: call hpcpinn submit in the folder where the job shall run")
            if option.flag in ("--array", "-a"):
                tasks_of(option.value or "")

    @property
    def read_options(self) -> list[Option]:
        """Further options of sbatch."""
        return [Option.read(option) for option in self.options]

    @property
    def array(self) -> str | None:
        """Tasks of a job array, in SLURM's spelling; None for a single job."""
        given = [option.value or "" for option in self.read_options if option.flag in ("--array", "-a")]
        return given[-1] if given else None

    @property
    def log(self) -> str:
        """Name of the log, with SLURM's placeholders."""
        return f"{self.name}-{'%j' if self.array is None else '%A_%a'}.log"

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
        directory: Folder in which the job runs; relative paths of its arguments start there. Default: here.

    Raises:
        InputError: A template is missing or has a blank that nothing fills, or SLURM cannot work in the folder.
    """
    folder = str(directory or Path.cwd())
    check_printable("the working folder", folder)
    if "%" in folder or "\\" in folder:
        raise InputError(f"the working folder {folder}: SLURM takes % and \\ for its own; submit from another folder")
    options = [
        *map(Option.read, (*_ALWAYS, f"--signal=B:USR1@{submission.grace}")),
        Option("--chdir", folder),
        *submission.read_options,
    ]
    return _fill(
        submission.template + ".sbatch",
        {
            "name": submission.name,
            "nodes": submission.nodes,
            "ranks_per_node": submission.ranks_on_node,
            "gpus_per_node": submission.gpus_per_node,
            "cpus_per_rank": submission.cpus_per_rank,
            "time": submission.time,
            "log": submission.log,
            "options": "\n".join(option.directive for option in options),
            "launch": _fill(
                "launch.sh",
                {
                    "command": _command(submission),
                    "restarts": submission.restarts,
                    "patience": max(1, submission.grace * 3 // 4),
                    "systems": f"export HPCPINN_SYSTEMS={shlex.quote(submission.systems)}\n" * bool(submission.systems),
                },
            ),
        },
    )


def _command(submission: Submission) -> str:
    """The run, as bash reads it."""
    join = shlex.join if submission.array is None else arguments_of_a_task
    parts = (shlex.join(submission.program), join(submission.arguments), "--resume auto")
    return " ".join(filter(None, parts))


def submit(text: str) -> int:
    """Hand a batch script to SLURM.

    Returns:
        Number of the job.

    Raises:
        InputError: There is no SLURM here, or it refuses the script.
    """
    try:
        with stopping.unbroken("squeue shows whether the job is there"):
            done = subprocess.run(
                ["sbatch", "--parsable"],
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
    except FileNotFoundError:
        raise InputError(
            "sbatch is not installed here; log in to the cluster, or see the script with --dry-run"
        ) from None
    if done.returncode:
        reason = " ".join(done.stderr.replace("sbatch: error: ", "").split())
        raise InputError(f"SLURM refuses the job: {reason}")
    number = re.match(r"\d+", done.stdout)
    if number is None:
        answer = " ".join(f"{done.stdout} {done.stderr}".split())
        raise InputError(f"SLURM names no job: {answer[:300] or 'no answer'}")
    return int(number[0])


def check_array(outputs: Sequence[Path], array: str) -> None:
    """Finds out that tasks of an array would write each other's result.

    Args:
        outputs: Result files of some tasks.
        array: The array in SLURM's spelling, for messages.

    Raises:
        InputError: Two tasks have one result.
    """
    if len(set(outputs)) < len(outputs):
        stem, count = re.subn(r"\$(?:SLURM_ARRAY_TASK_ID\b|\{SLURM_ARRAY_TASK_ID\})", TASK, outputs[0].stem)
        named = outputs[0].with_stem(stem if count else f"{stem}_{TASK}")
        raise InputError(
            f"--sbatch --array={array}: every task would write {outputs[0]}; put {TASK}, the number of the task, into "
            f"the name: --output '{named}'"
        )


def _fill(template: str, values: Mapping[str, object]) -> str:
    stem, dot, suffix = template.partition(".")
    file = bundled.files("jobs", dot + suffix).get(stem)
    if file is None:
        raise InputError(f"the template {template} is missing from {bundled.folders('jobs')[0]}; install hpcpinn again")
    text = file.read_text(encoding="utf-8")
    unknown = set(_BLANK.findall(text)) - values.keys()
    if unknown:
        raise InputError(f"{file}: nothing fills the blank {{{{{min(unknown)}}}}}")
    return _BLANK.sub(lambda blank: str(values[blank[1]]), text)
