"""From a run description to the forward model of a cell: its windows are those of a run."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.domain.patches import PatchPlace
from hpcpinn.errors import InputError, concerning
from hpcpinn.marching.march import March
from hpcpinn.morphology import Cable
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.morphology.sites import Site, parse_site
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.systems.cell.build.constants import starting_values, with_given_leak
from hpcpinn.systems.cell.build.coupled import coupled_setup
from hpcpinn.systems.cell.build.stimulus import releases_of
from hpcpinn.systems.cell.build.voltage import voltage_of
from hpcpinn.systems.cell.cable_windows import CableState, CableWindows
from hpcpinn.systems.cell.config.learnable import BY_TYPE
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.constants import CellConstants, PieceConstants, enters_course
from hpcpinn.systems.cell.coupled_run import CoupledRun
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.systems.cell.course import CourseOf, DriveOf, UnitCourse
from hpcpinn.systems.cell.forward_march import FixedMarch, WindowSequence
from hpcpinn.systems.cell.model import CellModel
from hpcpinn.timestepping.forcing import CalciumDrive, WindowDrive


def build_model(
    config: RunConfig, communicator: Communicator, names: Sequence[str], start: Sequence[float | None],
    sites: Sequence[str],
) -> tuple[CellModel, Float[ndarray, " p"]]:  # fmt: skip
    """The model, its windows those of a run with the starting constants; and these. Collective over all ranks.

    Args:
        config: The run description: coupled windows by least squares with Robin's rule.
        communicator: All ranks.
        names: Names of the constants that are learned.
        start: Starting values; None where the run's own. Windows, pieces and voltage are those of these values.
        sites: Places where calcium is seen.

    Raises:
        InputError: What the user gave cannot be used.
        SolveError: The run with the starting constants does not reach its tolerance.
    """
    given = {name: value for name, value in zip(names, start, strict=True) if value is not None}
    problem = coupled_setup(config, communicator, values=given)
    solver = problem.solver
    assert isinstance(solver, CoupledWindow)
    pieces = problem.cell.pieces.cable
    known = with_given_leak(config, problem.cell.constants)
    communicator.on_root(_check_types, names, pieces)
    begin = communicator.on_root(starting_values, config, problem.cell.constants, names, start)
    values = jnp.asarray(begin)
    found = communicator.on_root(_sites, sites, pieces)
    constants = CellConstants(known, tuple(names), pieces.kind[problem.local])
    drive = drive_of(config, problem)
    learned = constants.learned(values)
    sequence = _pilot(problem, communicator, solver, drive.at(constants.course_constants(values)), learned)
    local = {int(piece): row for row, piece in enumerate(problem.local)}
    site_piece = np.array([local[site.frustum] for site in found if site.frustum in local], int)
    source = problem.cell.source

    def course_of(constants: CellConstants) -> CourseOf | None:
        voltage = voltage_of(config, source, constants.names, given)
        if voltage is None and not any(enters_course(name) for name in constants.names):
            return None
        return CourseOf(drive, constants, sequence.start, sequence.length, voltage, communicator)

    march = FixedMarch(solver, constants, sequence, course_of(constants), site_piece)
    return CellModel(problem, communicator, tuple(names), found, march, course_of, config.data.indicator), begin


def drive_of(config: RunConfig, problem: CoupledSetup) -> DriveOf:
    """What acts on the pieces of a run, as a function of constants."""
    releases, cable = releases_of(config), problem.cell.pieces.cable
    return DriveOf(
        plain=problem.drive,
        releases=releases,
        patches={
            number: PatchPlace.around(cable, parse_site(release.site, cable), problem.local)
            for number, release in enumerate(releases)
            if release.patch is None
        },
        rest_follows=config.physics.constants.rest_voltage is None,
    )


def _check_types(names: Sequence[str], pieces: Cable) -> None:
    there = sorted({kind_name(int(kind)) for kind in pieces.kind})
    for number, name in enumerate(names):
        wanted = name.removeprefix(BY_TYPE)
        if name.startswith(BY_TYPE) and wanted not in there:
            raise InputError(
                f"[[parameter]] number {number + 1}, name: {name!r}: this cell has no neurite of type {wanted!r}; "
                f"there are {', '.join(there)}",
                ("parameter", number, "name"),
            )


def _sites(names: Sequence[str], pieces: Cable) -> tuple[Site, ...]:
    found = []
    for number, name in enumerate(names):
        with concerning("data", "sites", number):
            found.append(parse_site(name, pieces))
    return tuple(found)


def _pilot(
    problem: CoupledSetup, communicator: Communicator, solver: CoupledWindow, unit_drive: CalciumDrive,
    learned: PieceConstants,
) -> WindowSequence:  # fmt: skip
    """Windows as a forward run with the given constants chooses them."""
    solver = replace(solver, equation=learned.system)
    space = len(solver.table.grid.space)
    at_rest = learned.at_rest()
    field = jnp.broadcast_to(at_rest[None, :, None], (len(problem.local), len(at_rest), space))
    begun = CoupledRun(problem, communicator).start()._replace(field=field, gates=unit_drive.steady_gates(0.0))
    rest = learned.system.constants.rest_voltage

    def by_units(state: CableState, length: float) -> WindowDrive:
        """The forcing by channels of unit strength."""
        return unit_drive.window(state.gates, state.time, length)

    def driven(state: CableState, length: float) -> WindowDrive:
        unit = by_units(state, length)
        return unit._replace(inside=learned.forcing(unit.inside), checks=learned.forcing(unit.checks))

    starts, lengths, resolvents, units, fluxes, guesses = [], [], [], [], [], []
    for step in March.begun(CableWindows(solver, problem.windows, problem.stops, driven), begun):
        solution, unit = step.attempt.inside.solution, by_units(step.before, step.attempt.length)
        starts.append(step.before.time)
        lengths.append(step.attempt.length)
        resolvents.append(solution.linear.linear.resolvent)
        units.append(unit.inside)
        fluxes.append(unit.end_flux)
        guesses.append(solution.traces.heads)
    return WindowSequence(
        jnp.asarray(starts), jnp.asarray(lengths), jnp.stack(resolvents),
        UnitCourse(jax.tree.map(lambda *leaves: jnp.stack(leaves), *units), jnp.full(len(starts), rest)), None,
        jnp.stack(fluxes), jnp.stack(guesses),
    )  # fmt: skip
