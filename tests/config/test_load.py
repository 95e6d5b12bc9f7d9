"""Reading a run description: values, defaults, overrides, and one clear line for every mistake."""

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcpinn.config.jobs import bundled_job
from hpcpinn.config.lines import key_lines, line_of
from hpcpinn.config.load import from_json
from hpcpinn.errors import InputError, InputWarning, concerning
from hpcpinn.physics.constants import BufferConstants, CalciumConstants, Gate
from hpcpinn.systems.cell.config.reading import CELL, load_config, load_with_origin
from hpcpinn.systems.cell.config.schema import BufferConfig, ConstantsConfig, GateConfig, RunConfig

JOB = """\
# a comment
[morphology]
file = "cells/a.swc"
er_fraction = 0.2

[physics]
preset = "physical-L"
constants = { D_c = 200.0 }

[[synapse]]
site = "apic[12](0.5)"
start = 5

[[synapse]]
site = "soma"
start = "0.01 s"
flux = 3000.0

[run]
duration = "0.02 s"
seed = 7
"""


@pytest.fixture
def job(tmp_path):
    def write(text: str = JOB):
        path = tmp_path / "job.toml"
        path.write_text(text)
        return path

    return write


def message(*arguments) -> str:
    with pytest.raises(InputError) as caught:
        load_config(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    return text


def test_no_file_gives_the_defaults():
    config = load_config()
    assert config == RunConfig()
    assert config.run.duration == 50.0
    assert (config.window.shortest, config.window.first, config.window.longest) == (1e-3, 0.1, 5.0)


def test_values_units_and_lists_of_a_job_file(job):
    path = job()
    config = load_config(path)
    assert config.morphology.file == str(path.parent / "cells" / "a.swc")
    assert config.physics.preset == "physical-L"
    assert config.physics.changes == {"D_c": 200.0}
    assert config.run.duration == 20.0
    assert config.run.seed == 7
    assert [s.start for s in config.synapse] == [5.0, 10.0]
    assert [s.flux for s in config.synapse] == [None, 3000.0]


def test_overrides_win_and_reach_into_lists(job):
    config = load_config(
        job(),
        ["run.duration=30", "synapse.1.start=2.5", "morphology.file=b.swc", "physics.constants.k_plus=1"],
    )
    assert config.run.duration == 30.0
    assert config.synapse[1].start == 2.5
    assert config.morphology.file == "b.swc"
    assert config.physics.changes == {"D_c": 200.0, "k_plus": 1.0}


@pytest.mark.parametrize("name", ["builtin:pyramidal", "/data/cell.swc"])
def test_bundled_and_absolute_files_stay_as_they_are(job, name):
    assert load_config(job(f'[morphology]\nfile = "{name}"')).morphology.file == name


def test_stored_description_comes_back_the_same(job):
    config = load_config(job(), ["flux=[{site='soma', value=2.0}]"])
    assert config.flux[0].duration == math.inf
    assert from_json(config.to_json(), CELL, "job") == config


def test_stored_description_of_another_version_is_refused():
    text = RunConfig().to_json().replace('"features"', '"neurons"')
    with pytest.raises(InputError, match=r"result\.h5: network\.neurons: unknown key"):
        from_json(text, CELL, "result.h5")


def test_defaults_shrink_to_a_short_run_but_given_values_do_not():
    config = load_config(None, ["run.duration=0.05"])
    assert config.window.longest == config.window.first == 0.05
    assert config.run.output_interval == config.run.probe_interval == 0.05
    assert load_config(None, ["window.longest=0.02"]).window.first == 0.02
    assert load_config(None, ["window.first=0.0005"]).window.shortest == 0.0005


def test_every_constant_can_be_changed_and_nothing_else():
    """The two lists live on different floors; they must not drift apart."""
    assert set(ConstantsConfig.model_fields) == {f.name for f in fields(CalciumConstants)} - {
        "name", "buffers", "organelles",
    }  # fmt: skip
    assert set(GateConfig.model_fields) == {f.name for f in fields(Gate)}
    assert set(BufferConfig.model_fields) == {f.name for f in fields(BufferConstants)}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("run.durtion=5", ["run.durtion", "unknown key", "'duration'"]),
        ("duration=5", ["unknown key", "[run]"]),
        ("windw.first=1", ["windw", "'window'"]),
        ("synapse=[{sit='a', start=1}]", ["[[synapse]] number 1, sit:", "'site'"]),
        ("physics.constants.D_x=1", ["physics.constants.D_x", "'D_"]),
        ("run.duration=true", ["run.duration", "true is not allowed", "number"]),
        ("run.duration=5 miles", ["run.duration", "'5 miles'", "ms, s, min"]),
        ("run.duration=-3", ["run.duration", "-3", "greater than 0"]),
        ("voltage.constant=-0.07", ["voltage.constant: -0.07: mV are expected, and this looks like V; write -70"]),
        ("voltage.constant=-501", ["voltage.constant", "-501", "greater than or equal to -500"]),
        ("run.duration=nan", ["run.duration", "nan", "finite"]),
        ("run.duration=inf", ["run.duration", "inf", "finite"]),
        ("run.seed=1.5", ["run.seed", "1.5", "integer"]),
        ("run.output=", ["run.output", "empty"]),
        ("network.activation=relu", ["network.activation", "'relu'", "'sine' or 'tanh'"]),
        ("physics.constants.D_c=-1", ["physics.constants.D_c", "-1", "greater than 0"]),
        ("physics.constants.k_plus=-2.0", ["physics.constants.k_plus", "-2.0", "0"]),
        ("morphology.er_fraction=1", ["morphology.er_fraction", "1", "less than 1"]),
        ("synapse=[{site='soma'}]", ["[[synapse]] number 1, start: missing"]),
        ("synapse={site='soma', start=1}", ["synapse", "[[synapse]]"]),
        ("run=3", ["run: 3 is not a table"]),
        ("window.longest=60", ["window.longest", "60 ms", "run.duration = 50 ms"]),
        ("window.shortest=6", ["window.shortest", "6 ms", "window.longest = 5 ms"]),
        ("run.output_interval=51", ["run.output_interval", "51 ms", "at most 50"]),
        ("pieces.source_length=30", ["pieces.source_length", "30 µm", "pieces.max_length = 20 µm"]),
        ("probe=[{site='a'}, {site='a'}]", ["[[probe]] number 2, name: 'a' names 2 probes"]),
        (
            "schwarz={acceleration='stars', transmission='dirichlet-neumann'}",
            ["schwarz.acceleration", "'stars'", "'robin'", "'anderson'"],
        ),
        ("physics.constants.ghk_sign=as_printed", ["ghk_sign", "'physical-N'", "'influx'"]),
        ("voltage={constant=-60, file='v.csv'}", ["voltage.constant", "-60 mV", "v.csv"]),
    ],
)
def test_mistakes_name_key_value_and_fix(override, expected):
    text = message(None, [override])
    assert text.startswith(f"--set {override}: ")
    for part in expected:
        assert part in text


@pytest.mark.parametrize("override", ["run.duration", "=5", "run..duration=5", ""])
def test_override_that_is_no_assignment(override):
    assert "expected table.key=value" in message(None, [override])


@pytest.mark.parametrize("override", ["synapse.3.start=1", "run.duration.x=1", "run.0=1"])
def test_override_that_leads_nowhere(job, override):
    assert message(job(), [override]).startswith(f"--set {override}: ")


def test_place_in_the_file(job):
    path = job(JOB + 'sede = 8\noutput = ""\n')
    assert message(path) == f"{path}, line 22: run.sede: unknown key; did you mean 'seed'? (and 1 more)"
    path = job(JOB.replace("start = 5", "strt = 5"))
    assert message(path).startswith(f"{path}, line 12: [[synapse]] number 1, strt: unknown key; did you mean 'start'?")
    path = job(JOB.replace("flux = 3000.0", 'flux = "strong"'))
    assert message(path).startswith(f"{path}, line 17: [[synapse]] number 2, flux: 'strong'")
    path = job(JOB.replace("D_c = 200.0", "D_c = -200.0"))
    assert message(path).startswith(f"{path}, line 8: physics.constants.D_c: -200.0")


def test_a_file_that_is_no_job(tmp_path, job):
    missing = message(tmp_path / "none.toml")
    assert missing.startswith(f"{tmp_path / 'none.toml'}: no such job file; give the path of a TOML file")
    assert message(tmp_path) == f"{tmp_path}: is a directory; give the path of a job file (TOML)"
    assert "not valid TOML" in message(job("[run\nduration = 5"))
    assert "line 2" in message(job("[run]\nduration = = 5"))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\x89HDF\xff\xfe")
    assert "not a text file" in message(binary)
    assert "saved as UTF-8" in message(binary)


SYNAPSE = '[synapse]\nsite = "soma"\nstart = 1\n'
LISTED = '[[synapse]]\nsite = "soma"\nstart = 1\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SYNAPSE, ", line 1: synapse: expected a list of tables, written [[synapse]]"),
        (SYNAPSE * 2, ", line 4: [synapse] twice: there may be several; write [[synapse]] each time"),
        (LISTED + SYNAPSE, ", line 4: [synapse] twice: there may be several; write [[synapse]] each time"),
        (SYNAPSE + LISTED, ", line 4: [synapse] twice: there may be several; write [[synapse]] each time"),
        ('[probe]\nsite = "a"\n' * 2, ", line 3: [probe] twice: there may be several; write [[probe]]"),
        ("[run]\nseed = 1\n[run]\n", ", line 3: the table [run] is there twice (also in line 1); put all"),
        ("[run]\nseed = 1\nseed = 2\n", ", line 3: the key seed is there twice; keep one of the two"),
        ("[run]\nseed = " + "1" * 5000, ", line 2: a whole number of thousands of digits"),
        ("[run]\nseed = " + "[" * 3000, ", line 2: brackets are nested too deeply"),
        ('[run]\noutput = "\0"', "not valid TOML: Illegal character '\\x00' (at line 2"),
        ("[run]\nseed = 1e400", ", line 2: run.seed: inf is not allowed: must be a valid integer"),
        ("[run]\nduration = " + "9" * 4000, ", line 2: run.duration: a whole number of 13288 bits is not allowed"),
        ("[run]\ncheckpoint_every = 0x" + "f" * 4000, "a whole number of 16000 bits is not allowed: must be less than"),
        (f"{LISTED}interval = 1\ncount = 1000000000000", ", line 5: [[synapse]] number 1, count: 1000000000000"),
        ("[run]\nprobe_interval = 1e-9", ", line 2: run.probe_interval: makes 5e+10 samples in this run; 1e+08 are"),
        ("[stimulation]\npulses = 100000\nbursts = 100000", ", line 2: stimulation.pulses: makes 1e+10 pulses"),
        ("x" * 9000 + " = 1", ", line 1: xxx"),
        (f"[run]\nduration = '{'1 ms' * 3000}'", "is not a number followed by one of us, ms, s, min, h"),
        (f"[population]\nmagnitudes = [{'1.0, ' * 100_001}]", "entries; 100000 are the most"),
        (f"probe = [{'1, ' * 2000}]", ", line 1: [[probe]] number 1: 1 is not a table of keys"),
    ],
    ids=range(20),
)
def test_limits_of_types_and_of_the_format_are_one_short_line(job, text, line):
    said = message(job(text))
    assert line in said
    assert len(said) < 700


@pytest.mark.parametrize("setting", ["run.seed=" + "[" * 3000, "run.seed=" + "1" * 5000, f"run.{'9' * 5000}=1"])
def test_flags_beyond_all_limits_too(setting):
    assert len(message(None, [setting])) < 700


def test_errors_found_later_get_the_place_of_their_key(job):
    _, origin = load_with_origin(job(), [("--output a.h5", 'run.output="a.h5"')])
    for key, place in (
        (("synapse", 1, "site"), f"{job()}, line 15: [[synapse]] number 2, site: no"),
        (("run", "output"), "--output a.h5: run.output: no"),
    ):
        with pytest.raises(InputError) as caught, origin.naming_places(), concerning(*key):
            raise InputError("no")
        assert str(caught.value) == place


def test_what_begins_after_the_end_is_said(job):
    path = job(JOB.replace("0.02 s", "0.01 s"))
    config, origin = load_with_origin(path)
    assert origin.warnings(config) == [
        f"{path}, line 16: [[synapse]] number 2, start: 10 ms is not before the end of the run "
        "(run.duration = 10 ms), so it does nothing"
    ]
    config, origin = load_with_origin(job(), ["run.duration=10"])
    assert origin.warnings(config) == []  # who types the end knows what it cuts off
    late = ["run.duration=10", "field.magnitude=1", "stimulation.start=11", "synapse=[]"]
    late += ["flux=[{site='soma', value=1.0, start=12}]", "clamp=[{site='soma', start=13, duration=1, current=1}]"]
    config, origin = load_with_origin(None, late)
    keys = ["[[flux]] number 1, start", "[[clamp]] number 1, start", "stimulation.start"]
    assert [line.split(": ")[1] for line in origin.warnings(config)] == keys
    long = ["window.kind=split", "field.magnitude=1", "stimulation.start=60"]
    for fine in (["synapse=[{site='soma', start=49}]"], long):
        config, origin = load_with_origin(None, fine)
        assert origin.warnings(config) == []


def test_errors_without_a_key_of_the_description_stay_as_they_are(job):
    _, origin = load_with_origin(job())
    for error in (InputError("cell.swc:3: no"), InputError("--site: no", ("--site",))):
        with pytest.raises(InputError) as caught, origin.naming_places():
            raise error
        assert caught.value is error


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf[run]\r\nduration = 7\r\n")
    assert load_config(path).run.duration == 7.0


def test_descriptions_are_immutable():
    with pytest.raises(Exception, match="frozen"):
        load_config().run.duration = 3.0


def test_lines_of_nested_and_quoted_keys():
    text = 'a.b = 1\n[t]\n"x y" = 2\n[[l]]\n[[l]]\nk = 3\n[l.sub]\nz = 1 # [no]\n[[l.deep]]\nw = 1\n'
    lines = key_lines(text)
    assert lines["a", "b"] == 1
    assert lines["t", "x y"] == 3
    assert lines["l", 0] == 4
    assert lines["l", 1, "k"] == 6
    assert lines["l", 1, "sub", "z"] == 8
    assert lines["l", 1, "deep", 0, "w"] == 10
    assert line_of(lines, ("l", 1, "unknown")) == 5
    assert line_of(lines, ("nowhere",)) is None


def test_unknown_bundled_job_names_those_there_are():
    with pytest.raises(InputError, match="no bundled job 'nothing'"):
        bundled_job("nothing")


KEYS = st.sampled_from(
    ["run", "duration", "synapse", "0", "7", "site", "physics", "constants", "gates", "window", "", "x"]
)
VALUES = st.one_of(
    st.sampled_from(["1", "-1", "nan", "inf", "true", "[]", "[1]", "{}", "{a=1}", "[{}]", "'a'", "1979-05-27"]),
    st.text(max_size=8),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.lists(KEYS, max_size=4), VALUES), min_size=1, max_size=3))
def test_whatever_is_set_is_taken_or_refused_in_one_line(assignments):
    try:
        config = load_config(None, [f"{'.'.join(path)}={value}" for path, value in assignments])
    except InputError as error:
        line = str(error)
    else:
        line = "taken"
        assert from_json(config.to_json(), CELL, "job") == config
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("letter", ["\0", "\n", "\x1b", "\x7f"])
def test_a_name_has_no_control_characters(letter):
    document = f'probe.0.name={json.dumps("a" + letter)[:-1]}b"'
    with pytest.raises(InputError, match=r"probe.*name.*(control character|Illegal character)"):
        load_config(None, ["probe=[{site='root'}]", document.replace("\x7f", "\\u007f")])


def test_a_key_that_is_set_twice_is_said_with_the_one_that_counts():
    said = r"^--set run\.seed=1: does nothing, as --set run\.seed=2 comes after it$"
    with pytest.warns(InputWarning, match=said) as caught:
        assert load_config(None, ["run.seed=1", "run.output=a.h5", "run.seed=2"]).run.seed == 2
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[field]\ndirection = "y"', ", line 2: field.direction: 'y' is not three numbers, such as [0, 1, 0]"),
        ("[field]\ndirection = [0, 1]", ", line 2: field.direction: expected three numbers, such as [0, 1, 0]"),
        ("[field]\ndirection = [0, 1, 0, 1]", ", line 2: field.direction: expected three numbers, such as [0, 1, 0]"),
        ("[[run]]\nduration = 5", ", line 1: run: [[run]] is one table, of which there is one; write [run]"),
        ("synapse = 5", ", line 1: synapse: 5 is not a list"),
        ("[run]\nduration = 2026-11-30", ", line 2: run.duration: 2026-11-30 is not allowed"),
        ("[morphology]\nfile = cell.swc", 'file = cell.swc: put text into straight double quotes, "cell.swc"'),
        ("[morphology]\nfile = \u201ccell.swc\u201d", ": put text into straight double quotes"),
        ('[morphology]\nfile = "C:\\Users\\me\\cell.swc"', ": a backslash in double quotes begins"),
        ("[run]\nduration = 1ms", ', line 2: duration = 1ms: put a number with its unit into quotes, "1 ms"'),
        ("[run]\nduration = 1,5", ", line 2: duration = 1,5: write numbers with a decimal point, 1.5"),
        ('{"run": {"duration": 5}}', ', line 1: {"run": {"duration": 5}}: this looks like JSON'),
        ("run:\n  duration: 5", ", line 1: run:: this looks like YAML"),
    ],
    ids=range(13),
)
def test_slips_are_answered_with_what_to_write(job, text, said):
    assert said in message(job(text))


@pytest.mark.parametrize("place", ["[morphology]\nfile", "[population]\ncells", "[stimulation]\nwaveform"])
def test_an_address_is_no_file(job, place):
    value = '"https://neuromorpho.org/a.swc"'
    text = f"{place} = " + (f"[{value}]" if "cells" in place else value)
    more = ["window.kind=split"] if "cells" in place else ["field.magnitude=1"]
    assert ", line 2: " in message(job(text), more) and "is an address" in message(job(text), more)
    assert message(job(text), more).endswith("download it first")


def test_keys_that_nobody_wrote_are_not_asked_about(job):
    config, origin = load_with_origin(None, ["run.duration=1e-5"])
    assert [line.partition(": ")[0] for line in origin.warnings(config)] == ["--set run.duration=1e-5"]


def test_a_reticulum_that_is_too_wide_is_said_with_its_line(job):
    from hpcpinn.systems.cell.build.morphology import load_cable

    config, origin = load_with_origin(job('[morphology]\nfile = "builtin:y_branch"\ner_radius = 50'))
    with pytest.raises(InputError) as caught, origin.naming_places():
        load_cable(config.morphology)
    assert str(caught.value).startswith(f"{origin.file}, line 3: ")


def test_a_long_run_may_last_for_hours_with_the_intervals_that_it_chooses():
    long = ['window.kind="split"', "field.magnitude=100.0", "run.duration='5 h'"]
    assert load_config(None, long).run.duration == 1.8e7
    with pytest.raises(InputError, match=r"run\.output_interval: makes 1\.8e\+07 frames in this run"):
        load_config(None, [*long, "run.output_interval=1.0"])
