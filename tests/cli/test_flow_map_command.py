"""``hpcpinn flow-map`` as a person types it, and the line that sends them there."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcpinn.cli.main import application
from hpcpinn.errors import InputError
from hpcpinn.io.flow_map_file import read_flow_map
from hpcpinn.networks.perceptron import make_perceptron
from hpcpinn.physics.constants import PRESETS
from hpcpinn.physics.pumped_binding import reaction_constants
from hpcpinn.systems.cell.build.reaction import flow_map_task
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.flow_map import train_flow_map
from hpcpinn.timestepping.flow_map_error import errors, random_states
from hpcpinn.timestepping.flow_map_store import SHIPPED, load_flow_map, shipped_flow_map, training_command
from hpcpinn.training.flow_map import N_INPUTS, N_OUTPUTS, FlowMap, FlowMapRange, ReactionState, box_around
from hpcpinn.training.flow_map_training import FlowMapTraining, rounds
from tests.cli import forked

OTHER = PRESETS["physical-N"].replace(pmca_K=0.1, k_plus=30.0)


def flow_map(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forked.command(["flow-map", *arguments], cwd, {"COLUMNS": "80"}, limit=240.0)


def random_network(training, k, box, watch, budget):
    """Stands for a training that leads nowhere: the real one is tested where it lives."""
    network = make_perceptron((N_INPUTS, *training.hidden, N_OUTPUTS), training.seed, last_scale=1.0)
    made = FlowMap(network, k, box)
    watch(made, 1e-6)
    return made


def test_the_refusal_names_the_command_and_its_map_is_taken(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"pmca_K \(0\.06 in the map, 0\.1 in the run\)") as refusal:
        shipped_flow_map(OTHER)
    typed = re.search(r"`hpcpinn (.*?)`", str(refusal.value))
    assert typed is not None and "--set split.flow_map=flow_map.h5" in str(refusal.value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FlowMapTraining, "train", random_network)
    done = CliRunner().invoke(application(), [*typed[1].split(), "--steps", "2", "--hidden", "2", "--states", "5"])
    assert done.exception is None and "5-2-4, 24 parameters" in done.stdout
    made = load_flow_map("flow_map.h5", OTHER)
    assert made.constants == reaction_constants(OTHER)
    record = read_flow_map("flow_map.h5")
    assert record.training["accepted_steps"] == 1 and record.training["steps"] == "(1, 1)"
    assert record.error["calcium"][2] > 1e-3
    assert "hpcpinn: warning: flow_map.h5: off by" in done.stderr and "above 0.001" in done.stderr


def test_the_shipped_map_on_fresh_states():
    shipped = shipped_flow_map(PRESETS["physical-N"])
    measured = errors(shipped.flow, random_states(shipped, 20, seed=77), shipped.constants)
    assert np.median(measured["calcium"]) < 1e-4 and measured["calcium"].max() < 1e-3
    assert np.median(measured["pumped"]) < 1e-4 and measured["pumped"].max() < 1e-3


def test_errors_are_those_of_the_flow():
    """A flow that does nothing is off by all that happened."""
    shipped = shipped_flow_map(PRESETS["physical-N"])
    k, states = shipped.constants, random_states(shipped, 5, seed=3)
    measured = errors(lambda d, h, ratio: d, states, k)
    ends = k.c_rest + states.end[:, 0]
    np.testing.assert_allclose(measured["calcium"], np.abs(states.c - ends) / ends)
    # All pumped out, none back in: then what has crossed is what has moved.
    out = states.end[:, 2] == np.abs(states.end[:, 1] - (states.c - k.c_rest - (states.b - k.b_rest)))
    np.testing.assert_allclose(measured["pumped"][out], 1.0)


def test_show_prints_one_json_object(tmp_path):
    done = flow_map("show", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["constants"]["pmca_K"] == 0.06 and figures["box"]["step"] == [1e-5, 2e-2]
    assert figures["parameters"] == sum(
        a * b + b for a, b in zip(figures["layers"][:-1], figures["layers"][1:], strict=True)
    )
    assert figures["error"]["calcium"][2] < 1e-3 and figures["training"]["seconds"] > 0
    assert figures["shipped"] and figures["file"] == str(SHIPPED)


def test_what_cannot_be_trained_is_one_line(tmp_path):
    training = FlowMapTraining(steps=(1,))
    for change, message in (
        ("physics.preset='seed'", "physics.preset: 'seed' is dimensionless"),
        ("physics.constants.k_plus=0", "physics.constants.k_plus: 0 means that nothing binds"),
    ):
        with pytest.raises(InputError, match=message):
            flow_map_task(load_config(None, [change]))
    (tmp_path / "cell.h5").write_text("mine")
    with pytest.raises(InputError, match="is no hpcpinn flow map"):
        train_flow_map(flow_map_task(load_config()), tmp_path / "cell.h5", training)
    assert (tmp_path / "cell.h5").read_text() == "mine"
    done = flow_map("train", "--hidden", "20x20", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert "--hidden 20x20: not widths of layers" in done.stderr


def test_the_command_has_every_digit_and_nothing_else():
    assert training_command(OTHER.replace(D_c=1.0)) == (
        "hpcpinn flow-map train --set physics.constants.k_plus=30.0 --set physics.constants.pmca_K=0.1 "
        "--output flow_map.h5"
    )
    assert "c_rest=0.1234567890123" in training_command(OTHER.replace(c_rest=0.1234567890123))


def test_rest_lies_in_the_box_of_other_constants():
    for rest in (1e-3, 0.05, 0.2):
        k = reaction_constants(OTHER.replace(c_rest=rest))
        box = box_around(k, FlowMapRange())
        assert box.contains(ReactionState(rest, k.b_rest), 1e-3, 2.0, k)
    assert box_around(reaction_constants(OTHER), FlowMapRange()) == FlowMapRange()


def test_rounds_add_up():
    assert rounds(1000) == FlowMapTraining.steps
    assert rounds(2) == (1, 1) and sum(rounds(17)) == 17
