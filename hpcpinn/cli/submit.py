"""``hpcpinn submit``: a run as a SLURM job."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.config.jobs import DEFAULT
from hpcpinn.config.load import Override
from hpcpinn.systems import brought_from_anywhere, part
from hpcpinn.systems.jobs import load_order, require_action
from hpcpinn.systems.named_job import JOB_HELP, MorphologyOption, OutputOption, chosen_job, find_job
from hpcpinn.terminal.sbatch import TASK, check_blanks, check_filled, for_task, tasks_of
from hpcpinn.terminal.submit import Submission, check_array, script
from hpcpinn.terminal.submit import submit as hand_over

_TRIED = 20
"""Tasks of an array whose run descriptions are read before it goes into the queue."""


def submit(
    job: Annotated[Path | None, typer.Argument(help=f"{JOB_HELP}; an SWC file: the default protocol on it.")] = None,
    nodes: Annotated[int, typer.Option(help="Number of nodes.")] = 1,
    ranks_per_node: Annotated[
        int, typer.Option(help="Ranks on each node; left out: one per GPU, or 1.", show_default=False)
    ] = 0,
    gpus_per_node: Annotated[int, typer.Option(help="GPUs on each node; 0 for processors only.")] = 0,
    ranks_per_gpu: Annotated[int, typer.Option(help="Ranks that share a GPU.")] = 1,
    cpus_per_rank: Annotated[int, typer.Option(help="Processor cores of each rank.")] = 1,
    time: Annotated[str, typer.Option(help="Time limit: minutes, H:MM:SS or D-HH:MM:SS.")] = "01:00:00",
    grace: Annotated[int, typer.Option(help="Seconds before the limit at which the job goes back to the queue.")] = 120,
    restarts: Annotated[int, typer.Option(help="How often it may do so.")] = 20,
    name: Annotated[str, typer.Option(help="Name of the job and of its log.")] = "hpcpinn",
    partition: Annotated[str | None, typer.Option(help="SLURM partition.")] = None,
    account: Annotated[str | None, typer.Option(help="SLURM account.")] = None,
    sbatch: Annotated[
        list[str] | None, typer.Option(help="Any other option of sbatch, such as --mem=8G.", metavar="OPTION")
    ] = None,
    morphology: MorphologyOption = None,
    output: OutputOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key of the run, such as run.duration=20.", metavar="KEY=VALUE"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the batch script, submit nothing.")] = False,
) -> None:
    """Submits a run to SLURM.

    Writes the batch script; after a requeue the run goes on from its checkpoint. With --sbatch=--array=0-9
    every %a in JOB, --morphology, --output and --set is the number of the task (and %% is %).
    """
    overrides: list[str] = list(settings or [])
    for key, value in (("morphology.file", morphology), ("run.output", output)):
        if value is not None:
            overrides.append(f"{key}={json.dumps(value, ensure_ascii=False)}")
    named = {"--partition": partition, "--account": account}
    for flag, value in named.items():
        check_blanks(flag, value)
    submission = Submission(
        arguments=(*_argument(job, morphology), *(part for override in overrides for part in ("--set", override))),
        nodes=nodes,
        ranks_per_node=ranks_per_node,
        gpus_per_node=gpus_per_node,
        ranks_per_gpu=ranks_per_gpu,
        cpus_per_rank=cpus_per_rank,
        time=time,
        grace=grace,
        restarts=restarts,
        name=name,
        options=(*(f"{flag}={value}" for flag, value in named.items() if value), *(sbatch or [])),
        systems=brought_from_anywhere(),
    )
    words = {"JOB": str(job or ""), "--morphology": morphology or "", "--output": output or ""}
    for flag, word in [*words.items(), *(("--set", setting) for setting in settings or [])]:
        check_filled(flag, word, is_array=submission.array is not None)
    if submission.array is None:
        found = chosen_job(job, DEFAULT, morphology)
        _checked(found.file, [*found.overrides, *overrides])
    else:
        first = [_as_task(task, job, morphology, overrides) for task in tasks_of(submission.array)[:_TRIED]]
        check_array([_checked(file, changes) for file, changes in first], submission.array)
    text = script(submission)
    if dry_run:
        typer.echo(text, nl=False)
    else:
        log = submission.log.replace("%j", "<job>").replace("%A", "<job>").replace("%a", "<task>")
        typer.echo(f"submitted job {hand_over(text)}; its log is {log}")


def _argument(typed: Path | None, morphology: str | None) -> list[str]:
    """What `hpcpinn run` gets: a file where one was found, so that a name means the same in the queue."""
    if typed is None:
        return []
    if TASK in str(typed):
        return [str(typed)]
    found = find_job(typed, DEFAULT, morphology)
    return [str(typed if found.overrides else found.file)]


def _as_task(
    task: int, job: Path | None, morphology: str | None, overrides: list[str]
) -> tuple[Path | None, list[Override]]:
    """Job file and overrides of one task of an array."""
    typed = None if job is None else Path(for_task(str(job), task))
    cell = None if morphology is None else for_task(morphology, task)
    found = find_job(typed, DEFAULT, cell)
    return found.file, [*found.overrides, *(for_task(override, task) for override in overrides)]


def _checked(file: Path | None, overrides: list[Override]) -> Path:
    """The result file; mistakes in the run description are found now rather than after hours in the queue."""
    order = load_order(file, overrides)
    action = part(require_action(order, "run"))
    with order.origin.naming_places():
        action.look(order)
    return Path(order.described.run.output)
