"""Observation files: units, columns and cells that cannot be used are one clear line each."""

import h5py
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.observations import read_observations

HEADER = "value_uM,x_um,y_um,t_ms,noise_uM\n"

MISTAKES = {
    "seconds": ("value,x,y,t_s,noise\n", r"'t_s' is in s, but t is read in ms; multiply by 1000 and call it t_ms"),
    "nanomolar noise": ("value_uM,x,y,t,noise_nM\n", r"'noise_nM' is in nM, but noise is read in uM; multiply by 0.00"),
    "strange unit": ("value_mol,x,y,t,noise\n", r"'value_mol' is in mol, but value is read in uM; convert the values"),
    "unknown column": ("value,x,y,z,t,noise\n", r"line 1: column 'z' is unknown; the columns are value,x,y,t,noise"),
    "missing column": ("value,x,y,t\n", r"line 1: no column 'noise'"),
    "column twice": ("value,x,x,y,t,noise\n", r"column 'x' is there twice"),
    "not a number": (HEADER + "1,0,0,1,0.1\n1,0,here,1,0.1\n", r"line 3: y 'here' is not a number"),
    "nan": (HEADER + "nan,0,0,1,0.1\n", r"line 2: value is nan; leave the row away or give a number"),
    "short row": (HEADER + "1,0,0\n", r"line 2: 3 cells, but the header has 5"),
    "empty": ("", r"is empty; the first line names"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_where(tmp_path, mistake):
    text, wanted = MISTAKES[mistake]
    file = tmp_path / "seen.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=wanted) as caught:
        read_observations(file)
    assert "\n" not in str(caught.value) and "seen.csv" in str(caught.value)


def test_columns_may_stand_in_any_order(tmp_path):
    file = tmp_path / "seen.csv"
    file.write_text("t_ms, noise,x_µm,y,value_µM\n# early\n1.5,0.02,-1,2,0.3\n\n2.5,0.03,1,0,0.2\n")
    table = read_observations(file)
    np.testing.assert_array_equal(table["t"], [1.5, 2.5])
    np.testing.assert_array_equal(table.value, [0.3, 0.2])
    np.testing.assert_array_equal(table["x"], [-1.0, 1.0])
    assert table.lines == (3, 5)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"no such data file"):
        read_observations(tmp_path / "seen.csv")


def hdf5(path, **changes):
    given = {"value": [0.3, 0.2], "x": [-1.0, 1.0], "y": [2, 0], "t": [1.5, 2.5], "noise": [0.02, 0.03]} | changes
    with h5py.File(path, "w") as file:
        for name, values in given.items():
            if values is not None:
                file[f"observations/{name}"] = values
    return path


def test_hdf5_holds_the_same(tmp_path):
    path = hdf5(tmp_path / "seen.h5")
    with h5py.File(path, "a") as file:
        file["observations/value"].attrs["units"] = "µM"
        file["observations/t"].attrs["units"] = "ms"
    table = read_observations(path)
    np.testing.assert_array_equal(np.stack([table[name] for name in table.columns]),
                                  [[0.3, 0.2], [-1.0, 1.0], [2.0, 0.0], [1.5, 2.5], [0.02, 0.03]])  # fmt: skip
    assert table.lines == () and table["y"].dtype == np.float64


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"noise": None}, r"no dataset observations/noise; give value,x,y,t,noise there"),
        ({"t": [1.5]}, r"the datasets under observations differ in length"),
        ({"t": [[1.5, 2.5]]}, r"observations/t has 2 dimensions; give a list"),
        ({"x": [b"a", b"b"]}, r"observations/x does not hold numbers"),
        ({"value": [0.3, np.nan]}, r"row 2: value is nan; leave the row away"),
    ],
)
def test_mistakes_in_hdf5_are_one_line(tmp_path, changes, wanted):
    with pytest.raises(InputError, match=wanted):
        read_observations(hdf5(tmp_path / "seen.h5", **changes))


def test_another_unit_in_hdf5_is_refused(tmp_path):
    path = hdf5(tmp_path / "seen.h5")
    with h5py.File(path, "a") as file:
        file["observations/t"].attrs["units"] = "s"
    with pytest.raises(InputError, match=r"observations/t is in s, but t is read in ms; multiply by 1000 and set"):
        read_observations(path)
