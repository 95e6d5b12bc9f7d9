"""Calcium in the endoplasmic reticulum, a species in a volume of its own: against the reference."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import hpcpinn as hp
from hpcpinn.errors import InputError
from hpcpinn.io import read
from hpcpinn.io.read import Result
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.physics.constants import CYTOSOL, LUMEN, PRESETS, BufferConstants, Organelle
from hpcpinn.systems.cell import recorded
from hpcpinn.systems.cell.comparison import validate
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.pictures.traces import traces_into
from hpcpinn.timestepping.pulse_windows import Excursion, Held
from hpcpinn.training.flow_map import ReactionState
from tests.systems.cell.pictures.synthetic import run_of, with_fields
from tests.systems.cell.solving import solve
from tests.systems.cell.test_buffers import CELL, DYE, FINE, SPLIT, solved, split
from tests.systems.cell.test_long_run import Silent as Stopping

RETICULUM = ("morphology.er_fraction=0.3", "morphology.er_radius=0.05")
"""Of another shape than the cell's."""
CALRETICULIN = '{name="calreticulin", volume="er", total=3000.0, k_plus=1.0, k_minus=1000.0, D=20.0}'
HELD = (*RETICULUM, "organelle=[{}]")
STRONG = (*RETICULUM, "organelle=[{serca_max=500.0}]", f"buffer=[{CALRETICULIN}]")


def check(result: Result, calcium: float, others: float, luminal: float) -> dict[str, float]:
    """Errors against the reference, and its own balance; luminal calcium has moved."""
    checked = validate(result.path, refinement=3, patience=30.0, timed=False)
    error = dict(checked.settled.error)
    assert np.ptp(result.er_calcium) > 0.1
    assert error["calcium"] < calcium
    assert error.pop("er_calcium") < luminal
    assert max(value for name, value in error.items() if name != "calcium") < others
    assert checked.balance_reference < 1e-9
    return error


def test_luminal_calcium_and_its_buffer_agree_with_the_reference(tmp_path: Path) -> None:
    """Total calcium, every species in its own volume, balances what passes the plasma membrane."""
    result = solved(tmp_path / "er.h5", *FINE, *STRONG)
    assert [(field.name, field.unit) for field in result.declared] == [
        ("calcium", "uM"), ("calbindin", "uM"), ("er_calcium", "uM"), ("calreticulin", "uM"), ("voltage", "mV")
    ]  # fmt: skip
    check(result, 1e-4, 1e-6, 4e-4)
    assert np.abs(result.windows["balance"][-1]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("diffusion", ["networks", "exact"])
def test_in_split_windows_luminal_calcium_agrees_with_the_reference(tmp_path: Path, diffusion: str) -> None:
    """To what split windows are held to (test_buffers); on cells as far as these are short where the patch ends."""
    lengths = (20.0, 0.5) if diffusion == "networks" else (4.0, 0.2)
    result = split(
        tmp_path / "er.h5", *STRONG, f'split.diffusion="{diffusion}"', "split.first=0.05",
        f"pieces.max_length={lengths[0]}", f"pieces.source_length={lengths[1]}",
    )  # fmt: skip
    check(result, 5e-3, 1e-4, 5e-3)


@pytest.mark.slow
def test_in_mixed_windows_luminal_calcium_agrees_with_the_reference(tmp_path: Path) -> None:
    result = split(
        tmp_path / "er.h5", *STRONG, 'window.kind="mixed"', "split.coupled_for=0.5", "pieces.max_length=20.0",
        "window.tolerance=1e-2", "split.first=0.05",
    )  # fmt: skip
    check(result, 5e-3, 1e-4, 5e-3)


def test_windows_that_are_sought_follow_every_volume() -> None:
    """What differs in the lumen alone is an error there, by its volume; its buffers bind nothing of the cytosol's."""
    k = PRESETS["physical-N"].replace(
        organelles=(Organelle(),), buffers=(BufferConstants("calreticulin", 3000.0, 1.0, 1000.0, 20.0, LUMEN),)
    )
    rest = ReactionState.of(k.rest)
    assert k.volumes == (CYTOSOL, CYTOSOL, LUMEN, LUMEN)
    cytosol, lumen = np.array([3.0, 1.0]), np.array([0.5, 0.5])
    both = Excursion(rest, (Held(cytosol, (0, 1), 1e-3), Held(lumen, (2, 3), 0.2)))
    alone = Excursion.of_cytosol(cytosol, ReactionState.of(k.rest[:2]))

    def off(c: float, e: float, freed: float = 0.0) -> ReactionState:
        ones = np.ones(2)
        return ReactionState.of(
            [(k.c_rest + c) * ones, k.b_rest * ones, (k.rest[2] + e) * ones, k.rest[3] + freed * ones]
        )

    def of_cytosol(state: ReactionState) -> ReactionState:
        return ReactionState.of(state.species[:2])

    one, other = off(1.0, 2.0), off(1.1, 2.0)
    assert both.error(one, other) == alone.error(of_cytosol(one), of_cytosol(other)) > 0.09
    assert both.error(off(1.0, 2.0), off(1.0, 1.8)) == pytest.approx(0.2 / (1.8 + 0.2), rel=1e-9)
    unbound = both.error(off(1.0, 2.0), off(1.0, 2.0, freed=10.0))
    assert 0.0 < unbound == pytest.approx(10.0 / (8.0 + 0.2 * k.rest[3] / k.rest[2]), rel=1e-9)


ON_A_FIELD = ("field.direction=[1.0, 1.0, 0.3]", 'stimulation.waveform="monophasic"', "stimulation.start=1.0")


@pytest.mark.slow
def test_members_with_an_organelle_are_the_cells_alone(tmp_path: Path) -> None:
    """To the bit: nothing of a member's lumen reaches another's."""
    strengths = (7000.0, 9000.0)
    given = (*STRONG, *ON_A_FIELD, "run.duration=1.8")
    members = split(tmp_path / "all.h5", *given, "field.magnitude=1.0", f"population.magnitudes={list(strengths)}")
    for number, strength in enumerate(strengths):
        alone = split(tmp_path / f"{number}.h5", *given, f"field.magnitude={strength}")
        assert np.ptp(alone.er_calcium) > 0.1
        for name, values in members.member(number).fields.items():
            np.testing.assert_allclose(values, alone.fields[name], rtol=1e-12, err_msg=name)


IN_WINDOWS = {
    "coupled": ('window.kind="coupled"', "window.tolerance=1e-2", "run.checkpoint_every=5"),
    "split": ('split.windows="adaptive"', "split.checkpoint_every=0.0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", IN_WINDOWS)
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path, kind: str) -> None:
    whole, stopped = (
        load_config(None, [*CELL, *SPLIT, *STRONG, *IN_WINDOWS[kind], f'run.output="{path}"'])
        for path in (tmp_path / "whole.h5", tmp_path / "stopped.h5")
    )
    solve(whole, SerialCommunicator())
    with pytest.raises(KeyboardInterrupt):
        solve(stopped, SerialCommunicator(), Stopping(stop_after=1 if kind == "split" else 8))
    solve(stopped, SerialCommunicator(), resume=tmp_path / "stopped.checkpoint.h5")
    one, other = read(tmp_path / "whole.h5"), read(tmp_path / "stopped.h5")
    assert np.array_equal(one.windows["length"], other.windows["length"])
    for name, values in one.fields.items():
        assert np.array_equal(values, other.fields[name]), name


@pytest.mark.slow
@pytest.mark.mpi_ranks(2, limit=300)
def test_two_ranks_find_what_one_finds(tmp_path_factory: pytest.TempPathFactory, communicator: Communicator) -> None:
    folder = communicator.on_root(tmp_path_factory.mktemp, "er")

    def fields(name: str, ranks: Communicator) -> dict[str, np.ndarray]:
        config = load_config(None, [*CELL, *SPLIT, *STRONG, f'run.output="{folder / name}"'])
        return dict(read(solve(config, ranks).result).fields)

    ours = fields("two.h5", communicator)
    for name, values in communicator.on_root(fields, "one.h5", SerialCommunicator()).items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-12, err_msg=name)


def test_its_calcium_is_drawn_beside_that_of_the_cytosol(tmp_path: Path) -> None:
    held = recorded.fields_of(PRESETS["physical-N"].replace(organelles=(Organelle(),)))
    run = run_of(SerialCommunicator(), tmp_path)
    more = {"er_calcium": run.probes.calcium + 7.0}
    units = run.units | {"er_calcium": "uM"}
    probes = with_fields(run.probes, **more)
    run = with_fields(dataclasses.replace(run, declared=held, units=units, probes=probes), er_calcium=run.calcium + 7.0)
    figure = Figure()
    traces_into(figure, run, None)
    shown = {axes.get_ylabel(): axes.lines[0].get_ydata() for axes in figure.axes}
    assert list(shown) == ["voltage (mV)", "calcium (µM)", "calbindin (µM)", "er_calcium (µM)"]
    np.testing.assert_array_equal(shown["er_calcium (µM)"], more["er_calcium"][:, 0])


def test_from_python_it_is_the_table_of_a_job(tmp_path: Path) -> None:
    job = hp.Job(
        hp.Cell("builtin:y_branch", er_fraction=0.3), organelles=[hp.Reticulum(200.0, serca_max=100.0)], duration=1.0
    )
    assert job.config.organelle == load_config(None, ["organelle=[{rest=200.0, serca_max=100.0}]"]).organelle
    job.to_toml(tmp_path / "job.toml")
    assert hp.load(tmp_path / "job.toml") == job
    with pytest.raises(InputError, match="200 µM is not above c_rest"):
        hp.Job(hp.Cell("builtin:y_branch"), hp.Calcium(c_rest=300.0), organelles=[hp.Reticulum(200.0)], duration=1.0)


def test_rest_with_an_organelle_stays(tmp_path: Path) -> None:
    """By the stiff integrator, at channels that are shut: nothing moves in any volume."""
    shut = ("synapse=[]", "physics.constants.vdcc_density=0.0")
    result = split(tmp_path / "rest.h5", *shut, *HELD, f"buffer=[{DYE}]")
    for name in ("calcium", "calbindin", "fluo4", "er_calcium"):
        values = result.fields[name]
        np.testing.assert_allclose(values, values[0, 0], rtol=1e-11, err_msg=name)


REFUSED = {
    "no reticulum": (("organelle=[{}]",), "this cell has none, or not everywhere; set morphology.er_fraction"),
    "told twice": ((*RETICULUM, "organelle=[{}, {}]"), "'er' is there already; leave one away"),
    "nothing to bind": (
        (*RETICULUM, f"buffer=[{CALRETICULIN}]"),
        r"'er' holds no calcium that 'calreticulin' could bind",
    ),
    "empty": ((*RETICULUM, "organelle=[{rest=0.04}]"), "0.04 µM is not above c_rest = 0.05 µM"),
    "a name": ((*HELD, f"buffer=[{DYE.replace('fluo4', 'er_calcium')}]"), "'er_calcium' is there already"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_organelle_cannot_be_is_refused(tmp_path: Path, case: str) -> None:
    keys, line = REFUSED[case]
    with pytest.raises(InputError, match=line):
        solved(tmp_path / "run.h5", *keys)
