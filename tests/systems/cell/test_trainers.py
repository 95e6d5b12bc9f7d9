"""Every trainer and every collocation that a run description can name solves the same window."""

from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.systems.cell.build.coupled import coupled_setup
from hpcpinn.systems.cell.cable_windows import CableAttempt, CableState
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.coupled_run import CoupledRun
from hpcpinn.systems.cell.trunk_training import OPTIMISER, TrunkTraining

JOB = Path(__file__).resolve().parents[3] / "jobs" / "seed_cable.toml"
LENGTH = 0.05
COMMON = (
    "pieces.source_length=0.7",
    "pieces.max_length=0.7",
    "schwarz.jump_tolerance=1e-7",
    "schwarz.max_sweeps=30",
    "training.newton_tolerance=1e-8",
    "training.newton_max=12",
    "flux=[]",
    "run.output_interval=1.0",
)
FEW = "network.features=54"
LOOSE = (FEW, "schwarz.jump_tolerance=3e-3", "schwarz.max_sweeps=12")
CHOICES = {
    "random": ((FEW, 'training.collocation="random"'), 2e-3),
    "residual-adaptive": ((FEW, 'training.collocation="residual-adaptive"'), 2e-3),
    "levenberg-marquardt": (("network.features=36", 'training.trainer="levenberg-marquardt"'), 2e-3),
    "adam": (
        (*LOOSE, 'training.trainer="adam"', "training.steps=6000", "training.learning_rate=1e-2"),
        1e-2,
    ),
    "lbfgs": (
        (*LOOSE, 'training.trainer="lbfgs"', "training.steps=2400", "network.features=53"),
        1e-2,
    ),
}


RETICULUM = ("morphology.er_fraction=0.3", "organelle=[{rest=3.0, serca_max=0.5, serca_K=0.5, D=0.5}]")


def wave(run: CoupledRun) -> CableState:
    """Calcium, calbindin and what is in an organelle, if there is one, in smooth waves along the cable."""
    problem = run.setup
    piece = problem.cell.pieces.cable.take(problem.local)
    fraction = (problem.drive.grid.space + 1.0) / 2.0
    x = piece.xyz[:, :1, 0] + fraction * np.diff(piece.xyz[:, :, 0], axis=1)
    long, short = np.cos(np.pi * (x + 1.0) / 2.0), np.cos(np.pi * (x + 1.0))
    rest = np.array(problem.solver.equation.rest)[None, :, None]
    away = np.stack([0.6 * long, -0.4 * short, 0.5 * long][: rest.shape[1]], axis=1)
    return run.start()._replace(field=jnp.asarray(rest + away))


def solved(overrides: tuple[str, ...], communicator: Communicator) -> tuple[CoupledRun, CableState, CableAttempt]:
    run = CoupledRun(coupled_setup(load_config(JOB, [*COMMON, *overrides]), communicator), communicator)
    state = wave(run)
    return run, state, run.attempt(state, LENGTH, None)


def averages(run: CoupledRun, attempt: CableAttempt) -> np.ndarray:
    """Cell averages at the end of the window, (species, pieces, cells)."""
    return run.setup.sampler.cell_averages(1.0, attempt.inside.solution.traces.heads)


@cache
def least_squares(more: tuple[str, ...] = ()) -> tuple[CableState, np.ndarray]:
    run, state, attempt = solved(("network.features=80", *more), SerialCommunicator())
    assert attempt.error < 1e-3
    return state, averages(run, attempt)


def excess(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Largest difference of every species over how far the species moves along the cable."""
    return np.abs(found - wanted).max(axis=(1, 2)) / np.ptp(wanted, axis=(1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), RETICULUM], ids=["cytosol", "organelle"])
@pytest.mark.parametrize("name", CHOICES)
def test_trainers_and_collocations_agree(name: str, more: tuple[str, ...]) -> None:
    overrides, tolerance = CHOICES[name]
    run, state, attempt = solved((*overrides, *more), SerialCommunicator())
    assert attempt.inside.solution.converged
    if name == "levenberg-marquardt":
        training, before = TrunkTraining(OPTIMISER), attempt.error
        run, attempt = training.improved(run, state, attempt, 0)
        assert attempt.error < 0.7 * before
        assert training.improved(run, state, attempt, 1) == (run, attempt)  # once is enough
    _, wanted = least_squares(more)
    assert (excess(averages(run, attempt), wanted) < tolerance).all()


@pytest.mark.slow
@pytest.mark.mpi_ranks(2, limit=300)
@pytest.mark.parametrize("name", ["lbfgs", "levenberg-marquardt"])
def test_two_ranks_find_what_one_finds(name: str, communicator: Communicator) -> None:
    """To round-off, as every piece is trained by itself and told the same.

    Quick tests do the step of a shared trunk on two ranks (`test_variable_projection`).
    L-BFGS takes a few steps only: sooner or later its line search turns round-off into another path.
    """
    overrides, tolerance = (*CHOICES[name][0], "network.features=24"), 1e-7
    if name == "lbfgs":
        overrides, tolerance = (*overrides, "training.steps=8", "schwarz.max_sweeps=2"), 1e-10

    def found(ranks: Communicator) -> dict[int, np.ndarray]:
        run, state, attempt = solved(overrides, ranks)
        if name == "levenberg-marquardt":
            run, attempt = TrunkTraining(OPTIMISER).improved(run, state, attempt, 0)
        return dict(zip(run.setup.local.tolist(), averages(run, attempt).swapaxes(0, 1), strict=True))

    ours = found(communicator)
    alone = communicator.on_root(lambda: found(SerialCommunicator()))
    assert 0 < len(ours) < len(alone)
    assert (np.ptp(np.stack(list(ours.values())), axis=(0, 2)) > 0.1).all()  # the wave was learnt
    for piece, values in ours.items():
        np.testing.assert_allclose(values, alone[piece], rtol=0, atol=tolerance)
