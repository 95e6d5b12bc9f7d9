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

from hpcpinn.domain.member_shares import share_members
from hpcpinn.domain.network_diffusion import network_diffusion
from hpcpinn.errors import InputError
from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import MemberEntry
from hpcpinn.morphology.forest import join_cables, join_compartments, points_of
from hpcpinn.networks.trunk import split_features
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.physics import gates
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.pumped_binding import check_rest
from hpcpinn.systems.cell.build.constants import constants_of
from hpcpinn.systems.cell.build.long_drive import course_of
from hpcpinn.systems.cell.build.long_output import description_of, ends_of_trains, long_output
from hpcpinn.systems.cell.build.membrane import impossible_voltage, membrane_of, step_rule
from hpcpinn.systems.cell.build.population import Member, members_of
from hpcpinn.systems.cell.build.reaction import check_split, reaction_of
from hpcpinn.systems.cell.build.run_spec import OutputPlan, run_spec
from hpcpinn.systems.cell.build.split_cell import SplitCell, describe_split_cell
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
from hpcpinn.timestepping.pulse_windows import Excursion
from hpcpinn.timestepping.releases import CellSources, join_sources
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
class _Shares:
    """Who computes what of the forest.

    Attributes:
        piece: Rank of every piece.
        point: Rank of every point.
        compartment: Rank of every compartment: of the piece that holds its centre.
    """

    piece: Int[ndarray, " F"]
    point: Int[ndarray, " N"]
    compartment: Int[ndarray, " P"]


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
    described = communicator.on_root(_described, members_of(config), communicator.size)
    shares = _shared(described, communicator.size)
    split, per = config.split, plan.cells_per_piece
    equation = _cable_equation(config, described, shares, communicator)
    to_cells = sparse.block_diag([cell.to_cells for cell in described], format="csr")
    halo = halo_voltage(to_cells, shares.point, shares.compartment, communicator)
    volume, ratio = (np.concatenate([getattr(cell.points, name) for cell in described]) for name in ("volume", "ratio"))
    given = [cell.given for cell in described if cell.given is not None]
    voltage = join_given(given).taken(halo.compartments) if given else None
    membrane, V = _at_start(equation, halo, voltage)
    constants = _constants(described, _mean_by_member(described, equation, V, communicator))
    releases = [cell.releases for cell in described if cell.releases is not None]
    here = communicator.rank
    own = np.flatnonzero(shares.point == here)
    er_ratio = [cell.points.er_ratio for cell in described if cell.points.er_ratio is not None]
    reaction, binding, longest = reaction_of(
        config, constants[0], np.concatenate(er_ratio, axis=1)[:, own] if er_ratio else None
    )
    lengths = WindowLengths(
        first=split.first,
        growth=split.growth,
        longest=split.longest,
        quiet=split.quiet,
        multiple=2 if split.windows == "fixed" else 4,
        coupled_for=split.coupled_for,
    )
    diffusion = _diffusion(config, described, shares, constants[0], communicator)
    pieces = np.flatnonzero(shares.piece == communicator.rank)
    probes = _joined_probes(described)
    member = np.repeat(np.arange(len(described)), [cell.points.n for cell in described])
    rest = ReactionState.of(map(float, constants[0].rest))
    own_releases = _own_releases(releases, described, own)
    splitting = Splitting(
        reaction,
        diffusion,
        jax.device_put(ratio[own]),
        binding=binding,
        cells=cell_weights(halo.to_cells, _NONE if own_releases is None else own_releases.cells),
    )
    search = WindowSearch(
        splitting,
        Excursion(
            volume[own],
            rest,
            floor=SMALL * float(rest.c),
            communicator=communicator,
        ),
        tolerance=split.tolerance,
        longest=min(split.longest, longest),
        quiet=min(split.quiet, longest),
    )
    solver = SlotSolver(
        cable=equation,
        sources=_sources(described, equation),
        stimulus=stimulus,
        onset=config.stimulation.start,
        steps=step_rule(config),
        constants=constants[0],
        to_cells=halo.to_cells,
        diffusion=diffusion,
        lengths=lengths,
        clamps=clamps_of(config),
        given=voltage,
        releases=own_releases,
        halo=halo if communicator.size > 1 else None,
        channels=_channel_scale(described, constants, halo.compartments),
        impossible=partial(impossible_voltage, config),
    )
    joined = join_cables([cell.pieces for cell in described])
    coupled = None
    if config.window.kind == "mixed":
        coupled = build_coupled_slots(config, constants[0], joined, shares.piece, solver, communicator)
    return SlotSetup(
        description=description_of(config, plan),
        spec=run_spec(config, joined, plan),
        chosen=plan.chosen,
        checkpoint_every=split.checkpoint_every,
        communicator=communicator,
        geometry=Tree(joined, shares.piece, per),
        probes=probes,
        members=_entries(described, plan),
        constants=constants[0],
        splitting=splitting,
        solver=solver,
        slots=tuple(
            slots(
                stimulus,
                solver.onset,
                plan.duration,
                split.slot,
                course_of(config, constants[0], described[0].given),
                0.0 if coupled is None else split.coupled_for,
            )
        ),
        motif_tolerance=split.motif_tolerance,
        search=None if split.windows == "fixed" else search,
        coupled=coupled,
        pieces=pieces,
        volume=volume[own],
        member=member[own],
        member_volume=np.bincount(member, volume),
        to_output={
            volume: _own_part([c.points.to_output[volume] for c in described], np.repeat(shares.piece, per), own, here)
            for volume in described[0].points.to_output
        },
        to_probes=_own_part(
            [cell.points.to_probes for cell in described], shares.piece[[p.piece for p in probes]], own, here
        ),
        frame_times=ends_of_trains(config, stimulus),
        rest=rest.each(lambda x: jax.device_put(np.full(len(own), x))),
        drive=DriveState(membrane, np.asarray(jax.jit(gates.steady)(V, constants[0]))),
    )


def _described(members: Sequence[Member], ranks: int) -> list[SplitCell]:
    """All members, with as many pieces as ranks may fall to one of them."""
    least = max(1, ranks - len(members) + 1)
    return [describe_split_cell(member, least) for member in members]


def _shared(cells: Sequence[SplitCell], ranks: int) -> _Shares:
    owners = share_members([cell.pieces for cell in cells], ranks)
    per = cells[0].points.per_piece
    compartments = [owner[cell.nearest_piece] for owner, cell in zip(owners, cells, strict=True)]
    piece = np.concatenate(owners)
    return _Shares(piece, np.repeat(piece, per), np.concatenate(compartments))


def _cable_equation(
    config: RunConfig, cells: Sequence[SplitCell], shares: _Shares, communicator: Communicator
) -> CableEquation:
    counts = [cell.compartments.count for cell in cells]
    membrane = membrane_of(config)
    return CableEquation(
        join_compartments([cell.compartments for cell in cells]),
        [membrane.sets[name] for cell in cells for name in cell.channels],
        membrane.cable.replace(
            R_i=np.repeat([cell.config.cable.R_i for cell in cells], counts),
            C_m=np.repeat([cell.config.cable.C_m for cell in cells], counts),
        ),
        owner=shares.compartment,
        communicator=communicator,
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


def _diffusion(
    config: RunConfig,
    cells: Sequence[SplitCell],
    shares: _Shares,
    k: CalciumConstants,
    communicator: Communicator,
) -> Diffusion:
    """The propagator that the run description asks for, on this rank's points."""
    split, species = config.split, [one.D for one in k.all_species]
    if config.by_networks:
        return network_diffusion(
            join_cables([cell.pieces for cell in cells]),
            shares.piece,
            communicator,
            species,
            volumes=k.volumes,
            features=split_features(config.network.features),
            nodes=cells[0].points.per_piece,
            seed=config.run.seed,
        )
    short = 2.0 * split.first * k.time_unit  # coarse windows are twice as long
    grid = cell_grid(join_cables([cell.cells for cell in cells]), k.volumes)
    return shared_diffusion(grid, shares.point, species, short, communicator, LEFT_OUT, k.volumes)


def _at_start(
    equation: CableEquation, halo: HaloVoltage, given: GivenVoltage | None
) -> tuple[VoltageState, Float[ndarray, " P"]]:
    """The membrane at rest, or what is given of it, and the voltage of all that is heard of."""
    if given is not None:
        V = given.at(np.zeros(1))[0]
        return given_state(equation, V[: len(equation.own)]), V
    membrane = equation.resting_state()
    return membrane, halo.with_halo(equation.voltage(membrane))


def _mean_by_member(
    cells: Sequence[SplitCell], equation: CableEquation, V: Float[ndarray, " P"], communicator: Communicator
) -> Float[ndarray, " M"]:
    """Mean voltage over the membrane of every member."""
    member = np.repeat(np.arange(len(cells)), [cell.compartments.count for cell in cells])
    area, own = equation.compartments.area, equation.own
    weighted = np.bincount(member[own], area[own] * V[: len(own)], len(cells))
    return np.asarray(np.sum(communicator.share(weighted), axis=0) / np.bincount(member, area))


def _constants(cells: Sequence[SplitCell], mean: Float[ndarray, " M"]) -> list[CalciumConstants]:
    """Of every member; the leak balances the influx at its first voltage."""
    found = []
    for cell, V in zip(cells, mean, strict=True):
        found.append(constants_of(cell.config, float(V) if cell.given is None else cell.first_voltage))
        check_rest(found[-1])
    return found


def _channel_scale(
    cells: Sequence[SplitCell], constants: Sequence[CalciumConstants], halo: Int[ndarray, " P"]
) -> ChannelScale | None:
    """How members differ from the first in their calcium channels, at the compartments heard of."""
    if len(cells) == 1:
        return None
    member = np.repeat(np.arange(len(cells)), [cell.compartments.count for cell in cells])[halo]
    strength = np.array([k.vdcc_density * k.vdcc_permeability for k in constants])
    if strength[0] == 0.0 and np.any(strength > 0.0):
        raise InputError(
            "population.parameters: the first member has no calcium channels (vdcc_density or "
            "vdcc_permeability 0) and others have; put one that has some first"
        )
    relative = strength / strength[0] if strength[0] > 0.0 else np.ones(len(cells))
    surplus = np.array([surplus_leak(k) for k in constants])
    return ChannelScale(relative[member], surplus[member])


def _own_releases(parts: list[CellSources], cells: Sequence[SplitCell], own: Int[ndarray, " N"]) -> CellSources | None:
    return join_sources(parts, [cell.points.n for cell in cells]).taken(own) if parts else None


def _joined_probes(cells: Sequence[SplitCell]) -> tuple[ProbeSite, ...]:
    """Of all members; those of a population bear the name of theirs."""
    found, first = [], 0
    for cell in cells:
        prefix = f"{cell.name}: " if len(cells) > 1 else ""
        found += [ProbeSite(f"{prefix}{p.name}", first + p.piece, p.fraction) for p in cell.probes]
        first += cell.pieces.n_frusta
    return tuple(found)


def _own_part(
    parts: list[sparse.csr_matrix], rank: Int[ndarray, " r"], own: Int[ndarray, " N"], here: int
) -> sparse.csr_matrix:
    """Rows of a rank, in its own points, of the matrices of all members."""
    whole = sparse.block_diag(parts, format="csr")
    return whole[np.flatnonzero(rank == here)][:, own]


def _entries(cells: Sequence[SplitCell], plan: OutputPlan) -> tuple[MemberEntry, ...]:
    if not cells[0].config.population.is_given:
        return ()
    return tuple(MemberEntry(c.name, c.pieces.n_frusta, description_of(c.config, plan)) for c in cells)
