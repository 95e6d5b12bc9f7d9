"""The model of an inference on a neuron: a run's cell, a fixed sequence of windows, calcium at sites."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.config import RunConfig
from hpcpinn.domain.coupled_window import CoupledWindow
from hpcpinn.errors import InputError, SolveError, concerning
from hpcpinn.inference.neuron_march import CALCIUM, FixedMarch, Marched, WindowSequence
from hpcpinn.morphology import Cable
from hpcpinn.morphology.frusta import kind_name
from hpcpinn.morphology.sites import Site, parse_site
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.physics.calcium_system import CalciumSystem
from hpcpinn.physics.constants import PRESETS, CalciumConstants
from hpcpinn.physics.learned_calcium import PieceConstants, base_name, cell_constants, unit_constants
from hpcpinn.timestepping.controller import Plan, after_accepted, after_rejected, next_length
from hpcpinn.timestepping.forcing import CalciumDrive, WindowDrive
from hpcpinn.workflows.march import Attempt, Factors, March, State, attempted, why_rejected
from hpcpinn.workflows.problem import Problem, build_problem


def known_constants(config: RunConfig, problem: Problem) -> CalciumConstants:
    """The constants of a run, its leak None where it balances rest."""
    given = config.physics.constants.leak
    leak = PRESETS[config.physics.preset].leak if given is None else given
    return problem.cell.constants.replace(leak=leak)


@dataclass(frozen=True)
class Seen:
    """Calcium at places and times, and its derivatives by the logarithms of the constants.

    Attributes:
        value: µM, (N,).
        slope: (N, p).
    """

    value: Float[ndarray, " N"]
    slope: Float[ndarray, "N p"]


@dataclass(frozen=True)
class NeuronModel:
    """Calcium at sites of a cell as a function of constants. Collective over all ranks.

    Attributes:
        problem: The run.
        communicator: All ranks.
        names: What is learned.
        sites: Where calcium is seen.
        march: Over the windows that the starting constants ask for.
    """

    problem: Problem
    communicator: Communicator
    names: tuple[str, ...]
    sites: tuple[Site, ...]
    march: FixedMarch

    def solved(self, z: Float[ndarray, " p"], near: Marched | None = None) -> Marched:
        """The heads at given logarithms.

        Args:
            z: The logarithms.
            near: The heads at others nearby, to begin with.

        Raises:
            SolveError: A window could not be solved.
        """
        marched = self.march.run(jnp.asarray(z), near)
        change = np.asarray(marched.change)
        if not np.all(change < 1e3 * self.march.tolerance):
            window = int(np.argmax(~(change < 1e3 * self.march.tolerance)))
            start = float(self.march.sequence.start[window]) / self.problem.cell.constants.time_unit
            values = ", ".join(f"{n} = {v:.3g}" for n, v in zip(self.names, np.exp(z), strict=True))
            raise SolveError(
                f"infer: the window at t = {start:.4g} ms is not solved with {values} (last change "
                f"{change[window]:.2g}); begin nearer with parameter.start, or lower window.tolerance"
            )
        return marched

    def seen(self, marched: Marched, site: Int[ndarray, " N"], time: Float[ndarray, " N"]) -> Seen:
        """Calcium at the sites (by number) and times (ms), the same on every rank.

        Args:
            marched: Of `solved`.
        """
        unit = self.problem.cell.constants.time_unit
        start, length = (np.asarray(x) for x in self.march.sequence[:2])
        t = np.asarray(time) * unit
        window = np.clip(np.searchsorted(start, t, side="right") - 1, 0, len(start) - 1)
        tau = np.clip(2.0 * (t - start[window]) / length[window] - 1.0, -1.0, 1.0)
        mine = np.flatnonzero(self._row_of_site[site] >= 0)
        value = np.zeros(len(t))
        slope = np.zeros((len(t), len(self.names)))
        if len(mine):
            at, row = window[mine], self._row_of_site[site[mine]]
            xi = np.array([2.0 * self.sites[s].fraction - 1.0 for s in site[mine]])
            features = np.asarray(self.problem.solver.table.trunk.features(xi, tau[mine]).value)
            measure = CalciumSystem(self.march.constants.known.replace(leak=0.0))
            scale, rest = measure.scale[CALCIUM], measure.rest[CALCIUM]
            heads = np.asarray(marched.heads)[at, row]
            value[mine] = rest + scale * np.sum(heads * features, axis=1)
            heads_slope = np.asarray(marched.heads_slope)[:, at, row]
            slope[mine] = scale * np.einsum("znm,nm->nz", heads_slope, features)
        everything = np.asarray(self.communicator.sum(jnp.asarray(np.column_stack([value, slope]))))
        return Seen(everything[:, 0], everything[:, 1:])

    def learning(self, names: Sequence[str]) -> "NeuronModel":
        """The same with other constants learned."""
        constants = replace(self.march.constants, names=tuple(names))
        return replace(self, names=tuple(names), march=replace(self.march, constants=constants))

    def over_the_cell(
        self, marched: Marched, spread: Float[ndarray, "p p"]
    ) -> tuple[Float[ndarray, " W"], Float[ndarray, "W F"], Float[ndarray, "W F"]]:
        """Calcium on all pieces at the ends of windows: times (ms), means and standard deviations (µM).

        Args:
            marched: Of `solved`.
            spread: Covariance of the logarithms.
        """
        slope = np.asarray(marched.mean_slope)
        sd = np.sqrt(np.einsum("pwf,pq,qwf->wf", slope, spread, slope))
        mine = (self.problem.local, np.asarray(marched.mean), sd)
        shape = (len(sd), self.problem.cell.pieces.cable.n_frusta)
        mean, deviation = np.zeros(shape), np.zeros(shape)
        for local, values, spreads in self.communicator.share(mine):
            mean[:, local], deviation[:, local] = values, spreads
        start, length = (np.asarray(x) for x in self.march.sequence[:2])
        return (start + length) / self.problem.cell.constants.time_unit, mean, deviation

    @cached_property
    def _row_of_site(self) -> Int[ndarray, " S"]:
        """Row of a site among this rank's, −1 for those of other ranks."""
        local = set(self.problem.local.tolist())
        mine = [i for i, site in enumerate(self.sites) if site.frustum in local]
        rows = np.full(len(self.sites), -1)
        rows[mine] = np.arange(len(mine))
        return rows


def build_model(
    config: RunConfig, communicator: Communicator, names: Sequence[str], start: Sequence[float | None],
    sites: Sequence[str],
) -> NeuronModel:  # fmt: skip
    """Sets up the model and finds its windows by a run with the starting constants. Collective over all ranks.

    Args:
        config: The run description: coupled windows by least squares with Robin's rule.
        communicator: All ranks.
        names: What is learned.
        start: Starting values; None where the run's own.
        sites: Where calcium is seen.

    Raises:
        InputError: What the user gave cannot be used.
        SolveError: The run with the starting constants does not reach its tolerance.
    """
    problem = build_problem(config, communicator)
    solver = problem.solver
    assert isinstance(solver, CoupledWindow)
    pieces = problem.cell.pieces.cable
    known = known_constants(config, problem)
    communicator.on_root(_refuse_absent_types, names, pieces)
    own = [float(getattr(problem.cell.constants, base_name(name))) for name in names]
    values = jnp.asarray([given or value for given, value in zip(start, own, strict=True)])
    if len(np.flatnonzero(np.asarray(values) <= 0.0)):
        name = names[int(np.argmin(np.asarray(values)))]
        raise InputError(f"[[parameter]]: {name} is 0 in the run, and no logarithm begins there; give parameter.start")
    found = communicator.on_root(_sites, sites, pieces)
    constants = cell_constants(known, names, pieces.kind[problem.local])
    unit_drive = replace(problem.drive, constants=unit_constants(known))
    sequence = _pilot(problem, communicator, solver, unit_drive, constants.learned(values))
    local = {int(piece): row for row, piece in enumerate(problem.local)}
    site_piece = np.array([local[site.frustum] for site in found if site.frustum in local], int)
    march = FixedMarch(solver, constants, sequence, site_piece)
    return NeuronModel(problem, communicator, tuple(names), found, march)


def _refuse_absent_types(names: Sequence[str], pieces: Cable) -> None:
    there = sorted({kind_name(int(kind)) for kind in pieces.kind})
    for number, name in enumerate(names):
        wanted = name.partition(".")[2]
        if wanted and wanted not in there:
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
    problem: Problem, communicator: Communicator, solver: CoupledWindow, unit_drive: CalciumDrive,
    learned: PieceConstants,
) -> WindowSequence:  # fmt: skip
    """Windows as a forward run with the given constants chooses them."""
    solver = replace(solver, equation=learned.system)
    space = len(solver.table.grid.space)
    begun = March(problem, communicator).begin()
    field = jnp.broadcast_to(learned.at_rest()[None, :, None], (len(problem.local), 2, space))
    state = begun._replace(field=field, gates=unit_drive.steady_gates(0.0))
    stops, factors = problem.stops, None
    starts, lengths, resolvents, units, fluxes, guesses = [], [], [], [], [], []
    while state.time < stops[-1] * (1.0 - 1e-12):
        next_stop = float(stops[np.searchsorted(stops, state.time * (1.0 + 1e-12), side="right")])
        attempt, unit, plan = _accepted(problem, solver, unit_drive, learned, state, next_stop, factors)
        linear = attempt.solution.linear
        factors = Factors(linear, attempt.length)
        starts.append(state.time)
        lengths.append(attempt.length)
        resolvents.append(linear.linear.resolvent)
        units.append(unit.inside)
        fluxes.append(unit.end_flux)
        guesses.append(attempt.solution.traces.heads)
        state = State(
            time=state.time + attempt.length,
            field=solver.at_end(attempt.solution.traces.heads),
            gates=unit.gates,
            plan=plan,
            size=np.maximum(state.size, attempt.solution.size),
            reach=np.maximum(state.reach, attempt.away_norm),
        )
    return WindowSequence(
        jnp.asarray(starts), jnp.asarray(lengths), jnp.stack(resolvents),
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *units), jnp.stack(fluxes), jnp.stack(guesses),
    )  # fmt: skip


def _accepted(
    problem: Problem, solver: CoupledWindow, unit_drive: CalciumDrive, learned: PieceConstants, state: State,
    next_stop: float, factors: Factors | None,
) -> tuple[Attempt, WindowDrive, Plan]:  # fmt: skip
    """The next window that is within the tolerance, its forcing by channels of unit strength, and the plan."""
    rule, plan = problem.windows, state.plan
    while True:
        length = next_length(rule, plan, state.time, next_stop)
        unit = unit_drive.window(state.gates, state.time, length)
        drive = unit._replace(inside=learned.forcing(unit.inside), checks=learned.forcing(unit.checks))
        attempt = attempted(solver, rule.first, drive, state, length, factors)
        if attempt.error <= rule.tolerance:
            at_stop = math.isclose(state.time + length, next_stop, rel_tol=1e-12)
            more = next_stop < problem.stops[-1]
            effort = attempt.solution.sweeps / solver.sweep_limit
            return attempt, unit, after_accepted(rule, plan, length, attempt.error, at_stop and more, effort)
        why = why_rejected(attempt, state.time / problem.cell.constants.time_unit, rule.tolerance)
        plan = after_rejected(rule, plan, length, attempt.error, why)
        factors = None
