"""The voltage of a run description: field, pulses, clamps and channels as the user names them."""

import numpy as np
import pytest

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.morphology import parse_site
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.physics.voltage import voltage_at
from hpcpinn.systems.cell.build.coupled import coupled_setup, describe_cell
from hpcpinn.systems.cell.build.long import slot_setup
from hpcpinn.systems.cell.build.membrane import driven_cable
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.build.stimulus import stimulus_of
from hpcpinn.systems.cell.build.threshold import trial_of
from hpcpinn.systems.cell.build.voltage import solve_voltage
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.coupled_setup import site_weights
from hpcpinn.systems.cell.threshold import Search, find_threshold
from hpcpinn.timestepping.voltage_limits import beyond_all_membranes

PASSIVE = "channels={soma='passive',axon='passive',basal='passive',apical='passive'}"
CELL = ["morphology.file='builtin:ball_and_stick'", "cable.d_lambda=0.3"]
PULSE = ["field.magnitude=300", "field.direction=[1,0,0]", "stimulation.start=0.5", "run.duration=2"]


def described(*settings):
    return load_config(None, [*CELL, *settings])


def voltage_of(*settings):
    config = described(*settings)
    cable = load_cable(config.morphology)
    return solve_voltage(config, cable), cable


@pytest.fixture(scope="module")
def passive():
    return voltage_of(*PULSE, PASSIVE)


def test_the_voltage_is_sampled_over_the_run_and_rests_until_the_pulse(passive):
    source, _ = passive
    np.testing.assert_allclose(source.times, 1e-3 * np.linspace(0.0, 2.0, 81), atol=1e-15)
    assert source.values.shape == (81, len(source.sites)) and source.values.dtype == np.float64
    np.testing.assert_allclose(source.values[:21], -70.0, atol=1e-9)
    assert np.ptp(source.values[22]) > 1.0


def test_the_end_that_the_field_points_to_depolarises_first(passive):
    source, cable = passive
    places = [parse_site(name, cable) for name in source.sites]
    x = np.array([cable.xyz[p.frustum].T @ [1 - p.fraction, p.fraction] for p in places])[:, 0]
    during = np.asarray(source.values[22]) + 70.0
    assert during[x.argmax()] > 1.0 and during[x.argmin()] < -1.0


def test_a_passive_cell_answers_in_proportion(passive):
    half, _ = voltage_of(*PULSE, PASSIVE, "field.magnitude=-150")
    np.testing.assert_allclose(half.values + 70.0, -0.5 * (passive[0].values + 70.0), atol=1e-9)


def test_a_sampled_field_that_is_uniform_is_the_uniform_one(passive, tmp_path):
    cable = passive[1]
    low, high = cable.xyz.reshape(-1, 3).min(axis=0) - 5.0, cable.xyz.reshape(-1, 3).max(axis=0) + 5.0
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)
    rows = [",".join(map(repr, [*corner, 100.0, 0.0, 0.0])) for corner in corners.tolist()]
    (tmp_path / "e.csv").write_text("\n".join(["x,y,z,Ex,Ey,Ez", *rows]) + "\n")
    settings = [s for s in PULSE if "direction" not in s]
    sampled, _ = voltage_of(*settings, PASSIVE, f"field.file='{tmp_path / 'e.csv'}'", "field.magnitude=3")
    np.testing.assert_allclose(sampled.values, passive[0].values, atol=1e-8)


def test_shorter_steps_change_little():
    """A clamped squid cell: the default steps are converged to a thousandth of its spike."""
    clamp = ["clamp=[{site='soma', start=0.5, duration=1.0, current=3.0}]", "run.duration=6"]
    usual, _ = voltage_of(*clamp)
    fine, _ = voltage_of(*clamp, "cable.step=0.00625")
    assert np.ptp(fine.values) > 80.0
    root = np.sqrt(np.mean((usual.values - fine.values) ** 2))
    assert root < 2e-3 * np.ptp(fine.values)


def test_channels_follow_the_types():
    config = described(*PULSE, "channels.basal='code'", "channels.soma='passive'")
    driven = driven_cable(config, load_cable(config.morphology))
    rest = driven.equation.voltage(driven.equation.resting_state())
    kind = driven.compartments.kind
    assert set(kind.tolist()) >= {1, 3}
    all_squid = described(*PULSE)
    same = driven_cable(all_squid, load_cable(all_squid.morphology))
    other = same.equation.voltage(same.equation.resting_state())
    assert np.ptp(other) < 1e-6 and abs(rest[kind == 3].mean() - other.mean()) > 2.0


def test_the_calcium_run_is_driven_by_it():
    config = described(*PULSE, "pieces.max_length=50")
    cell = describe_cell(config)
    alone = solve_voltage(config, load_cable(config.morphology))
    assert len(cell.voltage_sites) == cell.source.values.shape[1]
    np.testing.assert_array_equal(cell.source.values, alone.values)
    # At the centre of a compartment the tree gives its voltage back.
    place = cell.voltage_sites[3]
    weights = site_weights(cell, np.array([place.frustum]), np.array([place.fraction]))
    np.testing.assert_allclose(voltage_at(cell.source, 0.7e-3, weights), alone.values[28, 3], atol=1e-9)
    assert cell.constants.rest_voltage == pytest.approx(float(alone.values[0].mean()))


def test_windows_end_where_pulses_and_clamps_do():
    """A window that steps over a pulse of 0.3 ms would not see it."""
    clamp = "clamp=[{site='soma', start=0.7, duration=1.0, current=1.0}]"
    release = "synapse=[{site='soma', start=0.5}]"
    config = described(*PULSE, clamp, release, "pieces.max_length=50")
    stops = 1e3 * coupled_setup(config, make_communicator("serial")).stops
    np.testing.assert_allclose(stops, [0.5, 0.7, 0.808, 1.5, 1.7, 2.0], atol=1e-9)


def test_protocols_by_name_and_by_numbers():
    by_name = stimulus_of(described(*PULSE, "stimulation.protocol='itbs600'"))
    assert by_name.protocol.count == 600 and by_name.waveform.name == "biphasic"
    numbers = "{pulses=3, pulse_interval=20.0, bursts=10, burst_interval=200.0, trains=20, train_interval='10 s'}"
    free = stimulus_of(described(*PULSE[:2], f"stimulation={numbers}"))
    np.testing.assert_array_equal(free.pulse_times, by_name.pulse_times)
    assert stimulus_of(described(*PULSE)).pulse_times.tolist() == [0.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["channels.soma='squit'"], r"channels\.soma: channels 'squit': .* did you mean 'squid'"),
        (["stimulation.protocol='iTBS60'"], r"stimulation\.protocol: protocol 'iTBS60': .*'iTBS600'"),
        (["stimulation.waveform='bi'"], r"stimulation\.waveform: waveform 'bi': no such waveform"),
        (["stimulation.pulses=2"], r"stimulation: pulse_interval is missing"),
        (["stimulation.bursts=2"], r"stimulation\.burst_interval is missing; 2 bursts"),
        (["stimulation.pulses=2", "stimulation.pulse_interval=0.2"], r"pulses 0\.2 ms apart are closer than"),
        (["field.direction=[0,0,0]"], r"field\.direction: field direction \[0, 0, 0\]: give three numbers"),
        (["clamp=[{site='apic[9]',start=0,duration=1,current=1}]"], r"\[\[clamp\]\] number 1, site: site 'apic\[9\]'"),
        (
            ["run.duration='5 h'", "run.output_interval='1 min'", "run.probe_interval='1 s'"],
            r"run\.duration = 300 min: the voltage every cable\.sample",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_one_line(settings, message):
    config = described(*PULSE, *settings)
    with pytest.raises(InputError, match=message) as refusal:
        solve_voltage(config, load_cable(config.morphology))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["stimulation.pulses=2"], r"stimulation\.pulses: pulses need a field; give field\.magnitude"),
        (["field.direction=[1,0,0]"], r"field\.direction: pulses need a field"),
        ([*PULSE, "voltage.constant=-60"], r"voltage\.constant: contradicts a field"),
        ([*PULSE, "physics.preset='seed'"], r"physics\.preset: 'seed' is dimensionless"),
        ([*PULSE, "field.file='e.csv'"], r"field\.direction: contradicts field\.file = 'e\.csv'"),
        ([*PULSE, "stimulation.protocol='1Hz'", "stimulation.bursts=3"], r"stimulation\.bursts: .* has its own"),
        (["channels.dendrite='squid'"], r"channels\.dendrite: unknown key; known here: set, soma, axon"),
    ],
)  # fmt: skip
def test_contradictions_are_found_before_anything_is_read(settings, message):
    with pytest.raises(InputError, match=message):
        described(*settings)


def rectangle(folder, width):
    path = folder / f"rectangle{width}.csv"
    path.write_text(f"time_ms,value\n0,1\n{width},1\n{width + 1e-3},0\n")
    return f"stimulation.waveform='{path}'"


def threshold_of(config, search):
    return find_threshold(trial_of(config, load_cable(config.morphology), search), search)


def test_thresholds_fall_with_the_width_of_the_pulse(tmp_path):
    """Strength-duration: longer pulses need weaker fields; and what is found does not hang on the steps."""
    found = []
    for settings in (
        [rectangle(tmp_path, 0.2)],
        [rectangle(tmp_path, 0.6)],
        [rectangle(tmp_path, 0.6), "cable.step=0.0125", "cable.pulse_step=0.0025"],
    ):
        config = described(*PULSE[:3], *settings)
        found.append(threshold_of(config, Search(highest=4000.0, wait=10.0)))
    short, long, fine = found
    assert short.value > 1.5 * long.value
    assert abs(long.value - fine.value) < 0.015 * fine.value
    for threshold in found:
        assert 0.0 < threshold.firing - threshold.silent <= 0.01 * threshold.firing
        assert all(fired == (strength >= threshold.firing) for strength, fired in threshold.tried)


def test_a_cell_that_never_fires_is_said_so():
    config = described(*PULSE, PASSIVE)
    with pytest.raises(InputError, match=r"no spike at soma within 5 ms up to 900 V/m; raise --up-to"):
        threshold_of(config, Search(highest=900.0, wait=5.0, is_typed=True))
    with pytest.raises(InputError, match=r"threshold: tolerance = 0\.0; give a positive number"):
        Search(tolerance=0.0)


SLIP = ["clamp=[{site='soma', start=0.1, duration=0.5, current=300}]", "run.duration=1", PASSIVE]


@pytest.mark.filterwarnings("ignore::hpcpinn.errors.InputWarning")
def test_a_voltage_that_no_membrane_survives_ends_a_run_with_place_time_and_the_likely_slip():
    with pytest.raises(InputError) as caught:
        voltage_of(*SLIP)
    said = str(caught.value)
    assert caught.value.key == ("clamp", 0, "current") and caught.value.exit_code == 2
    assert said.startswith("[[clamp]] number 1, current: 300 nA take the membrane to ")
    assert " mV (soma[0](" in said and "at 0.6 ms; beyond ±500 mV from 0.1" in said
    assert said.endswith("it looks like pA: write 0.3")
    # In slots of a long run as well.
    problem = slot_setup(described(*SLIP, "window.kind=split"))
    cache, (before, during, *_) = problem.new_cache(), problem.slots
    drive = cache.motif(before, problem.drive).end
    with pytest.raises(InputError) as again:
        cache.motif(during, drive)
    assert str(again.value).startswith("[[clamp]] number 1, current: 300 nA take the membrane to ")
    assert str(again.value).endswith("it looks like pA: write 0.3")


@pytest.mark.filterwarnings("ignore::hpcpinn.errors.InputWarning")
def test_what_drives_a_voltage_beyond_all_membranes_is_named():
    with pytest.raises(InputError, match=r"field\.magnitude: 20000 V/m take .*check it and its unit") as caught:
        voltage_of("field.magnitude=20000", "field.direction=[1,0,0]", "run.duration=2", PASSIVE)
    assert caught.value.key == ("field", "magnitude")
    clamp = "clamp=[{site='soma', start=0.1, duration=0.9, current=50.0}]"
    leak = "channels.constants.passive.leak.conductance"
    with pytest.raises(InputError, match=f"{leak}: 0.001 mS/cm² take .* it looks like S/cm²: write 1"):
        voltage_of(clamp, f"{leak}=0.001", "run.duration=1", "channels.soma=passive", "channels.basal=passive")


def test_voltages_up_to_the_limit_are_taken():
    times, V = np.array([0.5, 1.0]), np.array([[-70.0, 499.0], [-500.0, 0.0]])
    assert beyond_all_membranes(times, V, str) is None
    V[1, 0] = -501.0
    assert beyond_all_membranes(times, V, str) == "-501 mV (0, at 1 ms; beyond ±500 mV from 1 ms on)"
    V[1, 1] = np.nan
    assert beyond_all_membranes(times, V, str) == "no finite voltage (1, at 1 ms; beyond ±500 mV from 1 ms on)"


def test_pulses_for_which_a_run_is_too_short_are_said():
    train = ["field.magnitude=1", "stimulation.start=0.5", "stimulation.bursts=40", "stimulation.burst_interval=100"]
    with pytest.warns(InputWarning, match=r"stimulation\.pulses: 1 of 40 pulses begin before the end .* take") as all_:
        voltage_of(*train, "run.duration=1", PASSIVE)
    assert len(all_) == 1
