"""Benchmark 6: Schwarz sweeps to an interface jump of 1e-5 against the number of subdomains.

    python scripts/bench_sweeps.py [--quick]

Every piece is a subdomain. One window is solved, and the sweeps are counted that its last
linearisation needs from the first guess (the field at the start, held) to a relative jump of 1e-5:

- `dendrite`: physical constants, channels open at −20 mV on a dendrite that tapers from 1 to 0.4 µm,
  64 µm or 16 µm of it, cut into 2 … 64 pieces, windows of 0.1, 1 and 5 ms;
- `ranks`: a pyramidal cell with the same channels and a synapse, a fixed cut into hundreds of
  pieces on 1 … 64 simulated ranks (one thread each): the count and the iterates do not change;
- `hard`: the cable of preset `seed`, through which diffusion runs several times within the one
  window, cut into 2 … 64 pieces: with and without tree solves, over stars or single pieces, red-black or
  additive.

Writes results/bench_sweeps.json and .png.
"""

import argparse
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from jaxtyping import Array, Float, Int  # noqa: E402

from hpcpinn.domain.coupled_window import CoupledWindow  # noqa: E402
from hpcpinn.domain.interfaces import build_interfaces, storage_order  # noqa: E402
from hpcpinn.domain.partition import colour, partition  # noqa: E402
from hpcpinn.domain.schwarz import Answers, Sweeps, SweepSettings, sweep_until_agreed  # noqa: E402
from hpcpinn.domain.stars import condense_stars  # noqa: E402
from hpcpinn.morphology.cable import Cable  # noqa: E402
from hpcpinn.morphology.frusta import Frustum, assemble  # noqa: E402
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator  # noqa: E402
from hpcpinn.parallel.exchange import ExchangePlan  # noqa: E402
from hpcpinn.physics.system import ReactionDiffusion  # noqa: E402
from hpcpinn.systems.cell.build.coupled import coupled_setup  # noqa: E402
from hpcpinn.systems.cell.cable_windows import CableState  # noqa: E402
from hpcpinn.systems.cell.config.reading import load_config  # noqa: E402
from hpcpinn.systems.cell.coupled_run import CoupledRun  # noqa: E402
from hpcpinn.systems.cell.coupled_setup import CoupledSetup  # noqa: E402
from hpcpinn.training.least_squares import correct  # noqa: E402
from hpcpinn.training.local import Window  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
TOLERANCE, LIMIT = 1e-5, 400
COUNTS = (2, 4, 8, 16, 32, 64)
OPEN = ("voltage.constant=-20.0", "physics.constants.rest_voltage=-70.0")
"""Channels open from the start, the cell at rest."""
METHODS = {
    "stars, then the tree": ("red-black", "tree"),
    "stars, red-black": ("red-black", "stars"),
    "stars, additive": ("additive", "stars"),
    "red-black, Anderson": ("red-black", "anderson"),
    "red-black": ("red-black", "none"),
    "additive, Anderson": ("additive", "anderson"),
    "additive": ("additive", "none"),
}


@dataclass(frozen=True)
class InterfaceProblem:
    """The linear problem on the interfaces of all pieces, in the order of the tree.

    Attributes:
        pieces: The subdomains.
        equation: The system.
        settings: How the run sweeps.
        transfer, base, given: Parts of `Answers`.
        robin_in, size: As `sweep_until_agreed` takes them.
    """

    pieces: Cable
    equation: ReactionDiffusion
    settings: SweepSettings
    transfer: Float[Array, "P E E"]
    base: Float[Array, "P 2 K T"]
    given: Float[Array, "P 2 K T"]
    robin_in: Float[Array, "P 2 K T"]
    size: Float[Array, " K"]

    @classmethod
    def of_window(
        cls, problem: CoupledSetup, length: float, start: Callable[[CoupledSetup, CableState], CableState]
    ) -> "InterfaceProblem":
        """Solves one window and takes the last linearisation.

        Args:
            length: Of the window, internal time.
            start: Changes the state of rest that the window starts from.
        """
        run = CoupledRun(problem, SerialCommunicator())
        state, solver = start(problem, run.start()), problem.solver
        assert isinstance(solver, CoupledWindow)
        attempt = run.attempt(state, length, None)
        solution, drive = attempt.inside.solution, attempt.inside.drive
        if not solution.converged:
            print(f"  not converged: change {solution.change:.1e}, jump {solution.jump:.1e}")
        window = Window(jnp.asarray(length), state.field, drive.inside)
        linear = solution.linear.linear

        @jax.jit
        def robin_out(window: Window, heads: Array, linear: Any) -> Array:
            return correct(solver.rows, window, heads, linear).robin_out

        base = robin_out(window, solution.traces.heads, linear)
        order = np.argsort(problem.local)
        return cls(
            pieces=problem.cell.pieces.cable,
            equation=solver.equation,
            settings=replace(solver.sweeping, max_sweeps=LIMIT),
            transfer=linear.transfer[order],
            base=base[order],
            given=solver.given_flux(drive.end_flux, 0, length)[order],
            robin_in=solver.continued(state.field, length).robin_in[order],
            size=jnp.asarray(solution.size),
        )

    def sweeps(
        self, communicator: Communicator, owner: Int[np.ndarray, " P"], settings: SweepSettings
    ) -> tuple[Sweeps, Int[np.ndarray, " p"]]:
        """One rank's part of the sweeps, and which pieces it owns. Collective over all ranks."""
        colours = colour(self.pieces)
        mine = storage_order(owner, colours, communicator.rank)
        interfaces = build_interfaces(self.pieces, owner, colours, communicator.rank)
        settings = replace(settings, n_red=int(np.sum(colours[mine] == 0)))
        stars = None
        if settings.over_stars:
            stars = condense_stars(interfaces, communicator, self.transfer[mine], settings.n_red)
        meeting = SimpleNamespace(
            equation=self.equation, interfaces=interfaces, communicator=communicator, sweeping=settings
        )
        answers = Answers(self.transfer[mine], self.base[mine], self.given[mine], stars)
        outcome = sweep_until_agreed(meeting, answers, self.robin_in[mine], self.size, TOLERANCE)
        return outcome, mine

    def count(self, order: str = "red-black", acceleration: str = "tree") -> int:
        """Sweeps on one rank."""
        settings = replace(self.settings, order=order, acceleration=acceleration)
        owner = np.zeros(self.pieces.n_frusta, int)
        outcome, _ = self.sweeps(SerialCommunicator(), owner, settings)
        return int(outcome.made) if float(outcome.jump) <= TOLERANCE else -1

    def on_ranks(self, n: int) -> tuple[int, Float[np.ndarray, "P 2 K T"]]:
        """Sweeps on n simulated ranks and what all ends are told in the end."""
        owner = partition(self.pieces, np.ones(self.pieces.n_frusta), n).owner
        robin_in, counts = np.zeros(self.robin_in.shape), np.zeros(n, int)
        board = Board(n)

        def rank(number: int) -> None:
            with jax.disable_jit():  # threads may only wait for each other outside compiled code
                outcome, mine = self.sweeps(SimulatedRank(number, board), owner, self.settings)
            robin_in[mine], counts[number] = np.asarray(outcome.robin_in), int(outcome.made)

        threads = [threading.Thread(target=rank, args=(number,)) for number in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(counts.tolist())) == 1
        return int(counts[0]), robin_in


class Board:
    """What simulated ranks leave for each other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size, timeout=600.0)
        self.notes: dict[Any, Any] = {}


class SimulatedRank(Communicator):
    """One of several ranks that are threads of this process."""

    transport = "simulated"

    def __init__(self, rank: int, board: Board) -> None:
        self.rank, self.size, self._board = rank, board.size, board

    @property
    def mpi(self) -> None:
        return None

    def share(self, value: Any) -> list[Any]:
        self._board.notes[self.rank] = value
        self._board.barrier.wait()
        values = [self._board.notes[rank] for rank in range(self.size)]
        self._board.barrier.wait()
        return values

    def gather(self, value: Any) -> list[Any] | None:
        values = self.share(value)
        return values if self.rank == 0 else None

    def broadcast(self, value: Any) -> Any:
        return self.share(value)[0]

    def barrier(self) -> None:
        self._board.barrier.wait()

    def allgather(self, x: Array) -> Array:
        return jnp.stack(self.share(x))

    def sum(self, x: Array) -> Array:
        return jnp.sum(self.allgather(x), axis=0)

    def exchange(self, x: Array, plan: ExchangePlan) -> Array:
        letters = self.share({meeting.partner: x[meeting.send_rows] for meeting in plan.rounds})
        for meeting in plan.rounds:
            x = x.at[meeting.receive_rows].set(letters[meeting.partner][self.rank])
        return x


def at_rest(problem: CoupledSetup, state: CableState) -> CableState:
    """The state itself."""
    return state


def half_a_wave(problem: CoupledSetup, state: CableState) -> CableState:
    """Calcium with a cosine over the whole cable on top: smooth, no flux at the ends."""
    pieces = problem.cell.pieces.cable.take(problem.local)
    fraction = (problem.solver.table.grid.space + 1.0) / 2.0
    place = pieces.path[:, :1] + np.diff(pieces.path, axis=1) * fraction
    wave = 0.5 * np.cos(np.pi * place / problem.cell.pieces.cable.path.max())
    return state._replace(field=state.field.at[:, 0].add(wave), size=np.array([0.5, 0.5]))


def cut_into(count: int, total: float) -> tuple[str, ...]:
    """Overrides that cut a cable into equal pieces."""
    return f"pieces.max_length={total / count!r}", f"pieces.source_length={total / count!r}"


def dendrite(total: float) -> Cable:
    """A cone that tapers from 1 to 0.4 µm, in two halves so that no piece tapers by more than two."""
    x = np.array([0.0, 0.5, 1.0]) * total
    radius = np.array([1.0, 0.7, 0.4])
    return assemble(
        [
            Frustum(
                tail=k, head=k + 1, xyz=np.array([[x[k], 0.0, 0.0], [x[k + 1], 0.0, 0.0]]),
                radius=(radius[k], radius[k + 1]), length=total / 2, kind=3, swc_id=k + 1, order=k,
            )
            for k in range(2)
        ]
    )  # fmt: skip


def table(title: str, head: list[str], rows: dict[str, list[int]]) -> None:
    print(f"\n{title}\n{'':34}" + "".join(f"{h:>7}" for h in head))
    for name, values in rows.items():
        print(f"{name:34}" + "".join(f"{v:7}" for v in values), flush=True)


def dendrites(counts: tuple[int, ...]) -> dict[str, list[int]]:
    """Sweeps on the dendrite, a row per length and window."""
    rows: dict[str, list[int]] = {}
    for total in (64.0, 16.0):
        problems = {}
        for count in counts:
            config = load_config(None, [*OPEN, *cut_into(count, total), "schwarz.max_sweeps=40"])
            problems[count] = coupled_setup(config, SerialCommunicator(), dendrite(total))
        for window in (0.1, 1.0, 5.0):
            rows[f"{total:.0f} um, window {window:g} ms"] = [
                InterfaceProblem.of_window(problems[n], 1e-3 * window, at_rest).count() for n in counts
            ]
    table("Physical constants, one dendrite: sweeps against pieces", [str(n) for n in counts], rows)
    return rows


def simulated_ranks(ranks: tuple[int, ...]) -> dict[str, list[float]]:
    """Sweeps of one cut on ever more ranks, and how far the traces differ from those of one rank."""
    config = load_config(None, [*OPEN, 'synapse=[{site="tip", start=0.0}]'])
    cell = InterfaceProblem.of_window(coupled_setup(config, SerialCommunicator()), 1e-3, at_rest)
    counts, distances, alone = [], [], None
    for n in ranks:
        count, robin_in = cell.on_ranks(n)
        alone = robin_in if alone is None else alone
        counts.append(count)
        distances.append(float(np.max(np.abs(robin_in - alone) / np.asarray(cell.size)[:, None])))
    title = f"Pyramidal cell, {cell.pieces.n_frusta} pieces, window 1 ms: sweeps against ranks"
    table(title, [str(n) for n in ranks], {"sweeps": counts})
    print(f"{'traces differ from one rank by':34}" + "".join(f"{d:7.0e}" for d in distances))
    return {"ranks": list(ranks), "sweeps": counts, "difference": distances}


def hard_cable(counts: tuple[int, ...]) -> dict[str, dict[str, list[int]]]:
    """Sweeps on the seed cable, a row per method, for a short window and for the whole horizon."""
    figures = {}
    for window in (0.05, 1.0):
        problems = []
        for count in counts:
            config = load_config(None, [
                "morphology.file=builtin:seed_cable", "morphology.merge_below=0", "physics.preset=seed",
                "network.features=56", f"schwarz.max_sweeps={LIMIT}", *cut_into(count, 2.0),
            ])  # fmt: skip
            problem = coupled_setup(config, SerialCommunicator())
            problems.append(InterfaceProblem.of_window(problem, window, half_a_wave))
        rows = {name: [p.count(*method) for p in problems] for name, method in METHODS.items()}
        title = f"Hard case, seed cable, one window of {window:g} (diffusion reaches {2 * window**0.5:.2g} of 2)"
        table(title, [str(n) for n in counts], rows)
        figures[f"{window:g}"] = rows
    return figures


def draw(counts: tuple[int, ...], figures: dict[str, Any]) -> None:
    """Three panels, one per case."""
    figure, axes = pyplot.subplots(1, 3, figsize=(12.5, 3.6), layout="constrained")
    for index, (name, values) in enumerate(figures["dendrite"].items()):
        # larger ones below: all of them may be the same
        style = {
            "color": f"C{index}",
            "linestyle": "-" if index < 3 else "--",
            "marker": "o",
            "markersize": 14 - 2 * index,
        }
        axes[0].semilogx(counts, values, base=2, markerfacecolor="none", label=name.replace("um", "µm"), **style)
    ranks = figures["ranks"]
    axes[1].semilogx(ranks["ranks"], ranks["sweeps"], "o-", base=2, markersize=4)
    for index, (name, values) in enumerate(figures["hard"]["1"].items()):
        axes[2].loglog(counts, values, "o-", base=2, markersize=4, color=f"C{index}", label=name)
    axes[0].set(title="a dendrite cut ever finer", xlabel="pieces")
    axes[1].set(title="one cut on ever more ranks", xlabel="ranks")
    axes[2].set(title="hard: diffusion across all pieces", xlabel="pieces")
    axes[2].yaxis.set_major_formatter("{x:g}")
    for axis in axes:
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set(ylabel="sweeps to a jump of 1e-5")
    for axis in axes[:2]:
        axis.set_ylim(0, 16)
        axis.axhline(8, color="0.7", linewidth=0.8)
    axes[0].legend(frameon=False, fontsize=7)
    axes[2].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(RESULTS / "bench_sweeps.png", dpi=150)
    pyplot.close(figure)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="up to 16 pieces and ranks only")
    counts = COUNTS[:4] if arguments.parse_args().quick else COUNTS
    figures = {
        "counts": list(counts),
        "dendrite": dendrites(counts),
        "ranks": simulated_ranks((1, *counts)),
        "hard": hard_cable(counts),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_sweeps.json").write_text(json.dumps(figures, indent=1))
    draw(counts, figures)


if __name__ == "__main__":
    main()
