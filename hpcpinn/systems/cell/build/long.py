"""From a run description to what one rank needs of a long protocol in split windows.

All members of a run are one forest, of which every rank computes a share: whole cells where there are as
many as ranks, else parts of them. On a rank they lie side by side in the same arrays, so that a device
steps all of them at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from hpcpinn.domain.network_diffusion import network_diffusion
from hpcpinn.errors import InputError
from hpcpinn.io.geometry import Tree
from hpcpinn.io.layout import MemberEntry
from hpcpinn.morphology.forest import join_cables, join_compartments, points_of
from hpcpinn.networks.trunk import split_features
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.physics import gates
from hpcpinn.physics.calcium_system import MOVED
from hpcpinn.physics.constants import CYTOSOL, LUMEN, CalciumConstants
from hpcpinn.physics.pumped_binding import check_rest
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.systems.cell.build.constants import constants_of
from hpcpinn.systems.cell.build.forest import Forest, described_members, forest_of
from hpcpinn.systems.cell.build.long_drive import course_of
from hpcpinn.systems.cell.build.long_output import description_of, ends_of_trains, long_output
from hpcpinn.systems.cell.build.membrane import impossible_voltage, membrane_of, step_rule
from hpcpinn.systems.cell.build.population import members_of
from hpcpinn.systems.cell.build.reaction import check_split, reaction_of
from hpcpinn.systems.cell.build.regions import sets_of
from hpcpinn.systems.cell.build.run_spec import OutputPlan, run_spec
from hpcpinn.systems.cell.build.split_cell import SplitCell
from hpcpinn.systems.cell.build.stimulus import clamps_of, stimulus_of, warn_of_pulses_after_the_end
from hpcpinn.systems.cell.build.windows import build_coupled_slots
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.slot_run import SlotRun
from hpcpinn.systems.cell.slot_setup import SMALL, SlotSetup
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.cell_weights import cell_weights
from hpcpinn.timestepping.given_voltage import GivenVoltage, join_given
from hpcpinn.timestepping.halo_voltage import HaloVoltage, halo_voltage
from hpcpinn.timestepping.influx import ChannelScale, surplus_leak
from hpcpinn.timestepping.motifs import DriveState, SlotSolver, given_state
from hpcpinn.timestepping.pulse_windows import Excursion, Held
from hpcpinn.timestepping.shared_diffusion import shared_diffusion
from hpcpinn.timestepping.slot_windows import WindowSearch
from hpcpinn.timestepping.slots import slots
from hpcpinn.timestepping.splitting import Diffusion, Splitting
from hpcpinn.timestepping.window_lengths import WindowLengths
from hpcpinn.training.flow_map import ReactionState

LEFT_OUT = 1e-7
"""What the series of diffusion may leave out in a window, relative to calcium; content is kept anyway.
Two thirds of the terms of 1e-10, and no more than a hundredth of what the flow map is off by."""

_NONE = np.zeros(0, int)


@dataclass(frozen=True)
class _Voltage:
    """The voltage of this rank's compartments, and how it begins.

    Attributes:
        equation: Cable equation of all members.
        halo: What this rank hears of others.
        given: Voltage of a file, at the compartments that are heard of; None where it is solved.
        membrane: State of the membrane at the start.
        start: Voltage at the start at the compartments that are heard of, mV.
    """

    equation: CableEquation
    halo: HaloVoltage
    given: GivenVoltage | None
    membrane: VoltageState
    start: Float[ndarray, " P"]


def slot_run(config: RunConfig, communicator: Communicator) -> SlotRun:
    """The long run of a description. Collective over all ranks.

    Raises:
        InputError: On all ranks: anything the user gave that cannot be used.
        SolveError: A cell has no rest.
    """
    setup = slot_setup(config, communicator)
    return SlotRun(setup, setup.new_cache())


def slot_setup(config: RunConfig, communicator: Communicator | None = None) -> SlotSetup:
    """What a long run is made of. Collective over all ranks.

    Args:
        config: The run description.
        communicator: All ranks; None for one.

    Raises:
        InputError: On all ranks: anything the user gave that cannot be used.
        SolveError: A cell has no rest.
    """
    communicator = communicator or SerialCommunicator()
    check_split(config)
    stimulus = stimulus_of(config) if config.field.is_given else None
    plan = long_output(config, stimulus)
    warn_of_pulses_after_the_end(config, plan.duration)
    described = communicator.on_root(described_members, members_of(config), communicator.size)
    forest, split, per = forest_of(described, communicator), config.split, plan.cells_per_piece
    voltage = _voltage(config, forest)
    constants = _constants(described, _mean_by_member(forest, voltage))
    k, own = constants[0], forest.own
    splitting, longest = _splitting(config, forest, voltage, k)
    rest = ReactionState.of(map(float, k.rest))
    solver = _solver(config, forest, voltage, constants, stimulus, splitting.diffusion)
    coupled = None
    if config.window.kind == "mixed":
        coupled = build_coupled_slots(config, k, forest.cable, forest.piece, solver, communicator)
    cut = partial(
        slots,
        stimulus,
        solver.onset,
        longest=split.slot,
        course=course_of(config, k, described[0].given),
        coupled_for=0.0 if coupled is None else split.coupled_for,
    )
    return SlotSetup(
        description=description_of(config, plan),
        spec=run_spec(config, forest.cable, plan),
        chosen=plan.chosen,
        checkpoint_every=split.checkpoint_every,
        communicator=communicator,
        geometry=Tree(forest.cable, forest.piece, per),
        probes=forest.probes,
        members=_entries(described, plan),
        constants=k,
        splitting=splitting,
        solver=solver,
        slots=tuple(cut(until=plan.duration)),
        cut=cut,
        motif_tolerance=split.motif_tolerance,
        search=None if split.windows == "fixed" else _search(config, forest, splitting, k, longest),
        coupled=coupled,
        pieces=np.flatnonzero(forest.piece == communicator.rank),
        volume=forest.volume[own],
        member=forest.member[own],
        member_volume=np.bincount(forest.member, forest.volume),
        to_output={
            volume: forest.own_part([c.points.to_output[volume] for c in described], np.repeat(forest.piece, per))
            for volume in described[0].points.to_output
        },
        to_probes=forest.own_part(
            [cell.points.to_probes for cell in described], forest.piece[[p.piece for p in forest.probes]]
        ),
        frame_times=ends_of_trains(config, stimulus),
        rest=rest.each(lambda x: jax.device_put(np.full(len(own), x))),
        drive=DriveState(voltage.membrane, np.asarray(jax.jit(gates.steady)(voltage.start, k))),
    )


def _voltage(config: RunConfig, forest: Forest) -> _Voltage:
    """The membrane at rest, or what is given of it, and the voltage of all that is heard of. Collective."""
    equation = _cable_equation(config, forest)
    to_cells = sparse.block_diag([cell.to_cells for cell in forest.cells], format="csr")
    halo = halo_voltage(to_cells, forest.point, forest.compartment, forest.communicator)
    of_files = [cell.given for cell in forest.cells if cell.given is not None]
    if of_files:
        given = join_given(of_files).taken(halo.compartments)
        V = given.at(np.zeros(1))[0]
        return _Voltage(equation, halo, given, given_state(equation, V[: len(equation.own)]), V)
    membrane = equation.resting_state()
    return _Voltage(equation, halo, None, membrane, halo.with_halo(equation.voltage(membrane)))


def _cable_equation(config: RunConfig, forest: Forest) -> CableEquation:
    cells = forest.cells
    sets = {name: channels for cell in cells for name, channels in sets_of(cell.coating).items()}
    constants = [cell.membrane.cable_on(cell.coating) for cell in cells]

    def of_compartments(values: Sequence[float | Float[ndarray, " n"]]) -> Float[ndarray, " N"]:
        parts = [np.broadcast_to(x, cell.compartments.count) for x, cell in zip(values, cells, strict=True)]
        return np.concatenate(parts)

    profiles = [cell.coating.profiles for cell in cells]
    return CableEquation(
        join_compartments([cell.compartments for cell in cells]),
        [sets[name] for cell in cells for name in cell.coating.names],
        membrane_of(config).cable.replace(
            R_i=of_compartments([k.R_i for k in constants]), C_m=of_compartments([k.C_m for k in constants])
        ),
        profiles={name: of_compartments([own.get(name, 1.0) for own in profiles]) for own in profiles for name in own},
        owner=forest.compartment,
        communicator=forest.communicator,
    )


def _splitting(config: RunConfig, forest: Forest, voltage: _Voltage, k: CalciumConstants) -> tuple[Splitting, float]:
    """What advances calcium and its buffers, and the longest window that their reaction takes, ms."""
    own, cells, releases = forest.own, forest.cells, forest.releases
    reaction, binding, longest = reaction_of(config, k, forest.er_ratio)
    splitting = Splitting(
        reaction,
        _diffusion(config, forest, k),
        jax.device_put(np.concatenate([cell.points.ratio for cell in cells])[own]),
        binding=binding,
        cells=cell_weights(voltage.halo.to_cells, _NONE if releases is None else releases.cells),
    )
    return splitting, longest


def _held(forest: Forest, k: CalciumConstants) -> tuple[Held, ...]:
    """What lives in every volume at this rank's points; small is a share of what moves there when much happens."""
    cytosol = forest.volume[forest.own]
    volumes = {CYTOSOL: cytosol}
    if forest.er_ratio is not None:
        of_cytosol, of_lumen = forest.er_ratio
        volumes[LUMEN] = cytosol * of_cytosol / of_lumen  # one membrane parts both
    moved = {CYTOSOL: float(k.c_rest), LUMEN: MOVED * float(k.calcium_at_rest.get(LUMEN, 0.0))}
    numbers = {name: tuple(i for i, of in enumerate(k.volumes) if of == name) for name in volumes}
    return tuple(Held(volume, numbers[name], SMALL * moved[name]) for name, volume in volumes.items())


def _search(
    config: RunConfig, forest: Forest, splitting: Splitting, k: CalciumConstants, longest: float
) -> WindowSearch:
    """What finds windows, of which the reaction takes none longer than `longest`, ms."""
    split, rest = config.split, ReactionState.of(map(float, k.rest))
    return WindowSearch(
        splitting,
        Excursion(rest, _held(forest, k), forest.communicator),
        tolerance=split.tolerance,
        longest=min(split.longest, longest),
        quiet=min(split.quiet, longest),
    )


def _solver(
    config: RunConfig,
    forest: Forest,
    voltage: _Voltage,
    constants: Sequence[CalciumConstants],
    stimulus: Stimulus | None,
    diffusion: Diffusion,
) -> SlotSolver:
    """What solves voltage and influx of a slot."""
    split, halo = config.split, voltage.halo
    return SlotSolver(
        cable=voltage.equation,
        sources=_sources(forest.cells, voltage.equation),
        stimulus=stimulus,
        onset=config.stimulation.start,
        steps=step_rule(config),
        constants=constants[0],
        to_cells=halo.to_cells,
        diffusion=diffusion,
        lengths=WindowLengths(
            first=split.first,
            growth=split.growth,
            longest=split.longest,
            quiet=split.quiet,
            multiple=2 if split.windows == "fixed" else 4,
            coupled_for=split.coupled_for if config.window.kind == "mixed" else 0.0,
        ),
        clamps=clamps_of(config),
        given=voltage.given,
        releases=forest.releases,
        halo=halo if forest.communicator.size > 1 else None,
        channels=_channel_scale(forest, constants, halo.compartments),
        impossible=partial(impossible_voltage, config),
    )


def _sources(cells: Sequence[SplitCell], equation: CableEquation) -> Float[ndarray, "k points"] | Float[ndarray, " 0"]:
    """Currents of the field, where there is one, and of every clamp, into this rank's points."""
    rows = []
    psi = [cell.psi for cell in cells if cell.psi is not None]
    if psi:
        rows.append(equation.field_source(points_of([cell.compartments for cell in cells], psi)))
    first = np.cumsum([0, *(cell.compartments.count for cell in cells)])
    for number, clamp in enumerate(cells[0].config.clamp):
        into = [
            equation.clamp_source(int(begin) + cell.clamped[number], clamp.current)
            for begin, cell in zip(first[:-1], cells, strict=True)
        ]
        rows.append(np.sum(into, axis=0))
    return np.array(rows)


def _diffusion(config: RunConfig, forest: Forest, k: CalciumConstants) -> Diffusion:
    """The propagator that the run description asks for, on this rank's points."""
    split, species, cells = config.split, [one.D for one in k.all_species], forest.cells
    if config.by_networks:
        return network_diffusion(
            forest.cable,
            forest.piece,
            forest.communicator,
            species,
            volumes=k.volumes,
            features=split_features(config.network.features),
            nodes=cells[0].points.per_piece,
            seed=config.run.seed,
        )
    short = 2.0 * split.first * k.time_unit  # coarse windows are twice as long
    grid = cell_grid(join_cables([cell.cells for cell in cells]), k.volumes)
    return shared_diffusion(grid, forest.point, species, short, forest.communicator, LEFT_OUT, k.volumes)


def _mean_by_member(forest: Forest, voltage: _Voltage) -> Float[ndarray, " M"]:
    """Mean voltage at the start over the membrane of every member. Collective."""
    member, equation = forest.member_of_compartment, voltage.equation
    area, own = equation.compartments.area, equation.own
    weighted = np.bincount(member[own], area[own] * voltage.start[: len(own)], len(forest.cells))
    return np.asarray(np.sum(forest.communicator.share(weighted), axis=0) / np.bincount(member, area))


def _constants(cells: Sequence[SplitCell], mean: Float[ndarray, " M"]) -> list[CalciumConstants]:
    """Of every member; the leak balances the influx at its first voltage."""
    found = []
    for cell, V in zip(cells, mean, strict=True):
        found.append(constants_of(cell.config, float(V) if cell.given is None else cell.first_voltage))
        check_rest(found[-1])
    return found


def _channel_scale(
    forest: Forest, constants: Sequence[CalciumConstants], halo: Int[ndarray, " P"]
) -> ChannelScale | None:
    """How members differ from the first in their calcium channels, at the compartments heard of."""
    if len(constants) == 1:
        return None
    member = forest.member_of_compartment[halo]
    strength = np.array([k.vdcc_density * k.vdcc_permeability for k in constants])
    if strength[0] == 0.0 and np.any(strength > 0.0):
        raise InputError(
            "population.parameters: the first member has no calcium channels (vdcc_density or "
            "vdcc_permeability 0) and others have; put one that has some first"
        )
    relative = strength / strength[0] if strength[0] > 0.0 else np.ones(len(constants))
    surplus = np.array([surplus_leak(k) for k in constants])
    return ChannelScale(relative[member], surplus[member])


def _entries(cells: Sequence[SplitCell], plan: OutputPlan) -> tuple[MemberEntry, ...]:
    if not cells[0].config.population.is_given:
        return ()
    return tuple(MemberEntry(c.name, c.pieces.n_frusta, description_of(c.config, plan)) for c in cells)
