"""Ctrl-C in the middle of a command."""

import os
import time

import pytest

from hpcpinn.__main__ import _command
from hpcpinn.cli import jobs
from hpcpinn.cli.run import telling_how_to_go_on
from hpcpinn.errors import InterruptedRunError
from hpcpinn.io.checkpoint import checkpoint_path
from hpcpinn.parallel.abort import Outcome, attempt


def test_it_is_said(monkeypatch):
    """typer alone returns 130 without a word."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "describe", stop)
    assert attempt(lambda: _command(["jobs"])) == Outcome(130, "interrupted")


@pytest.mark.parametrize(("age", "error"), [(0.0, InterruptedRunError), (60.0, KeyboardInterrupt)])
def test_a_run_that_has_saved_a_checkpoint_says_how_it_goes_on(tmp_path, age, error):
    def interrupted():
        with telling_how_to_go_on(tmp_path / "run.h5"):
            saved = checkpoint_path(tmp_path / "run.h5")
            saved.touch()
            os.utime(saved, (time.time() - age,) * 2)  # an old one is an earlier run's
            raise KeyboardInterrupt

    with pytest.raises(error) as caught:
        interrupted()
    if error is InterruptedRunError:
        assert str(caught.value) == "interrupted; go on with the same command and --resume"
        assert caught.value.exit_code == 130
