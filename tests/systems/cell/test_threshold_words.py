"""What a search for the threshold says, and where it ends, without a search."""

import shlex
from pathlib import Path

import pytest

from hpcpinn.config.jobs import bundled_job
from hpcpinn.errors import InputError, InputWarning
from hpcpinn.systems.cell import threshold
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.build.threshold import highest_for, trial_of
from hpcpinn.systems.cell.config.reading import gives, load_config
from hpcpinn.systems.cell.run import threshold_arguments
from hpcpinn.systems.cell.threshold import Search, find_threshold

TYPED = Search(is_typed=True)
"""As the command line asks."""


@pytest.mark.parametrize(("settings", "highest"), [([], 1000.0), (["field.magnitude=2000"], 4000.0)])
def test_the_search_goes_beyond_the_field_of_the_job(settings, highest):
    assert highest_for(load_config(bundled_job("rtms_10hz"), settings)) == highest


def test_whether_a_job_gives_a_key():
    magnitude = ("field", "magnitude")
    assert gives(bundled_job("rtms_10hz"), [], magnitude)
    assert not gives(None, [], magnitude)
    assert gives(None, ["field.magnitude=7"], magnitude)


def test_the_command_that_a_run_proposes_can_be_pasted():
    settings = ["field.direction=[1, 0, 0]", "run.duration=20", "field.magnitude=700", "channels.axon='squid'"]
    words = threshold_arguments(Path("my job.toml"), "a cell.swc", "nm", settings, 700.0)
    assert shlex.split(words) == [
        "my job.toml", "--morphology", "a cell.swc", "--set", "field.direction=[1, 0, 0]", "--set",
        "channels.axon='squid'", "--set", 'morphology.units="nm"', "--up-to", "2800",
    ]  # fmt: skip
    assert threshold_arguments(None, None, None, ["field.magnitude=20"], 20.0) == "default"
    assert threshold_arguments(Path("rtms_10hz"), None, None, [], 2000.0) == "rtms_10hz"
    assert threshold_arguments(Path("cell.swc"), None, None, [], None) == "default --morphology cell.swc"


def test_a_clamp_where_the_spike_is_looked_for_is_named_before_anything_is_tried(monkeypatch):
    """The clamp of tms_pulse fires the soma by itself."""
    clamp = "clamp=[{site='soma', start=3.0, duration=1.0, current=3.0}]"
    config = load_config(None, ["morphology.file='builtin:ball_and_stick'", "field.magnitude=1", clamp])
    cable = load_cable(config.morphology)
    monkeypatch.setattr(threshold.Trial, "spike", lambda *_: threshold.Spike(2.0))
    with (
        pytest.warns(InputWarning, match=r"number 1, site: acts at soma .* --set 'clamp=\[\]'"),
        pytest.raises(InputError, match=r"soma fires without any field; leave the clamps out with --set 'clamp=\[\]'"),
    ):
        find_threshold(trial_of(config, cable, TYPED), TYPED)
