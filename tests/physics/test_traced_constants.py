"""Every declared constant can be differentiated by and batched over, held against differences."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.core.parameters import Constants, constant, declared, nested, nested_in, value_at, with_values
from hpcpinn.core.pytrees import traced
from hpcpinn.errors import InputError
from hpcpinn.morphology.compartments import compartments
from hpcpinn.physics import calcium, channel_sets, gates, ghk, sources
from hpcpinn.physics.calcium_system import CalciumForcing, CalciumSystem
from hpcpinn.physics.constants import PRESETS, BufferConstants, CalciumConstants, ReactionConstants
from hpcpinn.physics.dopamine import PRESETS as SQUARES
from hpcpinn.physics.dopamine import DopamineConstants, exact
from hpcpinn.physics.membrane_constants import CableConstants, FieldConstants
from hpcpinn.physics.membranes import channel_set_named
from hpcpinn.physics.pumped_binding import Deviation, deviation, rates, reaction_constants, state
from hpcpinn.physics.stiff_step import stiff_flow
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field
from hpcpinn.systems.cell.config.schema import SynapseConfig
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.flow_map_store import shipped_flow_map
from hpcpinn.timestepping.influx import surplus_leak
from hpcpinn.training.flow_map import ReactionState
from tests.reference.cables import branches

STEP = 1e-5
"""Of a difference, as a share of the value."""

WITHOUT_EFFECT = {
    "release_patch": "how much cable takes part is the pieces' affair: test_learned_constants",
    "channels[0].celsius": "the cable has a temperature, which goes before that of the set",
    "rest_voltage": "where the leak is given, nothing is balanced at it",
}
"""Constants that none of the functions below depends on, and why."""


def of_calcium(k: CalciumConstants) -> dict[str, Any]:
    """The equation's source, the drive of channels and releases, and what long runs make of the constants."""
    V, step = jnp.array([-75.0, -30.0, 5.0]), 0.4 * k.gates[0].tau
    before = gates.steady(jnp.full(3, -65.0), k)
    after = gates.advance(before, (jnp.full(3, -65.0), 0.5 * (V - 65.0), V), step, k)
    source, sink = ghk.channel(V, gates.opening(after, k), k)
    times = jnp.array([0.3, 0.6, 0.9]) * k.time_unit
    release = sources.release_flux(sources.releases([SynapseConfig(site="soma", start=0.2)], k), times)[:, 0]
    c, b = jnp.array([0.5, 2.0, 9.0]) * k.c_rest, k.b_rest - jnp.array([0.1, 1.0, 0.5])
    forcing = CalciumForcing(jnp.full(3, 1.3), source, sink, release)
    system = CalciumSystem(k)
    species = jnp.stack([c, b, *(0.9 * jnp.full(3, buffer.free(k.c_rest)) for buffer in k.buffers)])
    apart, ratio, reacting = (
        Deviation(jnp.array([0.1]), jnp.array([0.7]), (jnp.array([-0.4]),) * len(k.buffers)),
        jnp.array([2.0]),
        reaction_constants(k),
    )
    return {
        "gates": after,
        "channel": jnp.stack([source, sink]),
        "release": release,
        "source": jax.vmap(system.source, (1, 0))(species, forcing),
        "passage": jax.vmap(system.passage, (1, 0))(species, forcing),
        "slope": calcium.pump_slope(c, k),
        "diffusion": jnp.stack(system.diffusion),
        "rest": jnp.stack(k.rest),
        "reaction by itself": jnp.stack(jax.tree.leaves(rates(apart, ratio, reacting))),
        "leak of the influx": jnp.asarray(surplus_leak(k)),
    }


def of_dopamine(k: DopamineConstants) -> dict[str, Any]:
    return {"field": exact(jnp.array([0.0, 0.7, 2.5]), jnp.array([0.1, 2.3, -1.0]), jnp.array([0.0, 1.0, 9.0]), k)}


@traced
@dataclass(frozen=True)
class DrivenCable(Constants):
    """All constants of a membrane that a field drives."""

    name: str
    cable: tuple[CableConstants, ...] = nested(CableConstants, "The cable")
    field: tuple[FieldConstants, ...] = nested(FieldConstants, "The field")
    channels: tuple[channel_sets.ChannelSet, ...] = nested(channel_sets.ChannelSet, "The channels")


CODE = channel_set_named("code")
DRIVEN = DrivenCable("fork", (CableConstants(120.0, 0.8, 30.0),), (FieldConstants(150.0),), (CODE,))
FORK = compartments(branches([100.0, 60.0, 50.0], [(2.0, 2.0), (1.0, 1.0), (1.0, 1.0)], [-1, 0, 0]), np.ones(3, int))


def of_membrane(k: DrivenCable) -> dict[str, Any]:
    """Currents, gates, rest, and the voltage that a pulse of the field and a clamp make of it on a fork."""
    (cable,), (field,), (channels,) = k.cable, k.field, k.channels
    V, x = jnp.array([-70.0, -20.0, 30.0]), jnp.full((3, 3), 0.3)
    known = CableEquation(FORK, [CODE] * FORK.count, DRIVEN.cable[0])
    equation = known.with_constants(cable, {CODE.name: channels})
    psi = quasipotential(FORK.cable, uniform_field(1.0, [1, 0, 0]))[FORK.node]
    sources = jnp.stack([equation.field_source(field.magnitude * jnp.asarray(psi)), equation.clamp_source(0, 0.05)])
    rest = equation.rest_near(known.uniform_state(CODE.rest), steps=8)
    implicit, drive = jnp.array([1.0, 0.5, 0.5, 0.5]), jnp.array([[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2)
    return {
        "current": channel_sets.current_density(channels, V, x),
        "gates": channel_sets.advance(channels, x, V, 0.1, cable.temperature),
        "rest": rest.V[equation.rows],
        "voltage": equation.voltages(rest, (jnp.full(4, 0.05), implicit, drive), jnp.array([1, 3]), sources),
    }


def leaves(constants: Constants) -> list[str]:
    """Names of all numbers that can be traced and are there, whether they can be learned or not."""
    names = [
        name
        for name, entry in declared(type(constants)).items()
        if entry.is_leaf and None not in (getattr(constants, name), getattr(constants, entry.needs or name))
    ]
    for name in nested_in(type(constants)):
        names += [f"{name}[{n}].{leaf}" for n, part in enumerate(getattr(constants, name)) for leaf in leaves(part)]
    return names


@dataclass
class Case:
    """A model at some constants.

    Attributes:
        function: Everything that depends on the constants, in parts.
        constants: Values at which it is differentiated.
    """

    function: Callable[[Any], dict[str, Any]]
    constants: Any

    @cached_property
    def compiled(self) -> Callable[[Any], dict[str, Any]]:
        return jax.jit(self.function)

    @cached_property
    def along(self) -> Callable[[Any, Any], dict[str, Any]]:
        """Derivatives of every part at some constants, along a direction."""
        return jax.jit(lambda k, direction: jax.jvp(self.function, (k,), (direction,))[1])

    def slopes(self, name: str) -> dict[str, Any]:
        """Derivatives of every part by one constant."""
        nowhere = jax.tree.map(lambda leaf: 0.0, self.constants)
        return self.along(self.constants, with_values(nowhere, {name: 1.0}))


CASES = {
    "physical-N": Case(of_calcium, PRESETS["physical-N"]),
    "physical-T with a leak": Case(of_calcium, PRESETS["physical-T"].replace(leak=3e-3)),
    "physical-N with a dye": Case(
        of_calcium, PRESETS["physical-N"].replace(buffers=(BufferConstants("fluo4", 50.0, 236.0, 82.6, 60.0),))
    ),
    "seed": Case(of_calcium, PRESETS["seed"].replace(leak=0.1, release_duration=2.0)),
    "dopamine": Case(of_dopamine, SQUARES["dopamine"]),
    "driven cable": Case(of_membrane, DRIVEN),
}
EVERY = [(case, name) for case in CASES for name in leaves(CASES[case].constants)]


@pytest.mark.parametrize("case, name", EVERY, ids=[f"{case}: {name}" for case, name in EVERY])
def test_the_derivative_by_every_constant_is_that_of_differences_and_not_silently_zero(case: str, name: str):
    given = CASES[case]
    value = value_at(given.constants, name)
    step = STEP * (abs(value) or 1.0)
    ahead, behind = (given.compiled(with_values(given.constants, {name: value + s})) for s in (step, -step))
    moved = []
    for part, found in given.slopes(name).items():
        slope = np.asarray(found)
        wanted = np.asarray((ahead[part] - behind[part]) / (2.0 * step))
        round_off = 1e-15 * np.abs(np.asarray(ahead[part])) / step
        assert np.all(np.abs(slope - wanted) <= 1e-7 * np.abs(wanted).max() + 100.0 * round_off), part
        if np.any(slope != 0.0):
            moved.append(part)
    is_idle = name in WITHOUT_EFFECT and not (name == "rest_voltage" and given.constants.leak is None)
    assert bool(moved) != is_idle, moved


def test_the_stiff_sub_step_follows_the_constants_of_the_reaction():
    """All of them at once: along a direction."""
    k = reaction_constants(PRESETS["physical-N"])
    numbers, structure = jax.tree.flatten(k)
    towards = jax.tree.unflatten(structure, [(1 + place) * number for place, number in enumerate(numbers)])

    @jax.jit
    def relaxed(k: ReactionConstants) -> jax.Array:
        d = deviation(jnp.array([0.4, 3.0]), jnp.array([140.0, 120.0]), k)
        return jnp.stack(state(stiff_flow(d, jnp.array(3e-3), jnp.array([2.0, 6.0]), k), k))

    along = jax.jit(lambda k: jax.jvp(relaxed, (k,), (towards,))[1])(k)
    ahead, behind = (relaxed(jax.tree.map(lambda x, d, s=s: x + s * d, k, towards)) for s in (STEP, -STEP))
    np.testing.assert_allclose(along, (ahead - behind) / (2.0 * STEP), rtol=1e-6)


def test_a_flow_map_is_no_function_of_the_constants_that_it_was_trained_for():
    """Never a silent zero: the derivative is refused."""

    def calcium_after(k_plus: jax.Array) -> jax.Array:
        flow_map = shipped_flow_map(PRESETS["physical-N"].replace(k_plus=k_plus))
        return flow_map(ReactionState(jnp.array(0.4), jnp.array(140.0)), jnp.array(1e-3), jnp.array(2.0)).c

    with pytest.raises(InputError, match="traced.*stiff sub-step"):
        jax.grad(calcium_after)(27.0)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_of_constants_is_every_one_by_itself(case: str):
    given = CASES[case]
    others = jax.tree.map(lambda leaf: leaf * 1.07, given.constants)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), given.constants, others)
    batched = jax.jit(jax.vmap(given.function))(both)
    for number, constants in enumerate((given.constants, others)):
        for part, alone in given.compiled(constants).items():
            np.testing.assert_allclose(batched[part][number], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_constants_keep_their_names_and_can_be_compared_and_hashed(case: str):
    constants = CASES[case].constants
    numbers, structure = jax.tree.flatten(constants)
    assert len(numbers) == len([x for x in map(float, numbers) if np.isfinite(x)])
    again = jax.tree.unflatten(structure, numbers)
    assert again == constants and hash(again) == hash(constants) and again.name == constants.name


def test_what_is_no_number_makes_compiled_code_anew():
    @traced
    @dataclass(frozen=True)
    class Bent(Constants):
        gain: float = constant("Gain", default=2.0)
        power: int = 2

    assert traced(Bent) is Bent
    counted = []

    @jax.jit
    def bent(k: Bent) -> jax.Array:
        counted.append(k.power)
        return k.gain**k.power

    assert float(bent(Bent())) == 4.0 and float(bent(Bent(3.0))) == 9.0 and float(bent(Bent(2.0, 3))) == 8.0
    assert counted == [2, 3]
