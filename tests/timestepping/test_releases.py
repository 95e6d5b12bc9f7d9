"""Releases and fluxes in split windows: what comes in is exact, wherever they go on and off."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from scipy.integrate import quad

from hpcpinn.morphology.compartments import compartments
from hpcpinn.physics.constants import PRESETS
from hpcpinn.physics.membrane_constants import CableConstants
from hpcpinn.physics.membranes import channel_set_named
from hpcpinn.physics.pumped_binding import reaction_constants
from hpcpinn.timestepping.cable_equation import CableEquation
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.cell_weights import cell_weights
from hpcpinn.timestepping.diffusion import cable_diffusion
from hpcpinn.timestepping.given_voltage import GivenVoltage
from hpcpinn.timestepping.influx import InfluxTable
from hpcpinn.timestepping.motifs import DriveState, SlotSolver, given_state
from hpcpinn.timestepping.pulse_steps import VoltageStepRule
from hpcpinn.timestepping.reaction import StiffReaction
from hpcpinn.timestepping.releases import CellSources
from hpcpinn.timestepping.slots import Course, Slot, Source, slots
from hpcpinn.timestepping.splitting import Splitting
from hpcpinn.timestepping.window_lengths import WindowLengths
from hpcpinn.training.flow_map import ReactionState
from synthetic import y_cable

PASSIVE = PRESETS["physical-N"].replace(pmca_max=0.0, ncx_max=0.0, vdcc_permeability=0.0)
"""Neither pumps nor channels: calcium only diffuses and binds."""


def two_sources() -> CellSources:
    """A release of 3 ms into cells 4 and 5, and a steady influx into cell 9."""
    density = np.array([[900.0, 700.0, 0.0], [0.0, 0.0, 40.0]])
    return CellSources(np.array([4, 5, 9]), density, np.array([3.0, np.inf]), np.array([True, False]), first=1)


def course(release: float, flux: float) -> Course:
    """The sources' times; one without effect comes first, as a clamp does."""
    return Course((
        Source(np.array([0.7]), 0.2, True),
        Source(np.array([release]), 3.0, False),
        Source(np.array([flux]), np.inf, True),
    ))  # fmt: skip


def test_moments_are_the_integrals_of_the_flux_times_the_sink() -> None:
    """On and off between ticks, over two slots; the sink grows linearly, so the integrals are smooth."""
    tick, length = 1e-5, 2.0
    one, rate = two_sources(), np.array([3.0, 5.0, 9.0])
    plan, times = course(0.333, 1.777), ((0.333, 3.333), (1.777, np.inf))
    sink = rate * tick * np.arange(201)[:, None]
    channels = InfluxTable(tick, sink, np.zeros((201, 4, 3)), np.zeros((0, 0)))
    for start in (0.0, length):
        found = one.table(Slot(start, length, (), plan.acting(start, start + length)), channels, sink)
        assert found is not None
        for cell, source in enumerate((0, 0, 1)):
            on, off = times[source]
            since, until = np.clip((on - start, off - start), 0.0, length)
            slope = (1.0 / 3.0, 0.0)[source]
            for n, factorial in enumerate((1.0, 1.0, 2.0, 6.0)):
                wanted, _ = quad(
                    lambda t, n=n, on=on, slope=slope, cell=cell, start=start: (
                        (1.0 - slope * (start + t - on)) * (1e-3 * rate[cell] * t) ** n
                    ), since, until, epsabs=0.0, epsrel=1e-13,
                )  # fmt: skip
                wanted *= 1e-3 * one.density[source, cell] / factorial
                assert found.powers[-1, n, cell] == pytest.approx(wanted, rel=1e-11 if n < 2 else 1e-4)


def test_without_pumps_the_cell_gains_what_came_in() -> None:
    """Total calcium, free and bound, over slots that begin at the onsets: to round-off."""
    k, until = PASSIVE, 6.0
    cable = y_cable(radii=(1.0, 0.63, 0.5), lengths=(20.0, 15.0, 10.0))
    points = compartments(cable, np.array([1, 1, 1]))
    equation = CableEquation(points, [channel_set_named("passive")] * points.count, CableConstants())
    cells = cable.split([np.arange(1, 5) / 5] * cable.n_frusta)
    grid, one = cell_grid(cells), two_sources()
    diffusion = cable_diffusion(grid, (k.D_c, k.D_b))
    solver = SlotSolver(
        cable=equation,
        sources=np.zeros((0, points.n_points)),
        stimulus=None,
        onset=0.0,
        steps=VoltageStepRule(),
        constants=k,
        to_cells=sparse.csr_matrix(np.full((grid.n, points.count), 1.0 / points.count)),
        diffusion=diffusion,
        lengths=WindowLengths(longest=2.0),
        given=GivenVoltage(np.zeros(1), np.array([[-70.0]]), sparse.csr_matrix(np.ones((points.count, 1)))),
        releases=one,
    )
    V = np.full(points.count, -70.0)
    drive = DriveState(given_state(equation, V), np.zeros((points.count, len(k.gates))))
    on_cells = cell_weights(solver.to_cells, one.cells)
    splitting = Splitting(StiffReaction(reaction_constants(k)), diffusion, jnp.asarray(grid.ratio), cells=on_cells)
    state = ReactionState(np.full(grid.n, k.c_rest), np.full(grid.n, k.b_rest))
    before = np.asarray(state.c - state.b) @ grid.volume
    for slot in slots(None, 0.0, until, course=course(1.25, 2.5)):
        motif = solver.solve(slot, drive)
        state, _ = splitting.advance(state, motif.plan)
        drive = motif.end
    gained = np.asarray(state.c - state.b) @ grid.volume - before
    membrane = (grid.ratio * grid.volume)[one.cells]
    amount = 1e-3 * np.array([0.5 * 3.0, until - 2.5])
    assert gained == pytest.approx(amount @ one.density @ membrane, rel=1e-11)
    assert np.argmax(np.asarray(state.c)) in one.cells
