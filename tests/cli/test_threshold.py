"""``hpcpinn threshold`` as a person types it."""

import json
import subprocess
from pathlib import Path

from tests.cli import forked

CELL = ("--morphology", "builtin:ball_and_stick", "--set", "field.direction=[1,0,0]")


def hpcpinn(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.command(["threshold", *CELL, *arguments], cwd, {"COLUMNS": "80"})


def test_the_bracket_holds_the_threshold(tmp_path):
    done = hpcpinn("--json", "--up-to", "4000", "--tolerance", "0.05", "--wait", "8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["silent"] < found["threshold"] < found["firing"] <= 1.06 * found["silent"]
    assert found["unit"] == "V/m" and 0.0 < found["spike_time_ms"] < 8.0
    for trial in found["tried"]:
        assert trial["spike"] == (trial["strength"] >= found["firing"])
    first, *trials = done.stderr.splitlines()
    assert "has no axon" in first and len(trials) == len(found["tried"])


def test_what_cannot_be_used_is_one_line(tmp_path):
    for arguments, message in (
        (("--site", "apic[3]"), "--site: site 'apic[3]'"),
        (("--tolerance", "0"), "threshold: tolerance = 0.0; give a positive number"),
        (("--set", "channels.soma='squit'"), "channels.soma: channels 'squit'"),
    ):
        done = hpcpinn(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert message in line
