"""Batch scripts: what a person asks for is what stands in them."""

import re
import subprocess
from pathlib import Path

import pytest

from hpcpinn.errors import InputError
from hpcpinn.terminal.submit import Submission, script, submit
from tests.cli.in_process import hpcpinn


def directives(submission: Submission) -> dict[str, str]:
    """Options of the ``#SBATCH`` lines."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", script(submission, Path("/scratch/me")), re.M))


def test_processors_only() -> None:
    found = directives(Submission(nodes=4, ranks_per_node=32, time="2-12:00:00", name="long.run"))
    assert found["nodes"] == "4"
    assert found["ntasks-per-node"] == "32"
    assert found["time"] == "2-12:00:00"
    assert found["job-name"] == "long.run"
    assert found["output"] == "long.run-%j.log"
    assert found["chdir"] == "/scratch/me"
    assert "gpus-per-node" not in found


@pytest.mark.parametrize(
    ("wishes", "template", "ranks"),
    [
        ({}, "cpu", 1),
        ({"gpus_per_node": 4}, "gpu", 4),
        ({"gpus_per_node": 4, "ranks_per_gpu": 3}, "gpu-shared", 12),
        ({"gpus_per_node": 4, "ranks_per_node": 2}, "gpu", 2),
        ({"gpus_per_node": 1, "ranks_per_node": 6}, "gpu-shared", 6),
    ],
)
def test_ranks_follow_the_gpus(wishes: dict[str, int], template: str, ranks: int) -> None:
    submission = Submission(**wishes)
    assert submission.template == template
    found = directives(submission)
    assert found["ntasks-per-node"] == str(ranks)
    assert found.get("gpus-per-node", "0") == str(submission.gpus_per_node)


def test_every_script_survives_a_requeue() -> None:
    for gpus in (0, 1):
        found = directives(Submission(gpus_per_node=gpus, grace=300))
        assert "requeue" in found
        assert found["open-mode"] == "append"
        assert found["signal"] == "B:USR1@300"
        assert "--resume auto)" in script(Submission(gpus_per_node=gpus))


@pytest.mark.parametrize("wishes", [{}, {"gpus_per_node": 2}, {"gpus_per_node": 2, "ranks_per_gpu": 2}])
def test_scripts_are_complete_and_valid_bash(wishes: dict[str, int]) -> None:
    text = script(Submission(arguments=("my job.toml", "--set", "run.output='a b.h5'"), **wishes))
    assert "{{" not in text
    assert text.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=10)


def test_arguments_reach_the_run_unharmed() -> None:
    """Spaces, quotes and dollar signs included."""
    arguments = ("my job.toml", "--set", 'run.output="$HOME/it\'s.h5"')
    text = script(Submission(arguments=arguments, program=("printf", "%s\\n")))
    (line,) = re.findall(r"^command=.*$", text, re.M)
    shown = subprocess.run(
        ["bash", "-c", f'{line}\n"${{command[@]}}"'], capture_output=True, text=True, check=True, timeout=10
    )
    assert shown.stdout.splitlines() == [*arguments, "--resume", "auto"]


@pytest.mark.parametrize(
    ("wishes", "fault"),
    [
        ({"nodes": 0}, r"--nodes 0: give at least 1"),
        ({"ranks_per_node": -1}, r"--ranks-per-node -1"),
        ({"time": "soon"}, r"--time soon: give minutes, H:MM:SS or D-HH:MM:SS"),
        ({"time": "1:75:00"}, r"--time 1:75:00"),
        ({"name": "a b"}, r"--name a b"),
        ({"ranks_per_gpu": 4}, r"^--ranks-per-gpu 4: there is no GPU to share; give --gpus-per-node"),
        ({"options": ("mem=8G",)}, r"begins with a dash"),
    ],
)
def test_wishes_that_cannot_be_met(wishes: dict, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        Submission(**wishes)


def test_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="sbatch is not installed here"):
        submit("#!/bin/bash\n")


def test_refusal_of_slurm_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpux' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InputError, match="^SLURM refuses the job: invalid partition specified: gpux$"):
        submit("#!/bin/bash\n")


def test_mistakes_in_the_run_are_found_before_the_queue() -> None:
    with pytest.raises(InputError, match="duratoin"):
        hpcpinn("submit", "--set", "run.duratoin=5", "--dry-run")
