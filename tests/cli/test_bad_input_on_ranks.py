"""Bad input under mpirun: one line, the right exit code, every rank gone."""

import pytest

from tests.mpi import runner

SECONDS_TO_END = 30.0
"""Far above what it takes; a hang exceeds it."""


def longer(*values):
    """Refused in the same way as those before."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["run", "--set", "run.durtion=5"], 2, "run.durtion: unknown key; did you mean 'duration'?"),
        (["run", "--morphology", "none.swc"], 2, "none.swc"),
        (["run", "--set", "run.transport=serial"], 2, "serial"),
        longer(["run", "--set", 'synapse.0.site="dend[999]"'], 2, "[[synapse]] number 1, site: site 'dend[999]'"),
        longer(["run", "--set", "run.duration=500"], 2, "covers times 0 to 100"),
        longer(["run", "--output", "/proc/none/run.h5"], 2, "/proc/none/run.h5"),
        longer(["run", "--output", "train.h5", "--set", "voltage.file=train.h5"], 2, "train.h5 is the voltage file"),
    ],
)
def test_one_line_and_the_exit_code(arguments, code, expected, tmp_path):
    (tmp_path / "train.h5").write_text("of hours of work")
    finished = runner.mpirun(["-m", "hpcpinn", *arguments], 2, limit=SECONDS_TO_END, directory=tmp_path)
    lines = [line for line in finished.stderr.splitlines() if line.startswith("hpcpinn: ")]
    assert finished.code == code, finished.output
    assert len(lines) == 1
    assert expected in lines[0]
    assert "Traceback" not in finished.output
    assert (tmp_path / "train.h5").read_text() == "of hours of work"
