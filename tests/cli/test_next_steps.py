"""What a person is told to type next, and which help is named after a mistake."""

import shlex

import pytest

from hpcpinn.__main__ import _command
from hpcpinn.errors import InputError
from hpcpinn.systems.cell.commands.inspect import run_arguments


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("uq", "`hpcpinn uq --help` lists what it takes"),
        ("run --nonsense", "`hpcpinn run --help` lists what it takes"),
        ("flow-map train --nonsense", "`hpcpinn flow-map train --help` lists what it takes"),
        ("blah", "`hpcpinn --help` lists commands and options"),
    ],
)
def test_the_help_that_is_named_is_that_of_the_command(typed, message):
    with pytest.raises(InputError) as caught:
        _command(shlex.split(typed))
    assert str(caught.value).endswith(f"({message})")


def test_a_cell_is_run_as_it_was_looked_at():
    assert run_arguments("builtin:pyramidal", "neuron", "auto") == "builtin:pyramidal"
    assert run_arguments("my cell.swc", "arbor", "nm") == "'my cell.swc' --units nm --set morphology.soma=arbor"


def test_inspect_ends_with_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _command(["inspect", "builtin:y_branch"])
    assert capsys.readouterr().out.splitlines()[-1] == "next: hpcpinn run builtin:y_branch"
