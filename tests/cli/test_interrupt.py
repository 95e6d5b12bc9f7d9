"""Ctrl-C in the middle of a command, before anything listens."""

import pytest

from hpcpinn.__main__ import _command
from hpcpinn.cli import jobs
from hpcpinn.parallel.abort import Outcome, outcome_of


def test_it_is_said(monkeypatch):
    """typer alone returns 130 without a word."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "describe", stop)
    with pytest.raises(KeyboardInterrupt) as caught:
        _command(["jobs"])
    assert outcome_of(caught.value) == Outcome(130, "interrupted")
