"""scripts/torture.py, for so long."""

import subprocess
import sys

from tests.mpi.runner import REPOSITORY


def all_end_as_they_must(rows: list[str], seconds: float) -> None:
    """Fails where a row of the table has a case that did not, or none."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "torture.py"), *rows, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    table = done.stdout.splitlines()
    assert [row.split()[0] for row in table] == rows
    assert all(" 0 of 0 " not in row for row in table)
