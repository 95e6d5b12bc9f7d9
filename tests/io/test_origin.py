"""By which commit a file is made: asked without a trace in the checkout."""

import os
import subprocess
from pathlib import Path

from hpcpinn.io.datasets import git_revision


def _git(folder: Path, *words: str) -> str:
    named = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run([*named, *words], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_asked_for_without_a_trace(tmp_path):
    """On a full disk, or where a quota is used up, git would leave the lock of its index behind."""
    assert git_revision(tmp_path) == ""
    _git(tmp_path, "init", "-q")
    assert git_revision(tmp_path) == ""
    file, index = tmp_path / "cell.swc", tmp_path / ".git" / "index"
    file.write_text("1")
    _git(tmp_path, "add", "cell.swc")
    _git(tmp_path, "commit", "-q", "-m", "a cell")
    (tmp_path / "run.h5").touch()
    os.utime(file, (1, 1))  # git looks into it again, and would note that in its index
    before = index.stat()
    assert git_revision(tmp_path) == _git(tmp_path, "rev-parse", "HEAD")
    assert (index.stat().st_mtime_ns, index.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    file.write_text("22")
    assert git_revision(tmp_path) == _git(tmp_path, "rev-parse", "HEAD") + "+"
