"""Text for sbatch and bash arrives as it was meant, or is refused."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpcpinn.errors import InputError
from hpcpinn.terminal.sbatch import Option, check_times, for_task, seconds_of, tasks_of
from hpcpinn.terminal.submit import Submission, check_array, script
from tests.cli.in_process import hpcpinn

LETTERS = st.characters(exclude_categories=("Cc", "Cs"))
WORDS = st.lists(st.text(LETTERS, max_size=12) | st.text("'\"\\$`%a {}!#~*;&|<>()-=", max_size=8), max_size=4)


def given_to_run(submission: Submission, **environment: str) -> list[str]:
    """The arguments that the program of a script gets from bash."""
    (line,) = re.findall(r"^command=.*$", script(submission, Path("/scratch")), re.M)
    shown = subprocess.run(
        ["bash"],
        input=f'{line}\nprintf "%s\\0" "${{command[@]:1}}"',
        env={"LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=10,
    )
    return shown.stdout.split("\0")[:-1]


@settings(max_examples=40, deadline=None)
@given(WORDS)
@example(["$HOME", "it's", '"', "\\", "a b", "{{name}}", "!!", "-n", "%a", "", "µ → 🧠"])
def test_every_argument_arrives_as_it_was_meant(words):
    submission = Submission(tuple(words), program=("run",))
    assert given_to_run(submission, SLURM_ARRAY_TASK_ID="7") == [*words, "--resume", "auto"]


@settings(max_examples=40, deadline=None)
@given(WORDS, st.integers(0, 4_000_000))
@example(["run_%a.h5", "100%%", "%%a", "'%a'$x", "%a%a"], 3)
def test_a_task_gets_its_number_and_nothing_else_changes(words, task):
    submission = Submission(tuple(words), program=("100%a", "run"), options=("--array=0-9",))
    expected = ["run", *(for_task(word, task) for word in words), "--resume", "auto"]
    assert given_to_run(submission, SLURM_ARRAY_TASK_ID=str(task)) == expected


def test_the_placeholder_is_slurms():
    assert for_task("run_%a.h5", 12) == "run_12.h5"
    assert for_task("100%% of %a, %j", 1) == "100% of 1, %j"
    assert for_task("%%a", 1) == "%a"


@pytest.mark.parametrize(
    ("typed", "directive"),
    [
        ("--mem=8G", "#SBATCH --mem=8G"),
        ("--mem 8G", "#SBATCH --mem=8G"),
        ("-p gpu,cpu", "#SBATCH -p gpu,cpu"),
        ("-pgpu", "#SBATCH -p gpu"),
        ("--exclusive", "#SBATCH --exclusive"),
        ("--gres=gpu:a100:2", "#SBATCH --gres=gpu:a100:2"),
        ("--comment=two words", '#SBATCH --comment="two words"'),
        ('--comment=say "x" \\ # y', '#SBATCH --comment="say \\"x\\" \\\\ # y"'),
        ("--comment=it's", '#SBATCH --comment="it\'s"'),
        ("--array=0-15%4", "#SBATCH --array=0-15%4"),
    ],
)
def test_options_are_quoted_as_sbatch_reads_them(typed, directive):
    assert Option.read(typed).directive == directive


@pytest.mark.parametrize("typed", ["--", "-", "mem=8G", "--=3", "-- mem", "", "--mem=8G\ntouch x", "--comment=a\tb"])
def test_what_is_no_option_is_refused(typed):
    with pytest.raises(InputError, match="--sbatch"):
        Submission(options=(typed,))


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("1", 60), ("90", 5400), ("1:30", 90), ("2:00:00", 7200), ("1-12", 129600), ("1-12:30", 131400),
        ("2-00:00:05", 172805), ("0", 0), ("soon", None), ("1:75:00", None), ("١", None), ("-5", None),
        ("9" * 30, None),
    ],
)  # fmt: skip
def test_limits_are_slurms(time, seconds):
    assert seconds_of(time) == seconds


@pytest.mark.parametrize(
    ("time", "grace", "fault"),
    [
        ("1", 120, r"^--grace 120: is not shorter than --time 1 \(60 s\)"),
        ("10", 600, r"^--grace 600: is not shorter than --time 10 \(600 s\)"),
        ("3", 121, r"^--grace 121: leaves 59 s of --time 3 \(180 s\).*at least 60 s$"),
        ("0", 120, "^--time 0: give more than nothing"),
        ("400-0", 120, "^--time 400-0: .*at most a year"),
        ("60", -5, "^--grace -5: give 1 to 65535 seconds$"),
        ("60", 0, "^--grace 0: give 1 to 65535 seconds$"),
        ("2-0", 65536, "^--grace 65536: give 1 to 65535"),
    ],
)
def test_times_that_do_not_go_together(time, grace, fault):
    with pytest.raises(InputError, match=fault):
        check_times(time, grace)


def test_a_minute_of_work_is_enough():
    check_times("3", 120)
    check_times("1:01", 1)


@pytest.mark.parametrize(
    ("array", "tasks"),
    [("0-3", [0, 1, 2, 3]), ("1,5,7-11:2", [1, 5, 7, 9, 11]), ("4", [4]), ("0-2%1", [0, 1, 2]), ("2,2", [2])],
)
def test_tasks_of_an_array(array, tasks):
    assert tasks_of(array) == tasks


@pytest.mark.parametrize("array", ["", "a", "3-1", "1,,2", "1-4%0", "1-4%", "-1", "1-4:0", "0-3; x"])
def test_no_tasks_of_an_array(array):
    with pytest.raises(InputError, match="--sbatch --array="):
        Submission(options=(f"--array={array}",))


@pytest.mark.parametrize("folder", ["/a/100% x", "/a/b\\c", "/a\nb"])
def test_folders_that_slurm_takes_for_something_else(folder):
    with pytest.raises(InputError, match="the working folder"):
        script(Submission(), Path(folder))


def test_folders_are_quoted():
    assert '#SBATCH --chdir="/my dir/it\'s \\"µ\\""\n' in script(Submission(), Path('/my dir/it\'s "µ"'))


@pytest.mark.parametrize(
    ("wishes", "fault"),
    [
        ({"nodes": 99999999999999999999}, "--nodes 99999999999999999999: give at most 65535"),
        ({"gpus_per_node": 1000, "ranks_per_gpu": 1000}, "--ranks-per-gpu 1000: give fewer ranks on a node"),
        ({"name": "x" * 101}, "--name x+: give up to 100 letters"),
        ({"name": "a\nb"}, "--name"),
        ({"arguments": ("--set", "run.output='a\nb'")}, "a control character"),
        ({"options": ("--time=4",)}, "--sbatch --time: use --time"),
        ({"options": ("-N 4",)}, "--sbatch -N: use --nodes"),
        ({"options": ("--signal=USR2",)}, "--sbatch --signal: use --grace"),
        ({"options": ("--chdir=/x",)}, "--sbatch --chdir: call hpcpinn submit in the folder"),
    ],
)
def test_numbers_and_names_beyond_slurm(wishes, fault):
    with pytest.raises(InputError, match=fault):
        Submission(**wishes)


@pytest.mark.parametrize("flag", ["--partition", "--account"])
@pytest.mark.parametrize("value", ["a b", "x\ntouch y", "q'x", "\x1b[1m"])
def test_names_of_slurm_have_no_blanks(flag, value):
    with pytest.raises(InputError, match=flag):
        hpcpinn("submit", flag, value, "--dry-run")


def test_tasks_that_write_one_result_are_told_how_not_to():
    outputs = [Path("results/run.h5")] * 2
    with pytest.raises(InputError, match=r"every task would write results/run\.h5; put %a, .*'results/run_%a\.h5'$"):
        check_array(outputs, "0-9")
    check_array([Path("results/run.h5"), Path("b.h5")], "0-1")
    check_array(outputs[:1], "4")


def test_an_array_as_it_is_typed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for task in (3, 4):
        (tmp_path / f"job{task}.toml").write_text("[run]\nduration = 2\n")
    hpcpinn("submit", "job%a.toml", "--sbatch=--array=3-4", "--output", "r/run_%a.h5", "--dry-run")
    text = capsys.readouterr().out
    assert "#SBATCH --output=hpcpinn-%A_%a.log\n" in text
    assert """ job"${SLURM_ARRAY_TASK_ID}".toml --set 'run.output="r/run_'"${SLURM_ARRAY_TASK_ID}"'.h5"' """ in text
    with pytest.raises(InputError, match="job5.toml: no such job"):
        hpcpinn("submit", "job%a.toml", "--sbatch=--array=3-5", "--output", "r/run_%a.h5", "--dry-run")
    with pytest.raises(InputError, match=r"every task would write.*--output 'run_%a\.h5'$"):
        hpcpinn("submit", "--sbatch=--array=3-5", "--set", "run.output='run_$SLURM_ARRAY_TASK_ID.h5'", "--dry-run")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"SLURM_JOB_ID": "40"}, "40"),
        ({"SLURM_JOB_ID": "40", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "9"}, "40_9"),
        ({"SLURM_JOB_ID": "41", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "0"}, "40_0"),
    ],
)
def test_only_the_task_whose_time_is_up_goes_back_to_the_queue(environment, named, tmp_path):
    stopped = signalled(tmp_path, "trap 'exit 138' USR1", **environment)
    assert stopped.code == 138 and stopped.asked == f"requeue {named}\n"


@pytest.mark.parametrize(
    ("end", "code", "asked"),
    [
        ("trap 'exit 0' USR1", 0, ""),  # it came to its end
        ("trap 'exit 1' USR1", 1, ""),  # it would fail again
        ("trap '' USR1", 0, "requeue 40\n"),  # it does not listen: most of the grace is waited for
    ],
)
def test_what_the_ranks_make_of_the_signal(end, code, asked, tmp_path):
    stopped = signalled(tmp_path, end, SLURM_JOB_ID="40")
    assert (stopped.code, stopped.asked) == (code, asked)


def test_a_job_that_is_cancelled_lets_its_ranks_end(tmp_path):
    stopped = signalled(tmp_path, "trap 'exit 138' USR1", signal.SIGTERM, SLURM_JOB_ID="40")
    assert (stopped.code, stopped.asked) == (138, "")


class Stopped(NamedTuple):
    """How a batch script ended: its code, and what it asked of scontrol."""

    code: int
    asked: str


def signalled(folder: Path, ranks: str, number: int = signal.SIGUSR1, **environment: str) -> Stopped:
    """A batch script that gets a signal, with ranks that wait until scontrol is called, or for what `ranks` says."""
    for program, text in {
        "srun": f'[ "$1" = --mpi=list ] && exit; {ranks}; echo > started; while [ ! -e asked ]; do sleep 0.05; done',
        "scontrol": 'echo "$@" > asked',
    }.items():
        (folder / program).write_text(f"#!/bin/bash\n{text}\n")
        (folder / program).chmod(0o755)
    (folder / "job.sh").write_text(script(Submission(options=("--array=0-9",), grace=2), folder))
    process = subprocess.Popen(
        ["bash", "job.sh"],
        cwd=folder,
        env={"PATH": f"{folder}:{links(folder)}"} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 20.0
        while not (folder / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=20)
    finally:
        process.kill()
    asked = folder / "asked"
    return Stopped(process.returncode, asked.read_text() if asked.exists() else "")


def links(folder: Path) -> Path:
    """The few programs that a script needs, without an mpirun that it would prefer."""
    place = folder / "bin"
    place.mkdir()
    for program in ("bash", "grep", "sleep"):
        found = shutil.which(program)
        assert found is not None
        (place / program).symlink_to(found)
    return place


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "r_%a.h5"], "--output r_%a.h5: %a is the number of a task of a job array, and this is none; add"),
        (["--output", "r_%A.h5", "--sbatch=--array=0-3"], "--output r_%A.h5: %A is filled in names of logs alone; in"),
        (["--set", "run.seed=%a"], "--set run.seed=%a: %a is the number of a task"),
        (["--partition", ""], "--partition '': the name is empty (a variable that is not set?)"),
        (["--account", ""], "--account '': the name is empty (a variable that is not set?)"),
    ],
)
def test_what_a_shell_or_slurm_left_unfilled_is_refused(words, said):
    with pytest.raises(InputError) as caught:
        hpcpinn("submit", *words, "--dry-run")
    assert str(caught.value).startswith(said)
