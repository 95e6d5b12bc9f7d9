"""One reader of CSV for all: dialects of spreadsheets, encodings, and one short line for what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.io.observations import AT_SITES, read_observations
from hpcpinn.physics import voltage
from hpcpinn.physics.csv_rows import rows_of
from hpcpinn.physics.stimulation.waveforms import read_waveform

PLAIN = "time_ms,soma,xyz\n0,-70.5,1.25e1\n1,-65,.5\n"
ROWS = [["time_ms", "soma", "xyz"], ["0", "-70.5", "1.25e1"], ["1", "-65", ".5"]]


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ";").replace(".", ","),
        PLAIN.replace(",", "\t").replace(".", ","),
        "sep=;\n" + PLAIN.replace(",", ";").replace(".", ","),
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "# made by hand; with care\n\n" + PLAIN,
        PLAIN.replace("soma", '"soma"').replace("-65", '"-65"'),
        PLAIN.replace(",", " , "),
        PLAIN + ",,\n",
    ],
    ids=range(13),
)
def test_the_same_table_in_every_dialect(tmp_path, text):
    assert [cells for _, cells in rows_of(written(tmp_path, text))] == ROWS


def test_lines_are_those_of_the_file(tmp_path):
    text = '# one\r\n\r\ntime_ms;soma;"xyz:1,2,3"\r\n0;-70,5;1,5\r\n'
    assert rows_of(written(tmp_path, text)) == [(3, ["time_ms", "soma", "xyz:1,2,3"]), (4, ["0", "-70.5", "1.5"])]


def test_sites_with_commas_need_no_quotes_between_semicolons(tmp_path):
    source = voltage.read_voltage(written(tmp_path, "time_ms;soma;xyz:1,2,3\n0;-70;-69,5\n1;-60;-59,5\n"))
    assert source.sites == ("soma", "xyz:1,2,3")
    np.testing.assert_array_equal(source.values, [[-70.0, -69.5], [-60.0, -59.5]])


def test_a_micro_sign_in_the_encoding_of_old_spreadsheets_is_one(tmp_path):
    for encoding in ("utf-8", "latin-1"):
        text = "value_µM,site,t_ms,noise_µM\n0.1,soma,1,0.01\n".encode(encoding)
        assert read_observations(written(tmp_path, text), AT_SITES).value == [0.1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('time_ms,value\n0,1\n1,"0.5\n2,0\n' + "3,0\n" * 500, "table.csv:3: a stray quote (\") in '1,\"0.5'; take it"),
        ('time_ms,value\n0,1\n1,"0.5"x\n', "table.csv:3: a stray quote"),
        ("time_ms;value\n0;1,5\n1;0.5\n", "table.csv:3: '0.5' beside '1,5' in line 2: a decimal comma and"),
        ("time_ms,value\n0,0,1,5\n", "2: 4 columns instead of 2; write time_ms,value; with decimal commas, separate"),
        ("time_ms,value\n0," + "x" * 200_000 + "\n", "which is not a number"),
        ("x" * 200_000 + "\n0,1\n", "it must be time_ms,value"),
        (b"time_ms,value\n0,\x00\n", "not a text file; save it as plain CSV (UTF-8)"),
        ("time_ms,value\n0,1\n".encode("utf-16"), "not a text file, or UTF-16; save it as plain CSV (UTF-8)"),
        (b"time_ms,value\n0,\xb5\n", "table.csv:2: value is 'µ', which is not a number"),
    ],
    ids=range(9),
)
def test_what_is_wrong_is_one_short_line_with_its_place(tmp_path, text, said):
    with pytest.raises(InputError) as caught:
        read_waveform(written(tmp_path, text))
    message = str(caught.value)
    assert said in message
    assert len(message) < len(str(tmp_path)) + 300 and "\n" not in message
