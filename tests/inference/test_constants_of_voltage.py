"""Constants of the membrane and the field, which calcium knows by way of the voltage."""

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.inference.infer import fit_once
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.physics.membranes import channel_set_named
from hpcpinn.systems.cell.build.coupled import coupled_setup
from hpcpinn.systems.cell.build.membrane import membrane_of
from hpcpinn.systems.cell.build.model import drive_of
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.build.voltage import solve_voltage, voltage_of
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.constants import CellConstants
from hpcpinn.systems.cell.course import CourseOf
from tests.inference.fork import JOBS, SITES, exactly, inverse

NAMES = (
    "cable.R_i", "cable.C_m", "cable.temperature", "field.magnitude", "channels.squid.sodium.conductance",
    "channels.squid.potassium.reversal", "channels.squid.leak.conductance",
)  # fmt: skip
DRIVEN = [
    f"morphology.file={JOBS / 'neuron_fork.swc'}",
    "field.magnitude=6000.0",
    "stimulation.start=0.3",
    "run.duration=2.5",
    f"data.sites={list(SITES)}",
    "data.interval=0.25",
    "window.tolerance=3e-2",
]


def driven(*more: str):
    return load_config(None, [*DRIVEN, *more])


@pytest.fixture(scope="module")
def config():
    return driven("cable.temperature=8.0")


@pytest.fixture(scope="module")
def problem(config):
    return coupled_setup(config, SerialCommunicator())


@pytest.fixture(scope="module")
def voltage(config, problem):
    return voltage_of(config, problem.cell.source, NAMES)


def starts(config, voltage) -> np.ndarray:
    return voltage.coordinates.of([membrane_of(config).value(name) for name in NAMES])


def test_the_voltage_is_that_of_a_run_also_with_other_constants(config, problem, voltage):
    """From rest on, which moves with the channels."""
    z = starts(config, voltage)
    np.testing.assert_allclose(voltage.at(jnp.asarray(z)), problem.cell.source.values, atol=1e-9)
    z = z + np.array([0.1, 0.05, 0.3, 0.05, 0.1, 0.2, 0.1])
    other = dict(zip(NAMES, voltage.coordinates.values(z).tolist(), strict=True))
    wanted = np.asarray(solve_voltage(config, load_cable(config.morphology), other).values)
    assert np.abs(wanted[0] - problem.cell.source.values[0]).max() > 0.1  # rest has moved
    np.testing.assert_allclose(voltage.at(jnp.asarray(z)), wanted, atol=1e-9)


def test_derivatives_of_the_voltage_and_of_what_it_opens_are_those_of_differences(config, problem, voltage):
    """And of rest, which the leak of calcium balances."""
    z = starts(config, voltage)
    known = problem.cell.constants.replace(leak=None)
    constants = CellConstants(known, NAMES, problem.cell.pieces.cable.kind[problem.local])
    start, length = jnp.array([0.0, 0.4, 0.9]) * 1e-3, jnp.array([0.4, 0.5, 1.5]) * 1e-3
    drive = CourseOf(drive_of(config, problem), constants, start, length, voltage, SerialCommunicator())
    (_, slope), (_, moved) = voltage(z), drive(jnp.asarray(z))
    for i, name in enumerate(NAMES):
        step = np.where(np.arange(len(z)) == i, 1e-4, 0.0)
        ahead, behind = (voltage(z + s)[0] for s in (step, -step))
        differences = (ahead - behind) / 2e-4
        assert float(jnp.abs(differences).max()) > 0.3, name
        assert float(jnp.abs(slope[i] - differences).max()) < 1e-5 * float(jnp.abs(differences).max()), name
        ahead, behind = (drive(jnp.asarray(z + s))[0] for s in (step, -step))
        for now, then, own in (
            (ahead.unit.channel_source, behind.unit.channel_source, moved.unit.channel_source[i]),
            (ahead.rest_voltage, behind.rest_voltage, moved.rest_voltage[i]),
        ):
            differences = (now - then) / 2e-4
            assert float(jnp.abs(own - differences).max()) < 1e-5 * float(jnp.abs(differences).max()) + 1e-9, name


def test_constants_of_channels_are_set_in_a_run_description():
    config = driven("channels.constants={squid={sodium={conductance=90.0}, leak={reversal=-60.0}}}")
    membrane = membrane_of(config)
    assert membrane.value("channels.squid.sodium.conductance") == 90.0
    assert membrane.value("channels.squid.leak.reversal") == -60.0
    assert membrane.value("channels.squid.potassium.conductance") == 36.0
    changed = membrane.library.region("squid").channels
    assert [c.conductance for c in changed.currents] == [90.0, 36.0, 0.3]
    assert changed.gates == channel_set_named("squid").gates
    quiet, lively = (
        np.asarray(solve_voltage(one, load_cable(one.morphology), values).values).max()
        for one, values in ((config, {"channels.squid.sodium.conductance": 0.0}), (driven(), None))
    )
    assert lively > quiet + 1.0


@pytest.mark.slow
def test_sodium_and_resistivity_are_found_from_calcium():
    learned = "parameter=[{name='channels.squid.sodium.conductance', start=100.0}, {name='cable.C_m', start=1.1}]"
    problem = inverse(driven(learned, "data.noise=1e-14"))
    truth = {"channels.squid.sodium.conductance": 120.0, "cable.C_m": 1.0}
    made_with = "data.truth={channels={squid={sodium={conductance=120.0}}}, cable={C_m=1.0}}"
    fit, _ = fit_once(problem, exactly(driven(learned, made_with, "data.noise=1e-14"), problem))
    assert fit.converged
    np.testing.assert_allclose(problem.model.coordinates.values(fit.z), list(truth.values()), rtol=1e-3)


REFUSED = {
    "given voltage": (["voltage.constant=-60.0"], "cable.R_i", "which here is given"),
    "no field": (["clamp=[{site='soma', start=0.1, duration=1.0, current=0.1}]"], "field.magnitude", "no field"),
    "fixed": ([*DRIVEN, "cable.R_i=150.0"], "cable.R_i", r"'cable.R_i' is fixed too in \[cable\]"),
    "fixed current": (
        [*DRIVEN, "channels.constants={squid={sodium={conductance=90.0}}}"],
        "channels.squid.sodium.conductance",
        r"fixed too in \[channels\]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_constants_of_a_voltage_that_is_not_solved_or_fixed_are_refused(case: str):
    keys, name, line = REFUSED[case]
    with pytest.raises(InputError, match=line):
        load_config(None, [*keys, f"parameter=[{{name='{name}'}}]", "data.sites=['dend[0](0.5)']"])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("channels.squid.calcium.conductance", "no current 'calcium' in it; there are sodium, potassium, leak"),
        ("channels.none.leak.conductance", "channels 'none': no such channel set"),
        ("cable.temperature", "is nothing in this run"),
    ],
)
def test_constants_that_the_membrane_does_not_have_are_refused(name: str, line: str):
    with pytest.raises(InputError, match=line):
        membrane_of(driven()).value(name)
