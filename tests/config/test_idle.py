"""Whatever is given and does nothing, or less than it says, is said with its place."""

import warnings

import pytest

from hpcpinn.errors import CutShortWarning, warn
from hpcpinn.systems.jobs import load_order

CLAMP = "clamp=[{{site='soma', start=0, duration={}, current=1}}]"
SYNAPSE = "synapse=[{{site='soma', start={}, {}}}]"
CASES = [
    ([SYNAPSE.format(1, "flux=0")], "[[synapse]] number 1, flux: 0 µM·µm/s, so the release does nothing"),
    (["clamp=[{site='soma', start=0, duration=1, current=0}]"], "[[clamp]] number 1, current: 0 nA, so it injects"),
    (["flux=[{site='soma', value=0}]"], "[[flux]] number 1, value: 0 µM·µm/s, so it does nothing"),
    (["run.duration=5", CLAMP.format(20)], "[[clamp]] number 1, duration: 20 ms go on after the end of the run"),
    (["run.duration=5", SYNAPSE.format(1, "duration=6")], "[[synapse]] number 1, duration: 6 ms go on after the end"),
    (
        ["run.duration=50", SYNAPSE.format(5, "count=10, interval=20")],
        "[[synapse]] number 1, count: 7 of 10 releases do not begin before the end of the run",
    ),
    (["cable.R_i=150"], "cable.R_i: does nothing where no field and no clamp drives the voltage"),
    (["field.magnitude=1500"], "field.magnitude: 1500 V/m, and stimulators reach some 400 in cortex"),
    (
        ["field.magnitude=100", "cable.temperature=37"],
        "cable.temperature: 37 °C, where the squid's rates are 29 times those of its 6.3 °C, and it makes no action",
    ),
    (["channels.soma=code"], "channels.soma: does nothing where no field and no clamp drives the voltage"),
    (["split.tolerance=1e-3"], "split.tolerance: does nothing in 'coupled' windows"),
    (["window.kind=split", "window.tolerance=1e-3"], "window.tolerance: does nothing in 'split' windows"),
    (["window.kind=split", "network.features=20"], "network.features: does nothing in 'split' windows"),
    (["window.kind=split", "schwarz.order=additive"], "schwarz.order: does nothing in 'split' windows"),
    (["window.kind=split", "split.coupled_for=2"], "split.coupled_for: does nothing but in 'mixed' windows"),
    (["window.kind=split", "split.tolerance=1e-3"], "split.tolerance: is for 'adaptive' windows"),
    (["window.kind=split", "run.checkpoint_every=5"], "run.checkpoint_every: does nothing in long runs"),
    (["training.steps=100"], "training.steps: is not for training.trainer = 'least-squares'"),
    (["training={trainer='lbfgs', learning_rate=0.1}"], "training.learning_rate: is not for training.trainer"),
    (["physics.constants.j_release=2000"], "physics.constants.j_release: does nothing: nothing is released"),
    (
        ["physics.constants.release_patch=2", SYNAPSE.format(1, "patch=3")],
        "physics.constants.release_patch: does nothing: every synapse has its own",
    ),
    (["run.duration=10", "run.output_interval=3"], "run.output_interval: run.output_interval = 3 ms does not divide"),
    (["run.duration=2.5"], "the last frame is at 2 ms, and what comes after is in no frame"),
    (
        ["run.duration=1", CLAMP.format(1), "cable.sample=0.03"],
        "cable.sample: 0.03 ms do not divide the run (run.duration = 1 ms); 0.030303 are taken",
    ),
    ([CLAMP.format(1), "cable.pulse_step=0.02"], "cable.pulse_step: 0.02 ms, but no step is longer than cable.step"),
    (
        ["window.kind=split", "field.magnitude=1", "field.direction=[1,0,0]", "population.directions=[[0,1,0]]"],
        "field.direction: is no member's",
    ),
    (
        ["window.kind=split", "population.cells=['builtin:y_branch']", "morphology.file=builtin:y_branch"],
        "morphology.file: is no member; the cells are population.cells",
    ),
    (["field.magnitude=1", "field.tissue=[1]"], "field.tissue: does nothing: it is for a .msh file"),
    (["field.file=e.nii", "field.name=J"], "field.name: does nothing: it is for a .msh file"),
    (["field.magnitude=1", "placement.azimuth=30"], "placement.azimuth: does nothing: this field is known along"),
    (["field.file=e.csv", "field.outside=nearest"], "field.outside: does nothing: this field is known along"),
    (["domain.kind=square", "training.steps=100"], "training.steps: is not for training.trainer"),
    (["domain.kind=square", "run.duration=1.2"], "the last frame is at 1 ms"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::hpcpinn.errors.InputWarning")
@pytest.mark.parametrize(("settings", "said"), CASES, ids=[said for _, said in CASES])
def test_what_does_nothing_is_said(settings, said):
    order = load_order(None, settings)
    config, origin = order.described, order.origin
    lines = [line for line in origin.warnings(config) if said in line]
    assert len(lines) == 1 and len(origin.warnings(config)) == 1
    assert lines[0].startswith("--set ")


@pytest.mark.parametrize(("where", "count"), [("job", 2), ("flag", 0)])
def test_who_cuts_a_job_short_on_the_command_line_knows_it(tmp_path, where, count):
    """The release of the job at 5 ms, and its pulses beyond the end (which only the workflow counts)."""
    text = "[[synapse]]\nsite = 'soma'\nstart = 5.0\n[run]\nduration = 20.0\n"
    job = tmp_path / "job.toml"
    job.write_text(text.replace("20.0", "2.0") if where == "job" else text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        origin = load_order(job, ["run.duration=2"] if where == "flag" else []).origin
        with origin.naming_places():
            warn("1 of 3 pulses begin before the end", ("stimulation", "pulses"), CutShortWarning)
    assert len(caught) == count
    if count:
        assert "5 ms is not before the end of the run (run.duration = 2 ms)" in str(caught[0].message)


@pytest.mark.parametrize(
    "settings",
    [
        ["run.duration=0.6"],  # defaults are shortened to fit, and nobody gave them
        ["window.kind=split", "run.duration=1"],
        ["run.duration=0.7", "run.output_interval=0.1"],
        ["flux=[{site='soma', value=1.0}]", "run.duration=10"],
        ["window.kind=split", "split.diffusion=networks", "network.features=20"],
        ["window.kind=mixed", "window.tolerance=1e-2", "split.coupled_for=2", "schwarz.order=additive"],
        ["training={trainer='adam', steps=10, learning_rate=0.1, alpha=0.4}"],
        ["window.kind=split", "split.windows=adaptive", "split.tolerance=1e-3"],
        [SYNAPSE.format(1, "patch=3"), "physics.constants.j_release=2000"],
    ],
)
def test_what_does_something_is_not(settings):
    order = load_order(None, settings)
    config, origin = order.described, order.origin
    assert origin.warnings(config) == []
