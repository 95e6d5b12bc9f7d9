"""From a run description to everything that a long protocol in split windows needs."""

from collections.abc import Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.config import RunConfig
from hpcpinn.domain.pieces import PieceRule, cut_into_pieces
from hpcpinn.errors import InputError, concerning
from hpcpinn.io.results import ResultHeader
from hpcpinn.morphology import parse_site
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.pumped_binding import reaction_constants
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.timestepping.cell_grid import cell_grid
from hpcpinn.timestepping.diffusion import cable_diffusion
from hpcpinn.timestepping.flow_map_store import load_flow_map, shipped_flow_map
from hpcpinn.timestepping.motifs import DriveState, MotifBook, SlotSolver, WindowLengths
from hpcpinn.timestepping.pulse_windows import Excursion
from hpcpinn.timestepping.reaction import FlowMapReaction
from hpcpinn.timestepping.slot_windows import WindowBook, WindowSearch
from hpcpinn.timestepping.slots import Course, Slot, slots
from hpcpinn.timestepping.splitting import Splitting
from hpcpinn.training.flow_map import ReactionState
from hpcpinn.workflows.long_drive import cell_sources, course_of, start_of
from hpcpinn.workflows.membrane_voltage import driven_cable, stimulus_of
from hpcpinn.workflows.problem import ends_of_fluxes, load_cable, places_of_sources, probe_sites

SMALL = 0.02
"""Distances from rest below this share of it are not told apart when windows are sought."""

FRAMES, SAMPLES = 200, 50_000
"""About how many frames and probe samples a long run keeps where nothing is said."""


@dataclass(frozen=True)
class SplitProblem:
    """A long run.

    Attributes:
        config: The run description, with its duration and output intervals filled in.
        header: What the result file knows before the first frame; its cells are the compartments.
        constants: Of calcium; the leak balances the influx at the resting voltage.
        splitting: Advances calcium and calbindin over a slot.
        solver: Solves voltage and influx of a slot.
        course: What happens besides the pulses.
        search: Finds windows; None where their lengths are fixed.
        volume: Of the cells, µm³.
        probe_cell: Cell that holds every probe.
        rest: Calcium and calbindin at the start.
        drive: Membrane and channels at the start.
    """

    config: RunConfig
    header: ResultHeader
    constants: CalciumConstants
    splitting: Splitting
    solver: SlotSolver
    course: Course
    search: WindowSearch | None
    volume: Float[ndarray, " N"]
    probe_cell: Int[ndarray, " p"]
    rest: ReactionState
    drive: DriveState

    def slots(self) -> Iterator[Slot]:
        """All slots of the run."""
        run, split = self.config.run, self.config.split
        return slots(self.solver.stimulus, self.solver.onset, run.duration, split.slot, self.course)

    def new_book(self) -> MotifBook:
        """A book without motifs."""
        windows = None if self.search is None else WindowBook(self.search)
        return MotifBook(self.solver, self.config.split.motif_tolerance, windows=windows)


def build_split_problem(config: RunConfig) -> SplitProblem:
    """Sets up a long run. Serial.

    Raises:
        InputError: Anything the user gave that cannot be used.
        SolveError: The cell has no rest.
    """
    _refuse_what_split_windows_lack(config)
    stimulus = stimulus_of(config) if config.field.is_given else None
    config = with_long_defaults(config, stimulus)
    cable = load_cable(config)
    driven = driven_cable(config, cable)
    equation = driven.equation
    start = start_of(config, driven, cable)
    constants = start.constants

    chosen = config.pieces
    per = chosen.cells_per_piece
    patches, ends = places_of_sources(config, cable, constants)
    cut = cut_into_pieces(
        cable, patches, ends, PieceRule(chosen.max_length, chosen.source_length, chosen.growth)
    )
    pieces = cut.cable
    n = pieces.n_frusta
    parts = np.arange(1, per) / per
    cells = pieces.split([parts] * n)
    geometry = cell_grid(cells)
    diffusion = cable_diffusion(geometry, (constants.D_c, constants.D_b))
    sites = [parse_site(site.name, cells) for site in driven.compartments.sites]
    middles = np.arange(cells.n_frusta), np.full(cells.n_frusta, 0.5)
    split = config.split
    with concerning(*(("split", "flow_map") if split.flow_map else ("physics", "constants"))):
        flow_map = load_flow_map(split.flow_map, constants) if split.flow_map else shipped_flow_map(constants)
    probes = probe_sites(config, pieces)
    rest = reaction_constants(constants)
    splitting = Splitting(
        FlowMapReaction(flow_map), diffusion, jnp.asarray(geometry.ratio), binding=flow_map.constants
    )
    half_box = 0.5 * flow_map.box.step[1] / constants.time_unit
    search = WindowSearch(
        splitting,
        Excursion(geometry.volume, rest.c_rest, rest.b_rest, floor=SMALL * rest.c_rest),
        tolerance=split.tolerance,
        longest=min(split.longest, half_box),
        quiet=min(split.quiet, half_box),
    )
    return SplitProblem(
        config=config,
        header=ResultHeader(
            cable=pieces,
            owner=np.zeros(n, int),
            cells_per_piece=per,
            probes=probes,
            config=config.to_json(),
            seed=config.run.seed,
        ),
        constants=constants,
        splitting=splitting,
        solver=SlotSolver(
            cable=equation,
            sources=driven.sources,
            stimulus=stimulus,
            onset=driven.onset,
            steps=driven.rule,
            constants=constants,
            to_cells=tree_weights(cells, sites, middles).tocsr(),
            diffusion=diffusion,
            lengths=WindowLengths(
                first=split.first,
                growth=split.growth,
                longest=split.longest,
                quiet=split.quiet,
                multiple=2 if split.windows == "fixed" else 4,
            ),
            clamps=driven.clamps,
            given=start.given,
            releases=cell_sources(
                config, constants, cells, cut.release, ends_of_fluxes(ends, cable, pieces)
            ),
        ),
        course=course_of(config, constants, start.given),
        search=None if split.windows == "fixed" else search,
        volume=geometry.volume,
        probe_cell=np.array([p.piece * per + min(int(p.fraction * per), per - 1) for p in probes], int),
        rest=ReactionState(
            jnp.full(cells.n_frusta, rest.c_rest), jnp.full(cells.n_frusta, rest.b_rest)
        ),
        drive=start.drive,
    )


def _refuse_what_split_windows_lack(config: RunConfig) -> None:
    if config.physics.preset == "seed":
        raise InputError("physics.preset: 'seed' is dimensionless; split windows need a physical preset")


def with_long_defaults(config: RunConfig, stimulus: Stimulus | None) -> RunConfig:
    """The run description with what a long run takes where nothing is said.

    The whole protocol, one cell per piece, about `FRAMES` frames and `SAMPLES` probe samples.
    """
    run, pieces = config.run, config.pieces
    changes: dict[str, float] = {}
    if "duration" not in run.model_fields_set and stimulus is not None:
        changes["duration"] = config.stimulation.start + stimulus.protocol.duration
    duration = changes.get("duration", run.duration)
    if "output_interval" not in run.model_fields_set:
        changes["output_interval"] = max(1.0, duration / FRAMES)
    if "probe_interval" not in run.model_fields_set:
        changes["probe_interval"] = max(0.1, duration / SAMPLES)
    if "cells_per_piece" not in pieces.model_fields_set:
        pieces = pieces.model_copy(update={"cells_per_piece": 1})
    return config.model_copy(update={"run": run.model_copy(update=changes), "pieces": pieces})
