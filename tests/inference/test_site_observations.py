"""Traces of a cell: read as written, refused with one line where they cannot be used."""

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.observations import AT_SITES, Observations, read_observations
from hpcpinn.systems.cell.build.inverse import check_usable
from hpcpinn.systems.cell.config.reading import load_config

GOOD = 'value_uM,site,t_ms,noise\n0.1,dend[0](0.5),1.0,0.01\n# a pause\n0.2,"xyz:1,2,3",2.0,0.02\n'


def traces(value, t, noise, lines=()) -> Observations:
    """At one site."""
    return Observations(value, noise, {"site": ("root",) * len(value), "t": t}, AT_SITES, lines)


def test_csv_and_hdf5_hold_the_same(tmp_path):
    text, binary = tmp_path / "traces.csv", tmp_path / "traces.h5"
    text.write_text(GOOD)
    table = read_observations(text, AT_SITES)
    assert table["site"] == ("dend[0](0.5)", "xyz:1,2,3") and table.lines == (2, 4)
    with h5py.File(binary, "w") as file:
        for name in ("value", "t", "noise"):
            file[f"observations/{name}"] = table[name]
        file["observations/site"] = list(table["site"])
    again = read_observations(binary, AT_SITES)
    assert again["site"] == table["site"]
    for name in ("value", "t", "noise"):
        np.testing.assert_array_equal(again[name], table[name])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("value,site,t\n", "line 1: no column 'noise'"),
        ("value,place,t,noise\n", "line 1: column 'place' is unknown"),
        ("value,site,t_s,noise\n", "column 't_s' is in s, but t is read in ms; multiply by 1000"),
        ("value,site,t,t,noise\n", "column 't' is there twice"),
        ("value,site,t,noise\nx,root,1,1\n", "line 2: value 'x' is not a number"),
        ("value,site,t,noise\n1,xyz:1,2,3,1,1\n", "line 2: 6 cells, but the header has 4"),
        ("", "is empty"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, text, line):
    path = tmp_path / "traces.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_observations(path, AT_SITES)
    assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"value": np.nan}, "traces, line 3: value is nan"),
        ({"t": 11.0}, "traces, line 3: t = 11 ms lies outside the run (0 to 10 ms)"),
        ({"t": -1.0}, "t = -1 ms lies outside the run"),
        ({"noise": 0.0}, "traces, line 3: noise 0 uM; give the standard deviation of the error, above 0"),
        ({"noise": -1.0}, "noise -1"),
    ],
)
def test_values_that_cannot_be_used_are_refused(change, line):
    columns = {"value": np.ones(3), "t": np.arange(3.0), "noise": np.ones(3)}
    for name, value in change.items():
        columns[name][1] = value
    table = traces(**columns, lines=(2, 3, 4))
    with pytest.raises(InputError) as caught:
        check_usable(table, 10.0, 2, "traces")
    assert line in str(caught.value)


def test_fewer_data_than_parameters_are_refused():
    table = traces(value=np.ones(2), t=np.ones(2), noise=np.ones(2))
    with pytest.raises(InputError, match="2 observations for 3 parameters"):
        check_usable(table, 10.0, 3, "traces")


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (['parameter=[{name="D_x"}]'], "'D_x' is no constant that can be inferred; did you mean 'D_c'? There are "),
        (['parameter=[{name="D_c"},{name="D_c"}]'], "'D_c' is learned twice"),
        (['parameter=[{name="vdcc_density"},{name="vdcc_density.apic"}]'], "learned at once"),
        (['parameter=[{name="D_c"}]', "physics.constants.D_c=200"], "'D_c' is fixed too: physics.constants.D_c = 200"),
        (['parameter=[{name="j_release"}]', "synapse=[]"], "'j_release': nothing is released; add a [[synapse]]"),
        (
            ['parameter=[{name="D_c"}]', "data.truth={j_release=1.0}", "synapse=[{site='tip',start=1.0,flux=2.0}]"],
            "synapse number 1 has its own (flux = 2)",
        ),
        (['parameter=[{name="D_c"}]', "window.kind=split"], "'coupled' windows only"),
        (['parameter=[{name="D_c"}]', "data.last=60"], "60 ms is after the end of the run (run.duration = 50 ms)"),
        (['parameter=[{name="D_c"}]', "data.file=a.csv"], "is for synthetic data, and data.file = 'a.csv' is given"),
    ],
)
def test_descriptions_that_contradict_themselves_are_refused(keys, line):
    with pytest.raises(InputError) as caught:
        load_config(None, [*keys, "data.sites=['root']"])
    assert line in str(caught.value) and "\n" not in str(caught.value)
