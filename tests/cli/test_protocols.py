"""``hpcpinn protocols`` as a person types it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from hpcpinn.physics.stimulation.protocols import PROTOCOLS
from tests.cli import forked


def hpcpinn(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.command(["protocols", *arguments], cwd, {"COLUMNS": "80"})


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2
    assert done.stdout == "" and "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_the_table_has_a_line_for_every_protocol(tmp_path):
    done = hpcpinn(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    cells = {line[0]: [cell.strip() for cell in line[1:] if cell.strip()] for line in lines}
    assert list(cells)[1:] == list(PROTOCOLS)
    assert cells["iTBS600"] == ["600", "192 s", "20 of 2 s, 8 s off", "10 at 5 Hz", "3 at 50 Hz"]
    assert cells["10Hz-dash"] == ["3000", "18.75 min", "75 of 4 s, 11 s off", "40 at 10 Hz", "1"]
    assert cells["QPS50"] == ["1440", "30 min", "continuous", "360 at 0.2 Hz", "4 at 20 Hz"]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_is_one_object(tmp_path):
    done = hpcpinn("--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = {entry["name"]: entry for entry in json.loads(done.stdout)["protocols"]}
    assert list(figures) == list(PROTOCOLS)
    assert figures["iTBS600"] == {
        "name": "iTBS600",
        "pulses": 600,
        "duration_ms": 192_000.0,
        "trains": 20,
        "bursts_per_train": 10,
        "pulses_per_burst": 3,
        "train_on_ms": 2000.0,
        "train_off_ms": 8000.0,
        "burst_interval_ms": 200.0,
        "pulse_interval_ms": 20.0,
        "waveform": "biphasic",
        "gaps": [
            {"after": "pulse", "length_ms": 20.0, "count": 400},
            {"after": "burst", "length_ms": 160.0, "count": 180},
            {"after": "train", "length_ms": 8160.0, "count": 19},
        ],
    }
    assert figures["1Hz"]["pulse_interval_ms"] is None


def test_one_protocol_with_its_pulse_times(tmp_path):
    done = hpcpinn("qps50", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["name"] == "QPS50" and figures["waveform"] == "monophasic"
    assert figures["waveform_breakpoints_ms"] == [0.0, 0.0756, 0.105, 0.15, 0.2, 0.73]
    assert figures["pulse_times_ms"] == PROTOCOLS["QPS50"].pulse_times().tolist()


def test_a_picture_of_a_protocol_with_a_waveform_of_ones_own(tmp_path):
    (tmp_path / "coil.csv").write_text("time_ms,value\n0,0\n0.1,2\n0.2,-1\n0.4,0\n")
    done = hpcpinn("30Hz-TBS", "--waveform", "coil.csv", "--picture", "pictures/tbs.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "waveform: coil.csv, 0.4 ms long" in done.stdout
    assert "33.33 ms to the next pulse, 400 times" in done.stdout
    assert "picture: pictures/tbs.png" in done.stdout
    pixels = imread(tmp_path / "pictures" / "tbs.png")[..., :3]
    assert np.ptp(pixels) > 0.5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["iTBS"], "protocol 'iTBS': no such protocol; did you mean 'iTBS600'?"),
        (["--picture", "a.png"], "--picture a.png: needs the name of a protocol"),
        (["--waveform", "biphasic"], "--waveform biphasic: needs the name of a protocol"),
        (
            ["1Hz", "--waveform", "triphasic"],
            "waveform 'triphasic': no such waveform; did you mean 'biphasic'?",
        ),
        (["1Hz", "--waveform", "none.csv"], "none.csv: no such waveform file"),
        (["1Hz", "--waveform", "broken.csv"], "broken.csv:3: value is nan; every number must be finite"),
        (["QPS5", "--waveform", "slow.csv"], "QPS5: pulses 5 ms apart are closer than the slow.csv waveform"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    (tmp_path / "broken.csv").write_text("time_ms,value\n0,1\n0.1,nan\n")
    (tmp_path / "slow.csv").write_text("time_ms,value\n0,1\n6,-1\n")
    assert message in refused(hpcpinn(*arguments, cwd=tmp_path))
    assert not (tmp_path / "a.png").exists()


def test_a_picture_that_cannot_be_written_is_exit_code_2_as_of_inspect(tmp_path):
    (tmp_path / "taken").write_text("")
    done = hpcpinn("1Hz", "--picture", "taken/pulses.png", cwd=tmp_path)
    assert "taken/pulses.png cannot be written in " in refused(done)
    assert "name another file with --picture" in done.stderr
