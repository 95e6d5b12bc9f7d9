"""Some of what scripts/torture.py does to results, as much as there is time for."""

import subprocess
import sys
from pathlib import Path

SECONDS = 20


def test_nothing_is_lost_and_nothing_unnoticed() -> None:
    script = Path(__file__).resolve().parent.parent / "scripts" / "torture.py"
    command = [sys.executable, str(script), "--seconds", str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    rows = done.stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["kills", "flips", "files", "full", "gone"]
    assert all(" 0 of 0 " not in row for row in rows)
