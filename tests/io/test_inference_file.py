"""Files of inferences: every part comes back to the last bit, says its unit, and may be left out."""

import dataclasses
from typing import Any

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.draws import OF_CHAINS, Draws, NextObservation, read_draws, read_placement, write_draws
from hpcpinn.io.geometry import Box, Points, Tree
from hpcpinn.io.inference import Bands, Check, FieldBands, InferenceResult, read_inference, write_inference
from hpcpinn.io.inputs import Destination
from hpcpinn.io.observations import Observations
from hpcpinn.io.schema import Variable
from hpcpinn.io.seal import seal_file
from tests.io import runs


def bare() -> InferenceResult:
    """Two constants from a recording of voltage, of a system that says nothing more."""
    rng = np.random.default_rng(3)
    seen = Observations(
        rng.normal(size=7), rng.random(7), {"t": np.arange(7.0)}, {"value": "mV", "noise": "mV", "t": "ms"}
    )
    columns: dict[str, Any] = {
        name: rng.random(2) for name in ("start", "estimate", "low", "high", "sd_log", "data_sd_log", "measure")
    }
    return InferenceResult(
        names=("g", "tau"), units=("nS", "ms"), **columns, determined=np.array([True, False]),
        truth=np.array([1.0, np.nan]),
        covariance=rng.random((2, 2)), path=rng.random((5, 2)), config='{"system": "discharge"}',
        observations=seen, predicted=rng.random(7), unit="mV",
    )  # fmt: skip


def full() -> InferenceResult:
    """With every part, at sites of a cell, through an indicator without unit."""
    rng = np.random.default_rng(4)
    tree = Tree(runs.y_cable(), np.zeros(runs.N_PIECES, int), 1)
    columns = {"site": ("soma", "tip:apic", "soma"), "t": np.arange(3.0)}
    return dataclasses.replace(
        bare(),
        observations=Observations(
            rng.random(3), rng.random(3), columns, {"value": "1", "site": None, "t": "ms", "noise": "1"}
        ),
        predicted=rng.random(3),
        unit="1",
        bands=Bands(("soma", "tip:apic"), np.arange(4.0), rng.random((2, 4)), rng.random((2, 4))),
        field_bands=FieldBands(
            tree, Variable("calcium", "uM", "calcium"), np.arange(2.0), rng.random((2, 11)), rng.random((2, 11))
        ),
        check=Check(0.3, {"spread": 0.2, "runs": 0.9}, 0.01),
    )


def same(one: Any, other: Any) -> None:
    """Both hold the same, to the last bit."""
    if dataclasses.is_dataclass(one):
        assert type(one) is type(other)
        for entry in dataclasses.fields(one):
            if entry.name != "units" or not isinstance(one, Observations):
                same(getattr(one, entry.name), getattr(other, entry.name))
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, tuple) and one and dataclasses.is_dataclass(one[0]):
        assert one == other
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("made", [bare(), full()], ids=["bare", "full"])
def test_what_was_inferred_comes_back(communicator, tmp_path, made):
    write_inference(Destination(tmp_path / "deep" / "i.h5"), communicator, made)
    found = read_inference(tmp_path / "deep" / "i.h5")
    same(made, found)
    assert {name: found.observations.unit(name) for name in made.observations.columns} == {
        name: made.observations.unit(name) for name in made.observations.columns
    }
    assert read_draws(tmp_path / "deep" / "i.h5") is None and read_placement(tmp_path / "deep" / "i.h5") is None


@pytest.mark.parametrize("geometry", [Points(("a", "b")), Box(np.arange(3.0), np.arange(2.0))])
def test_a_field_is_known_on_any_geometry(communicator, tmp_path, geometry):
    values = np.random.default_rng(5).random((4, *geometry.shape))
    bands = FieldBands(geometry, Variable("u", "um", "displacement"), np.arange(4.0), values, 0.1 * values)
    write_inference(Destination(tmp_path / "i.h5"), communicator, dataclasses.replace(bare(), field_bands=bands))
    same(read_inference(tmp_path / "i.h5").field_bands, bands)


def test_units_are_those_of_what_is_seen(communicator, tmp_path):
    write_inference(Destination(tmp_path / "i.h5"), communicator, full())
    with h5py.File(tmp_path / "i.h5") as file:
        units = {
            name: file[name].attrs["units"] for name in ("observations/t", "bands/sd", "bands/time", "field_bands/sd")
        }
        assert units == {"observations/t": "ms", "bands/sd": "1", "bands/time": "ms", "field_bands/sd": "uM"}
        assert "units" not in file["observations/site"].attrs and file["bands/sd"].attrs["description"]


def chains() -> Draws:
    rng = np.random.default_rng(6)
    per_draw = {name: rng.random((3, 5)) for name in ("acceptance", "energy")}
    figures = per_draw | {"diverging": rng.random((3, 5)) > 0.5, "steps": np.arange(15).reshape(3, 5)}
    figures |= {"step_size": rng.random(3)} | {name: rng.random(2) for name in ("rhat", "ess_bulk", "ess_tail")}
    assert figures.keys() == set(OF_CHAINS)
    return Draws(
        rng.random((3, 5, 2)), np.full((3, 5), 1 / 15), rng.random((3, 5)), np.arange(15), rng.random(2),
        rng.random((2, 2)), figures,
    )  # fmt: skip


def test_draws_of_chains_and_where_to_look_next_come_back(communicator, tmp_path):
    write_inference(Destination(tmp_path / "i.h5"), communicator, bare())
    x, y, t = np.arange(3.0), np.arange(2.0), np.arange(4.0)
    placement = NextObservation(x, y, t, np.ones((2, 3)), np.ones(4), np.array([1.0, 0.0, 2.0]), 0.7)
    write_draws(tmp_path / "i.h5", communicator, chains(), placement)
    found = read_draws(tmp_path / "i.h5")
    same(chains(), found)
    assert not found.is_weighted and found.figures["diverging"].dtype == bool
    same(read_placement(tmp_path / "i.h5"), placement)
    same(read_inference(tmp_path / "i.h5"), bare())


def test_weighted_draws_come_back(communicator, tmp_path):
    write_inference(Destination(tmp_path / "i.h5"), communicator, full())
    weighted = dataclasses.replace(chains(), figures={"shape": 0.4, "effective": 12.5})
    write_draws(tmp_path / "i.h5", communicator, weighted, None)
    found = read_draws(tmp_path / "i.h5")
    same(weighted, found)
    assert found.is_weighted and read_placement(tmp_path / "i.h5") is None


def test_what_nobody_declared_is_not_written(communicator, tmp_path):
    write_inference(Destination(tmp_path / "i.h5"), communicator, bare())
    with pytest.raises(ValueError, match="not declared: draws/luck"):
        write_draws(tmp_path / "i.h5", communicator, dataclasses.replace(chains(), figures={"luck": 1.0}), None)


def test_a_file_of_an_older_version_says_what_to_do(communicator, tmp_path):
    write_inference(Destination(tmp_path / "i.h5"), communicator, bare())
    with h5py.File(tmp_path / "i.h5", "r+") as file:
        file.attrs["format_version"] = 1
    seal_file(tmp_path / "i.h5")
    with pytest.raises(
        InputError,
        match=r"is of version 1 .* reads version 3; its job with this one writes it anew \(hpcpinn infer, or uq\)",
    ):
        read_inference(tmp_path / "i.h5")
