"""From which checkpoint a run goes on, whatever is left of it."""

import shutil
import warnings

import pytest

from hpcpinn.core.order import Resumption
from hpcpinn.errors import InputError, InputWarning
from hpcpinn.io import checkpoint
from hpcpinn.systems.common.resumption import checkpoint_for
from tests.io.test_checkpoint import save


@pytest.fixture
def output(communicator, tmp_path):
    """A result, its checkpoint and the one before it."""
    path = tmp_path / "run.h5"
    path.touch()
    for _ in range(2):
        save(checkpoint.checkpoint_path(path), communicator)
    return path


def wishes(output):
    last = checkpoint.checkpoint_path(output)
    return Resumption(last), Resumption(last, or_begins=True)


def spoil(path):
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(data)


def test_from_the_last_one_where_that_is_whole(output):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wish in wishes(output):
            assert checkpoint_for(wish, output) == wish.checkpoint


@pytest.mark.parametrize("what", ["damaged", "gone"])
def test_from_the_one_before_it_where_the_last_cannot_be_used(output, what):
    last, previous = checkpoint.paths_of(output)
    spoil(last) if what == "damaged" else last.unlink()
    for wish in wishes(output):
        with pytest.warns(InputWarning, match=f"run.checkpoint.h5 is {what}: goes on from the one before it"):
            assert checkpoint_for(wish, output) == previous


def test_damage_that_nothing_is_left_behind_is_named_and_nothing_is_begun(output):
    for path in checkpoint.paths_of(output):
        spoil(path)
    for wish in wishes(output):
        with pytest.raises(InputError, match=r"run.checkpoint.h5: cannot be read, it is truncated or damaged; restore"):
            checkpoint_for(wish, output)


def test_which_of_the_two_is_gone_is_said(output):
    strict, lenient = wishes(output)
    output.unlink()
    with pytest.raises(InputError, match=r"run.checkpoint.h5 is there, but the result \S+run.h5 is gone; restore it"):
        checkpoint_for(strict, output)
    with pytest.warns(InputWarning, match="is gone: the run begins anew"):
        assert checkpoint_for(lenient, output) is None
    for path in checkpoint.paths_of(output):
        path.unlink()
    assert checkpoint_for(lenient, output) is None
    with pytest.raises(InputError, match=r"--resume: no checkpoint \S+run.checkpoint.h5; use --resume auto"):
        checkpoint_for(strict, output)


def test_a_copy_elsewhere_is_gone_on_from(output, tmp_path):
    (tmp_path / "safe").mkdir()
    copy = shutil.copy(checkpoint.checkpoint_path(output), tmp_path / "safe" / "c.h5")
    assert checkpoint_for(Resumption(copy), output) == copy
