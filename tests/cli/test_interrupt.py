"""Ctrl-C in the middle of a command, before anything listens."""

from hpcpinn.__main__ import _command
from hpcpinn.cli import jobs
from hpcpinn.parallel.abort import Outcome, attempt


def test_it_is_said(monkeypatch):
    """typer alone returns 130 without a word."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "describe", stop)
    assert attempt(lambda: _command(["jobs"])) == Outcome(130, "interrupted")
