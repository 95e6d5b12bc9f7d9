"""A description that is made for ``hpcpinn infer``, given to ``hpcpinn run``."""

import pytest

from hpcpinn.errors import InputError, InputWarning
from tests.cli.in_process import hpcpinn


@pytest.mark.parametrize("job", ["dopamine_inverse", "neuron_inverse"])
def test_it_is_solved_forward_but_not_without_a_word(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = f"^{job} describes an inference: `hpcpinn infer {job}` infers its constants; this solves it forward$"
    # It stops at --resume, before anything is solved.
    with pytest.warns(InputWarning, match=words), pytest.raises(InputError, match="--resume"):
        hpcpinn("run", job, "--resume", "no.h5")


def test_a_job_without_constants_to_infer_is_no_inference(tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--resume"):
        hpcpinn("run", "default", "--resume", "no.h5")
    assert not [one for one in recwarn if "inference" in str(one.message)]
