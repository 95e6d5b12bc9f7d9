"""`hpcpinn submit` as a person types it."""

import subprocess
from pathlib import Path

import pytest

from tests.cli import forked, in_process


def hpcpinn(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return forked.command(arguments, environment={} if path is None else {"PATH": path}, limit=60.0)


def test_dry_run_prints_the_script_and_submits_nothing(tmp_path: Path) -> None:
    done = hpcpinn(
        *("submit", "--nodes", "4", "--gpus-per-node", "8", "--partition", "gpu", "--sbatch", "--mem=64G"),
        *("--set", "run.duration=20", "--dry-run"),
        path=str(tmp_path),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "#SBATCH --nodes=4\n" in done.stdout
    assert "#SBATCH --ntasks-per-node=8\n" in done.stdout
    assert "#SBATCH --partition=gpu\n" in done.stdout
    assert "#SBATCH --mem=64G\n" in done.stdout
    assert "-m hpcpinn run --set run.duration=20 --resume auto" in done.stdout


def test_submission_hands_the_script_to_sbatch(tmp_path: Path) -> None:
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(f"#!/bin/sh\n/bin/cat > {tmp_path}/received\necho '4711;cluster'\n")
    sbatch.chmod(0o755)
    done = hpcpinn("submit", "--nodes", "2", path=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "submitted job 4711" in done.stdout
    assert "#SBATCH --nodes=2\n" in (tmp_path / "received").read_text()


def test_bad_input_is_one_line_and_code_2(tmp_path: Path) -> None:
    for arguments in (
        ["--nodes", "0"],
        ["--nodes", "many"],
        ["missing.toml"],
        ["--set", "run.duratoin=3"],
        [],
    ):
        done = hpcpinn("submit", *arguments, path=str(tmp_path))
        assert done.returncode == 2, arguments
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("hpcpinn: ")


def test_an_option_of_sbatch_is_told_how_it_reaches_it(tmp_path: Path) -> None:
    for typed in (["--mem", "8G"], ["--mem=8G"]):
        done = hpcpinn("submit", *typed, "--dry-run", path=str(tmp_path))
        assert done.returncode == 2
        assert "(an option of sbatch itself: --sbatch=--mem=8G; `hpcpinn submit --help`" in done.stderr


def test_systems_of_ones_own_go_with_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder = tmp_path / "my systems"
    folder.mkdir()
    (folder / "pair.py").write_text((Path(__file__).parents[1] / "systems" / "pair.py").read_text())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HPCPINN_SYSTEMS", "pair.py:tests.systems.discharge")
    (folder / "pair.toml").write_text('system = "pair"')
    in_process.hpcpinn("submit", "pair.toml", "--dry-run")
    line = f"export HPCPINN_SYSTEMS='{folder}/pair.py:tests.systems.discharge'"
    assert line in capsys.readouterr().out.splitlines()
    monkeypatch.delenv("HPCPINN_SYSTEMS")
    in_process.hpcpinn("submit", "--dry-run")
    assert "HPCPINN_SYSTEMS" not in capsys.readouterr().out
