"""The run description of a square: what it says of a mistake, and which commands take it."""

from pathlib import Path

import pytest

from hpcpinn.errors import InputError
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.jobs import load_order
from hpcpinn.systems.square.config import SquareConfig
from hpcpinn.systems.square.config_checks import square_from_json

START = '[domain]\nkind = "square"\n'

MISTAKES = {
    "unknown key": ("[window]\nfrist = 1.0", r"job.toml, line 4: window.frist: unknown key; did you mean 'first'?"),
    "a cell's table": ("[morphology]\nfile = 'x.swc'", r"line 3: morphology: unknown key"),
    "too few points": ("[training]\npoints_space = 6", r"6 points cannot tell network.features_space = 10 features"),
    "window order": ("[window]\nfirst = 30.0", r"window.first = 30 ms is longer than window.longest = 20 ms"),
    "unknown parameter": ("[[parameter]]\nname = 'beta'", r"number 1, name: 'beta' is not one of 'D', 'k'"),
    "fixed and learned": (
        "[physics.constants]\nD = 0.3\n[[parameter]]\nname = 'D'",
        r"line 6: .*'D' is fixed too: physics.constants.D = 0.3; give one of the two",
    ),
    "learned twice": ("[[parameter]]\nname = 'D'\n[[parameter]]\nname = 'D'", r"number 2, name: 'D' is learned twice"),
    "factor without median": ("[[parameter]]\nname='D'\nprior_factor = 2.0", r"2 around no median; give prior"),
    "no noise": ("[data]\nnoise = 0.0", r"line 4: data.noise: 0.0 is not allowed: must be greater than 0"),
    "negative noise": ("[data]\nnoise = -0.1", r"data.noise: -0.1 is not allowed"),
    "two sources": ("[data]\nfile = 'x.csv'\ncount = 5", r"data.count: is for synthetic data, and data.file"),
    "too few data": (
        "[[parameter]]\nname='D'\n[[parameter]]\nname='k'\n[data]\ncount = 1",
        r"1 observations for 2 parameters; give at least as many",
    ),
    "times turned round": ("[data]\nfirst = 19.0", r"19 ms is not before data.last = 18 ms"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, mistake: str):
    text, wanted = MISTAKES[mistake]
    job = tmp_path / "job.toml"
    job.write_text(START + text)
    with pytest.raises(InputError, match=wanted) as caught:
        load_order(job)
    assert "\n" not in str(caught.value)


def test_the_domain_says_which_keys_there_are(tmp_path: Path):
    job = tmp_path / "job.toml"
    job.write_text(START + "subdomains = [2, 3]\n[data]\nfile = 'seen.csv'")
    config = load_order(job, ["physics.preset=dopamine-slow"]).described
    assert isinstance(config, SquareConfig)
    assert config.domain.subdomains == (2, 3) and config.physics.preset == "dopamine-slow"
    assert config.data.file == str(tmp_path / "seen.csv")
    assert square_from_json(config.to_json()) == config
    assert isinstance(load_order(None).described, RunConfig)
    assert isinstance(load_order(None, ["domain.kind=cell"]).described, RunConfig)


def test_commands_for_cells_refuse_a_square(tmp_path: Path):
    job = tmp_path / "job.toml"
    job.write_text(START)
    with pytest.raises(InputError, match=r"job.toml, line 2: domain.kind: 'square' has no cell"):
        load_config(job)


def test_another_kind_of_domain_is_refused():
    with pytest.raises(InputError, match=r"domain.kind: 'disc' is not one of 'cell' or 'square'"):
        load_order(None, ["domain.kind=disc"])
