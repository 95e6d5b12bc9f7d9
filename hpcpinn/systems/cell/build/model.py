"""From a run description to the forward model of a cell: its windows are those of a run."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.errors import InputError, concerning
from hpcpinn.marching.march import March
from hpcpinn.morphology import Cable
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.morphology.sites import Site, parse_site
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.constants import PRESETS, CalciumConstants
from hpcpinn.systems.cell.build.coupled import coupled_setup
from hpcpinn.systems.cell.build.values import starting_values
from hpcpinn.systems.cell.cable_windows import CableState, CableWindows
from hpcpinn.systems.cell.config.learnable import BY_TYPE
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.constants import CellConstants, PieceConstants
from hpcpinn.systems.cell.coupled_run import CoupledRun
from hpcpinn.systems.cell.coupled_setup import CoupledSetup
from hpcpinn.systems.cell.course import DriveOf, UnitCourse
from hpcpinn.systems.cell.forward_march import FixedMarch, WindowSequence
from hpcpinn.systems.cell.model import CellModel, _course_of
from hpcpinn.timestepping.forcing import CalciumDrive, WindowDrive


def known_constants(config: RunConfig, problem: CoupledSetup) -> CalciumConstants:
    """The constants of a run, its leak None where it balances rest."""
    given = config.physics.constants.leak
    leak = PRESETS[config.physics.preset].leak if given is None else given
    return problem.cell.constants.replace(leak=leak)


def build_model(
    config: RunConfig, communicator: Communicator, names: Sequence[str], start: Sequence[float | None],
    sites: Sequence[str],
) -> CellModel:  # fmt: skip
    """Sets up the model and finds its windows by a run with the starting constants. Collective over all ranks.

    Args:
        config: The run description: coupled windows by least squares with Robin's rule.
        communicator: All ranks.
        names: What is learned.
        start: Starting values; None where the run's own. The run lays its windows and pieces as its own durations
            and patches of releases ask (`mesh_for`).
        sites: Where calcium is seen.

    Raises:
        InputError: What the user gave cannot be used.
        SolveError: The run with the starting constants does not reach its tolerance.
    """
    problem = coupled_setup(config, communicator)
    solver = problem.solver
    assert isinstance(solver, CoupledWindow)
    pieces = problem.cell.pieces.cable
    known = known_constants(config, problem)
    communicator.on_root(_check_types, names, pieces)
    values = jnp.asarray(communicator.on_root(starting_values, config, problem.cell.constants, names, start))
    found = communicator.on_root(_sites, sites, pieces)
    constants = CellConstants(known, tuple(names), pieces.kind[problem.local])
    drive = DriveOf.a_run(problem)
    learned = constants.learned(values)
    sequence = _pilot(problem, communicator, solver, drive.at(constants.course_constants(values)), learned)
    local = {int(piece): row for row, piece in enumerate(problem.local)}
    site_piece = np.array([local[site.frustum] for site in found if site.frustum in local], int)
    course_of = _course_of(problem, communicator, drive, constants, sequence)
    march = FixedMarch(solver, constants, sequence, course_of, site_piece)
    return CellModel(problem, communicator, tuple(names), found, march, drive, config.data.indicator)


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
