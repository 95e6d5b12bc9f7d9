"""Voltage tables: both formats, interpolation, and one clear line for what cannot be used."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.physics import voltage

TABLE = """\
# recorded elsewhere
time_ms, soma, apic[12](0.5), "xyz:1,2,3"
0, -70, -65, 0

1, -60, -65, 10
3, -80, -25, 10
"""


@pytest.fixture
def table(tmp_path):
    def write(text, name="train.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def write_hdf5(path, time, values, sites):
    with h5py.File(path, "w") as file:
        file["time"] = np.asarray(time)
        file["voltage"] = np.asarray(values)
        file["sites"] = sites
    return path


def test_csv_and_hdf5_hold_the_same_source(table, tmp_path):
    from_csv = voltage.read_voltage(table(TABLE))
    path = write_hdf5(
        tmp_path / "train.h5",
        [0, 1, 3],
        [[-70, -65, 0], [-60, -65, 10], [-80, -25, 10]],
        ["soma", "apic[12](0.5)", "xyz:1,2,3"],
    )
    for source in (from_csv, voltage.read_voltage(path)):
        assert source.sites == ("soma", "apic[12](0.5)", "xyz:1,2,3")
        np.testing.assert_allclose(source.times, [0.0, 1e-3, 3e-3], rtol=1e-15)
        np.testing.assert_array_equal(source.values[:, 1], [-65, -65, -25])
        assert source.values.dtype == jnp.float64
        assert source.resolution == pytest.approx(1e-3)


def test_spreadsheet_habits_are_read(table):
    path = table(b"\xef\xbb\xbfTime_ms,soma\r\n0,-70\r\n5e0,-60\r\n")
    np.testing.assert_array_equal(voltage.read_voltage(path, time_unit=1.0).times, [0.0, 5.0])


def test_linear_in_time_and_along_the_weights(table):
    source = voltage.read_voltage(table(TABLE))
    matrix = csr_array(np.array([[1, 0, 0], [0.25, 0.75, 0], [0.5, 0.25, 0.25], [0, 0, 1.0]]))
    weights = voltage.compact_weights(matrix)
    assert weights.site.shape == (4, 3)
    t = jnp.array([[-1.0, 0.0, 0.5], [1.0, 2.0, 9.0]]) * 1e-3
    ours = jax.jit(voltage.voltage_at)(source, t, weights)
    sites = np.stack([np.interp(t, [0.0, 1e-3, 3e-3], column) for column in np.asarray(source.values).T], axis=-1)
    assert ours.shape == (2, 3, 4)
    np.testing.assert_allclose(ours, sites @ matrix.toarray().T, rtol=1e-13, atol=1e-13)


def test_compact_weights_keep_only_what_a_position_uses():
    matrix = np.zeros((6, 500))
    matrix[np.arange(6), np.arange(6) * 80] = 0.75
    matrix[np.arange(6), 499] = 0.25
    weights = voltage.compact_weights(matrix)
    assert weights.site.shape == (6, 2)
    rebuilt = np.zeros_like(matrix)
    np.add.at(rebuilt, (np.arange(6)[:, None], weights.site), weights.weight)
    np.testing.assert_array_equal(rebuilt, matrix)


def test_constant_voltage_holds_everywhere_and_always():
    source = voltage.constant_voltage(-62.5)
    V = jax.jit(voltage.voltage_at)(source, jnp.array([0.0, 7.0]), voltage.uniform_weights(3))
    np.testing.assert_array_equal(V, np.full((2, 3), -62.5))
    assert source.resolution == np.inf
    voltage.check_covers(source, 1e9)


def test_table_must_span_the_run(table):
    source = voltage.read_voltage(table(TABLE))
    voltage.check_covers(source, 3 * 1e-3)
    with pytest.raises(InputError, match=r"covers times 0 to 3, the run needs 0 to 50; .*duration"):
        voltage.check_covers(source, 50e-3)
    late = voltage.read_voltage(table("time_ms,soma\n1,-70\n60,-70\n"))
    with pytest.raises(InputError, match=r"covers times 1 to 60, the run needs 0 to 50"):
        voltage.check_covers(late, 50e-3)


def test_unknown_site_is_reported_with_file_and_column(table):
    def parse(text):
        if text != "soma":
            raise InputError(f"{text}: no such section; nearest is apic[1]")
        return 7

    source = voltage.read_voltage(table(TABLE))
    with pytest.raises(InputError, match=r"train\.csv: site 2 of the table: apic\[12\]\(0\.5\): no"):
        voltage.resolve_sites(source, parse)
    only_soma = voltage.read_voltage(table("time_ms,soma\n0,-70\n60,-70\n"))
    assert voltage.resolve_sites(only_soma, parse) == [7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"empty; the first line must be time_ms"),
        ("# only a comment\n", r"empty"),
        ("soma,dend[0](0.5)\n0,1\n", r"csv:1: first column is 'soma'; it must be time_ms"),
        ("time_ms\n0\n1\n", r"names no site"),
        ("time_ms,soma\n0,-70\n", r"1 rows; give two or more"),
        ("time_ms,soma\n0,-70\n1\n", r"csv:3: 1 values where the header names 2 columns"),
        ("time_ms,xyz:1,2,3\n0,-70\n1,-70\n", r"csv:2: 2 values .* quote site names"),
        ("time_ms,soma\n0,-70\n\n1,high\n", r"csv:4: column 'soma' is 'high', .* not a number"),
        ("time_ms,soma\n0,-70\n1,\n", r"csv:3: column 'soma' is empty; give a number"),
        (
            "time_ms,soma,root\n0,-0.07,-0.06\n1,0.02,-0.05\n",
            r"csv:2: soma is -0\.07, the largest of the table: mV are expected, and this looks like V",
        ),
        ("time_ms,soma\n0,-70\n1,-700\n", r"csv:3: soma is -700: mV are expected, at most 500"),
        ("time_ms,soma\n0,-70\n1,nan\n", r"csv:3: column 'soma' is nan; every number must be finite"),
        ("time_ms,soma\n0,-70\ninf,-70\n", r"csv:3: column 'time_ms' is inf"),
        ("time_ms,soma\n0,-70\n2,-70\n2,-60\n", r"csv:4: time 2 does not follow 2; sort"),
        ("time_ms,soma,soma\n0,-70,-70\n1,-70,-70\n", r"site 2, 'soma', is named twice"),
        ("time_ms,soma,\n0,-70,-70\n1,-70,-70\n", r"site 2 has no name"),
        (b"time_ms,soma\n0,\xff\xfe\n", r"csv:2: column 'soma' is 'ÿþ', which is not a number"),
        (b"time_ms,soma\n0,\xff\x81\n", r"cannot be read as CSV or HDF5"),
    ],
)
def test_unusable_csv_is_refused_in_one_line(table, text, message):
    with pytest.raises(InputError, match=message) as caught:
        voltage.read_voltage(table(text))
    assert "\n" not in str(caught.value)
    assert "train.csv" in str(caught.value)


def test_voltages_of_a_few_mV_and_none_at_all_are_taken(table):
    for text in ("time_ms,soma\n0,0\n1,0\n", "time_ms,soma\n0,0.1\n1,-500\n"):
        assert voltage.read_voltage(table(text)).sites == ("soma",)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"is a directory; name a CSV or HDF5 file with voltage\.file"):
        voltage.read_voltage(tmp_path)
    with pytest.raises(InputError, match=r"nowhere\.csv: no such voltage file; check voltage\.file"):
        voltage.read_voltage("nowhere.csv")


@pytest.mark.parametrize(
    ("time", "values", "sites", "message"),
    [
        ([0, 1], [[-70], [np.nan]], ["soma"], r"row 1 \(from 0\): soma is nan"),
        ([1, 0], [[-70], [-70]], ["soma"], r"row 1 \(from 0\): time 0 does not follow 1"),
        ([0, 1], [[-70, -70]], ["soma"], r"/voltage has shape \(1, 2\).*must be \(times, sites\)"),
        ([0, 1], [[-70], [-70]], [1], r"/sites strings"),
    ],
)
def test_unusable_hdf5_is_refused(tmp_path, time, values, sites, message):
    path = write_hdf5(tmp_path / "v.h5", time, values, sites)
    with pytest.raises(InputError, match=message):
        voltage.read_voltage(path)


def test_foreign_and_broken_hdf5(tmp_path, table):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["time"] = [0.0, 1.0]
    with pytest.raises(InputError, match=r"has no dataset /voltage; a voltage file needs"):
        voltage.read_voltage(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"cannot be read as CSV or HDF5"):
        voltage.read_voltage(table(b"\x89HDF\r\n\x1a\n truncated", "broken.h5"))


def test_another_unit_of_time_is_said(table):
    in_s = voltage.read_voltage(table("time_ms,soma\n0,-70\n0.05,-60\n"))
    with pytest.raises(InputError, match="the run needs 0 to 50; its times look like s: multiply them by 1000"):
        voltage.check_covers(in_s, 50e-3)
    short = voltage.read_voltage(table("time_ms,soma\n0,-70\n20,-60\n"))
    with pytest.raises(InputError, match="extend the table or change run.duration"):
        voltage.check_covers(short, 50e-3)
    in_us = voltage.read_voltage(table("time_ms,soma\n0,-70\n50000,-60\n"))
    with pytest.warns(InputWarning, match="the run reads those to 50, 0.1 %; if its times are in µs, divide"):
        voltage.check_covers(in_us, 50e-3)
