"""Constants that were inferred, from their files."""

import pytest

import hpcpinn as hp
from hpcpinn.io.draws import write_draws
from hpcpinn.io.inference import write_inference
from hpcpinn.io.inputs import Destination
from tests.io.test_inference_file import bare, chains


def test_every_constant_has_its_value_interval_and_unit(communicator, tmp_path):
    written = bare()
    write_inference(Destination(tmp_path / "i.h5"), communicator, written)
    estimate = hp.read(tmp_path / "i.h5")
    assert isinstance(estimate, hp.Estimate) and estimate.names == ("g", "tau")
    tau = estimate["tau"]
    assert (tau.value, tau.low, tau.high) == (written.estimate[1], written.low[1], written.high[1])
    assert tau.unit == "ms" and not tau.determined and estimate["g"].determined
    assert (estimate.covariance == written.covariance).all()
    with pytest.raises(hp.InputError, match="'D' was not inferred; there are g and tau"):
        estimate["D"]
    with pytest.raises(hp.InputError, match="holds no draws"):
        estimate.draws  # noqa: B018


def test_intervals_are_those_of_draws_where_there_are_some(communicator, tmp_path):
    write_inference(Destination(tmp_path / "i.h5"), communicator, bare())
    write_draws(tmp_path / "i.h5", communicator, chains(), None)
    estimate = hp.read(tmp_path / "i.h5")
    drawn = chains().interval
    assert [(estimate[name].low, estimate[name].high) for name in estimate.names] == [tuple(row) for row in drawn]
    assert (estimate.draws.value == chains().value).all()


def test_nothing_to_infer_is_said(tmp_path):
    for verb in (hp.infer, hp.sample):
        with pytest.raises(hp.InputError, match=r"\[\[parameter\]\]: none is given"):
            verb("builtin:y_branch", duration=1.0, output=tmp_path / "i.h5")
    with pytest.raises(hp.InputError, match="no such file|cannot be read|not there"):
        hp.read(tmp_path / "gone.h5")


def test_a_square_has_no_threshold(tmp_path):
    with pytest.raises(hp.InputError, match="^hpcpinn.threshold: the system 'square' has none; there is one for"):
        hp.threshold(hp.load("dopamine"))


def test_progress_is_shown_where_it_is_wanted(capsys):
    told = []

    class Told:
        def doing(self, what: str, total: float = 0.0, unit: str = "") -> None:
            told.append(what)

        def done(self, amount: float, detail: str = "") -> None:
            pass

        def tell(self, label: str, text: str) -> None:
            pass

    experiment = {"field": hp.Field(direction=(1.0, 0.0, 0.0)), "up_to": 4000.0, "tolerance": 0.5, "wait": 8.0}
    found = hp.threshold("builtin:ball_and_stick", progress=Told(), **experiment)
    assert told == ["trying fields"] and found.silent < found.value < found.firing
    assert capsys.readouterr().out == ""
