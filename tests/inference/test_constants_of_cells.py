"""Constants that shape what drives calcium, and coordinates of constants of either sign."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

from hpcpinn.coordinates import Coordinates
from hpcpinn.core.parameters import value_at, with_values
from hpcpinn.domain.patches import PatchPlace, Reach
from hpcpinn.domain.pieces import PieceRule, cut_into_pieces
from hpcpinn.errors import InputError
from hpcpinn.inference.infer import fit_once, settled
from hpcpinn.morphology import Cable
from hpcpinn.morphology.sites import Site, parse_site
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.physics.constants import PRESETS
from hpcpinn.systems.cell.build.constants import constants_of, own_value
from hpcpinn.systems.cell.build.coupled import coupled_setup
from hpcpinn.systems.cell.build.inverse import truth_of
from hpcpinn.systems.cell.build.model import drive_of
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.config import learnable
from hpcpinn.systems.cell.config.inverse import CellTruthConfig
from hpcpinn.systems.cell.constants import NOT_IN_COURSE, CellConstants, enters_course, value_of
from hpcpinn.systems.cell.course import CourseOf
from tests.inference.fork import SITES, check_slopes, exactly, inverse, small

SHAPING = (
    "release_duration", "release_patch", "z_ca", "temperature", "gates[0].z", "gates[0].half", "gates[0].tau",
    "gates[1].half", "gates[1].tau",
)  # fmt: skip
NEAR = ("dend[1](0.78)", "dend[1](0.8)", "dend[1](0.82)")
PLAIN_RELEASE = "synapse=[{site='dend[1](0.8)', start=0.5}]"


def test_coordinates_are_logarithms_or_measures_and_lead_back():
    both = Coordinates((0.0, 10.0))
    values = np.array([[2.0, -30.0], [1e-3, 5.0]])
    z = both.of(values)
    np.testing.assert_allclose(z, [[np.log(2.0), -3.0], [np.log(1e-3), 0.5]])
    np.testing.assert_allclose(both.values(jnp.asarray(z), jnp), values)
    with warnings.catch_warnings():  # bounds of what nothing determines are infinite, and no reason to say more
        warnings.simplefilter("error")
        far = both.values(np.array([[-np.inf, -np.inf], [np.inf, 1.0]]))
        np.testing.assert_array_equal(far, [[0.0, -np.inf], [np.inf, 10.0]])
    step = 1e-6
    differences = (both.values(z + step) - both.values(z - step)) / (2.0 * step)
    np.testing.assert_allclose(both.per_unit(values), differences, rtol=1e-6)


def test_every_constant_that_can_be_learned_has_a_unit_a_value_and_a_truth():
    """But gates: those of a preset may lack a rate."""
    known = PRESETS["physical-N"].replace(leak=1e-3)
    assert set(learnable.PLAIN) | {"gates", "buffers", "organelles", "cable", "field", "channels"} == set(
        CellTruthConfig.model_fields
    )
    for name in learnable.PLAIN:
        assert learnable.unit_of(name) and np.isfinite(value_of(name, known))
    assert learnable.unit_of("gates[0].half") == "mV" and value_of("gates[1].half", known) == -40.0
    truth = CellTruthConfig.model_validate({"gates": [{}, {"half": -35.0}], "vdcc_density": {"apic": 2.0}})
    assert truth.changes == {"gates[1].half": -35.0, "vdcc_density.apic": 2.0}
    assert value_of("gates[1].half", known, truth.changes) == -35.0


def test_the_courses_of_channels_and_releases_have_exact_derivatives():
    """Of all constants that shape them, against central differences."""
    config = small(PLAIN_RELEASE, "parameter=[{name='D_c'}]")
    problem = coupled_setup(config, SerialCommunicator())
    assert all(enters_course(name) for name in SHAPING)
    constants = CellConstants(
        problem.cell.constants.replace(leak=None), SHAPING, problem.cell.pieces.cable.kind[problem.local]
    )
    start, length = jnp.array([0.0, 0.5, 1.1]) * 1e-3, jnp.array([0.5, 0.6, 3.0]) * 1e-3
    drive = CourseOf(drive_of(config, problem), constants, start, length, None, SerialCommunicator())
    z = constants.coordinates.of([value_of(name, problem.cell.constants) for name in SHAPING])
    value = drive(jnp.asarray(z))[0].unit
    forced = problem.drive.window(problem.drive.steady_gates(0.0), 0.0, 0.5e-3).inside
    strength = problem.cell.constants.vdcc_density * problem.cell.constants.vdcc_permeability
    np.testing.assert_allclose(strength * value.channel_sink[0], forced.channel_sink, rtol=1e-12)
    np.testing.assert_allclose(value.release[0], forced.release, rtol=1e-12)
    # Away from where pieces end: there derivatives on both sides say the same in different ways.
    z[SHAPING.index("release_patch")] += 0.1
    _, (slope, _) = drive(jnp.asarray(z))
    for i, name in enumerate(SHAPING):
        step = np.where(np.arange(len(z)) == i, 1e-4, 0.0)
        ahead, behind = (drive(jnp.asarray(z + s))[0].unit for s in (step, -step))
        moved = False
        for leaf in ("channel_source", "channel_sink", "release"):
            differences = (getattr(ahead, leaf) - getattr(behind, leaf)) / 2e-4
            size = float(jnp.abs(differences).max())
            moved |= size > 0.0
            assert float(jnp.abs(getattr(slope, leaf)[i] - differences).max()) <= 1e-5 * size, (name, leaf)
        assert moved, name


def test_no_constant_that_enters_the_course_is_taken_not_to():
    """Derivatives of the course by those that are left out of it vanish, and by no other."""
    config = small(PLAIN_RELEASE, "parameter=[{name='D_c'}]")
    problem = coupled_setup(config, SerialCommunicator())
    drive, known = drive_of(config, problem), problem.cell.constants
    constants = CellConstants(known.replace(leak=None), (), problem.cell.pieces.cable.kind[problem.local])
    k = constants.course_constants(jnp.zeros(0))

    def course(values):
        at = drive.at(with_values(k, values))
        here = at.forced(at.steady_gates(0.0), 0.0, 3e-3).inside
        return jnp.concatenate([here.channel_source.ravel(), here.channel_sink.ravel(), here.release.ravel()])

    strengths = ("vdcc_density", "vdcc_permeability", "c_o", "j_release")  # factors, at unit strength or known
    own = {n: jnp.asarray(float(value_at(k, n))) for n in learnable.PLAIN if value_at(k, n) is not None}
    slopes = jax.jit(jax.jacfwd(course))(own)
    for name, slope in slopes.items():
        if name not in strengths:
            assert bool(jnp.any(slope != 0.0)) == enters_course(name), name
    assert set(NOT_IN_COURSE) <= set(learnable.PLAIN)


@pytest.mark.parametrize("length", [0.7, 2.0, 60.0, 1e4])
def test_shares_of_a_patch_are_those_the_pieces_are_cut_for(length: float):
    """Also across forks, and where it is longer than the cell; and half as long it covers half as much cable."""
    cable: Cable = load_cable(small().morphology)
    pieces = cut_into_pieces(cable, [(parse_site("dend[1](0.8)", cable), length)], [], PieceRule())
    every = np.arange(pieces.cable.n_frusta)
    place = PatchPlace.around(pieces.cable, parse_site("dend[1](0.8)", pieces.cable), every)
    nodes, weights = leggauss(6)
    whole = np.repeat(pieces.release[0][:, None], 6, axis=1)
    np.testing.assert_allclose(place.shares(length, nodes), whole, atol=1e-7)
    share = np.asarray(place.shares(length / 2.0, nodes)) @ weights / 2.0
    np.testing.assert_allclose(share @ pieces.cable.length, min(length / 2.0, cable.length.sum()), rtol=1e-9)


def test_the_edge_of_a_patch_is_where_it_is_within_a_piece():
    """Its amount, its middle and its width, up to the third moment."""
    reach = Reach(Site(0, 0.5, "here"), np.zeros(1), np.array([True]), np.array([2.0]))
    place = PatchPlace(reach, np.array([0]))
    nodes, weights = leggauss(6)
    share = np.asarray(place.shares(0.7, nodes))[0]  # from 2.65 to 3.35
    for power in range(4):
        wanted = (0.35 ** (power + 1) - (-0.35) ** (power + 1)) / (power + 1)
        np.testing.assert_allclose(weights * nodes**power @ share, wanted, atol=1e-12)


def test_gates_of_the_channel_are_found():
    """V½ and time constant of activation; both off by as much as a fit may begin with, with a prior on V½."""
    config = small(
        "parameter=[{name='gates[0].half', start=-10.0, prior=-18.0, prior_sd=20.0}, "
        "{name='gates[0].tau', start=2.5e-3}]",
        "data.truth={gates=[{half=-24.0}]}",
        "data.noise=1e-14",
        "run.duration=2.0",
    )
    problem = inverse(config)
    traces = exactly(config, problem)
    fit, _ = fit_once(problem, traces)
    found = problem.model.coordinates.values(fit.z)
    assert fit.converged
    np.testing.assert_allclose(found, [-24.0, 1.5e-3], rtol=1e-4)
    assert truth_of(config, problem) == {"gates[0].half": -24.0, "gates[0].tau": 1.5e-3}
    check_slopes(problem, traces)
    assert problem.prior.precision.tolist() == [(10.0 / 20.0) ** 2, 0.0] and problem.prior.centre[0] == -1.8


def test_a_run_that_is_laid_for_a_start_keeps_its_own_values():
    """They are what data are made with where no truth is given."""
    config = small(PLAIN_RELEASE, "physics.constants.release_patch=1.7", "data.truth={}", "parameter=[{name='D_c'}]")
    known = constants_of(config, values={"release_duration": 5e-3, "release_patch": 3.0, "D_c": 100.0})
    assert (known.release_duration, known.release_patch, known.D_c) == (5e-3, 3.0, 220.0)
    assert own_value(config, known, "release_duration") == 1e-3
    assert own_value(config, known, "release_patch") == 1.7
    assert own_value(config, known, "release_patch", {"release_patch": 2.0}) == 2.0


@pytest.mark.slow
def test_duration_and_patch_of_releases_are_found_on_windows_laid_for_them():
    """Windows end where a release does: those of the start are wrong for the answer."""
    config = small(
        PLAIN_RELEASE,
        "parameter=[{name='release_duration', start=1.6e-3}, {name='release_patch', start=1.5}]",
        "data.truth={release_duration=0.9e-3, release_patch=2.2}",
        "run.duration=2.0",
        "data.noise=1e-14",
        "window.tolerance=3e-3",
        f"data.sites={list(NEAR)}",
    )
    problem = inverse(config, NEAR)
    after, fit, _ = settled(problem, exactly(config, problem, 2e-3))
    found = after.model.coordinates.values(fit.z)
    assert fit.converged
    np.testing.assert_allclose(found, [0.9e-3, 2.2], rtol=1e-3)


REFUSED = {
    "positive": ("{name='D_c', start=-1.0}", r"start: -1: 'D_c' is positive"),
    "width of a positive one": ("{name='D_c', prior=1.0, prior_sd=0.1}", "'D_c' is positive: the width of its prior"),
    "width of a voltage": (
        "{name='rest_voltage', prior=-70.0, prior_factor=2.0}",
        "'rest_voltage' may have either sign: the width of its prior is prior_sd",
    ),
    "no width": ("{name='rest_voltage', prior=-70.0}", "needs prior and prior_sd together; prior_sd is missing"),
    "out of bounds": (
        "{name='gates[0].gamma', start=1.5}",
        r"number 1, start: 1.5 is not allowed: 'gates\[0\].gamma' must be at least 0 and at most 1$",
    ),
    "no gate": ("{name='gates[0].power'}", r"no constant that can be inferred; .*gates\[N\]"),
    "own duration": ("{name='release_duration'}", "'release_duration' is the duration of all releases, and synapse"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parameters_that_contradict_themselves_are_refused(case: str):
    parameter, line = REFUSED[case]
    with pytest.raises(InputError, match=line):
        small(f"parameter=[{parameter}]", "data.truth={}")


@pytest.mark.parametrize(
    ("name", "line"),
    [("gates[2].half", "there are 2 gates, numbered from 0"), ("gates[0].rate", "has no rate")],
)
@pytest.mark.parametrize("start", ["", ", start=1.0"])
def test_gates_that_the_channel_does_not_have_are_refused(name: str, line: str, start: str):
    with pytest.raises(InputError, match=line):
        inverse(small(f"parameter=[{{name='{name}'{start}}}]", "data.truth={}"), SITES)


def test_constants_of_a_dye_and_of_an_organelle_have_exact_derivatives():
    """The total of a buffer included: it scales nothing and is the origin of nothing that is not learned with it."""
    config = small(
        "buffer=[{name='fluo4', total=50.0, k_plus=236.0, k_minus=82.6, D=60.0}]", "morphology.er_fraction=0.3",
        "organelle=[{serca_max=300.0}]",
        "parameter=[{name='buffers[0].total', start=40.0}, {name='buffers[0].k_minus'}, "
        "{name='organelles[0].serca_max'}]",
        "data.truth={buffers=[{total=60.0}]}", "data.noise=1e-14", "run.duration=1.2",
    )  # fmt: skip
    problem = inverse(config)
    assert truth_of(config, problem)["buffers[0].total"] == 60.0
    check_slopes(problem, exactly(config, problem))


def test_buffers_that_a_run_does_not_have_are_refused():
    with pytest.raises(InputError, match=r"'buffers\[0\].total': there are 0 buffers, numbered from 0"):
        inverse(small("parameter=[{name='buffers[0].total'}]", "data.truth={}"), SITES)
