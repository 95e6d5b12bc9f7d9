"""``hpcpinn run`` of a cell: coupled windows, or slot by slot."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from hpcpinn.config.jobs import DEFAULT
from hpcpinn.core.order import Order
from hpcpinn.systems.cell.bare import BARE
from hpcpinn.systems.common.run import judge, look, work
from hpcpinn.terminal.lines import print_verdict
from hpcpinn.wording import as_typed, biology, counted, duration

if TYPE_CHECKING:
    from hpcpinn.systems.cell.verdict import CellsVerdict
    from hpcpinn.systems.common.run_summary import RunSummary

__all__ = ["judge", "look", "tell", "work"]


def tell(order: Order, outcome: "RunSummary") -> None:
    """Prints what came of it."""
    console, typed = Console(highlight=False, markup=False), order.typed
    search = threshold_arguments(
        typed.get("job"), typed.get("morphology"), typed.get("units"), typed.get("settings") or (),
        order.described.field.magnitude,
    )  # fmt: skip
    show: Any = print_long_summary if order.described.is_long else print_summary
    show(outcome, console, search)


def threshold_arguments(
    job: Path | None, morphology: str | None, units: str | None, settings: Sequence[str], magnitude: float | None
) -> str:
    """What follows ``hpcpinn threshold`` for the cell and the pulses of a run, quoted for the shell.

    Args:
        job: Name of the job file as it was typed.
        morphology: Value of ``--morphology`` as it was typed.
        units: Value of ``--units`` as it was typed.
        settings: Values of ``--set`` as they were typed: all are carried but those that say how strong the field is,
            how long the run and where its result.
        magnitude: Magnitude of the run's field, V/m; the job file's own is known to the search.
    """
    if job is not None and BARE.is_one(job):
        job, morphology = None, str(job)
    keys = [setting.partition("=")[0].strip() for setting in settings]
    kept = [
        setting
        for key, setting in zip(keys, settings, strict=True)
        if key.split(".")[0] != "run" and key != "field.magnitude"
    ]
    if units is not None:
        kept.append(f"morphology.units={json.dumps(units, ensure_ascii=False)}")
    words = [DEFAULT if job is None else str(job)]
    words += [] if morphology is None else ["--morphology", morphology]
    words += [word for setting in kept for word in ("--set", setting)]
    if magnitude is not None and "field.magnitude" in keys:
        from hpcpinn.systems.cell.threshold import HIGHEST  # loads the cable equation

        far = 4.0 * abs(magnitude)  # it is what has just fired nothing
        words += ["--up-to", f"{far:g}"] if far > HIGHEST else []
    return shlex.join(words)


def print_summary(summary: "RunSummary", console: Console, search: str = "") -> None:
    """What was computed, how well, what it cost, and what came of it."""
    from hpcpinn.systems.cell.verdict import lines_of_cells

    s = summary
    time = biology(s.duration, 6) if s.time_unit else f"{s.duration:g}"
    lines = {
        "cell": f"{counted(s.sections, 'section')} in {counted(s.pieces, 'piece')} on {counted(s.ranks, 'rank')}",
        "solve": f"{time} in {counted(s.windows, 'window')} ({s.rejected} rejected), "
        f"{counted(s.newton_steps, 'Newton step')}, {counted(s.sweeps, 'sweep')} (at most "
        f"{s.most_sweeps_per_step} per step)",
        "accuracy": f"error estimate {s.error_estimate:.1e} of the excursion from rest over the run; windows at most "
        f"{s.window_error:.1e} (window.tolerance {s.tolerance:.1e})",
        "": f"calcium balance {s.calcium_balance:.1e}, interface jump {s.interface_jump:.1e}",
        "cost": f"{duration(s.seconds)} (set-up {duration(s.seconds_setup)}), "
        f"{100 * s.exchange_share:.1f} % of the windows in exchange, {s.memory_gib:.2f} GiB per rank",
    }
    others = "" if s.verdict.impossible else f"  or  hpcpinn validate {as_typed(s.result)}"  # it is wrong for certain
    after = {
        "result": f"{s.result} ({s.output_mib:.1f} MiB)",
        "next": f"hpcpinn plot {as_typed(s.result)}{others}",
    }
    units = ("ms", "uM") if s.time_unit else ("", "")
    print_verdict(
        [*lines.items(), *lines_of_cells(cast("CellsVerdict", s.verdict), search, *units), *after.items()], console
    )


def print_long_summary(summary: "RunSummary", console: Console, search: str = "") -> None:
    """What a long run computed, how well, what it cost, and what came of it."""
    from hpcpinn.systems.cell.verdict import lines_of_cells

    s = summary
    slots = s.motifs_solved + s.motifs_reused
    members = f"{s.members} members, " if s.members > 1 else ""
    coupled = f", {counted(s.coupled_windows, 'coupled one')}" if s.coupled_windows else ""
    beyond = (
        "the reaction of these species goes through the stiff integrator"
        if s.outside_flow_map is None
        else f"{100 * s.outside_flow_map:.2g} % of the states beyond what the trained map of the reaction covers"
    )
    lines = {
        "cell": f"{members}{counted(s.sections, 'section')} in {counted(s.cells, 'cell')}, voltage on "
        f"{counted(s.voltage_compartments, 'compartment')}, {counted(s.ranks, 'rank')}",
        "protocol": f"{counted(s.pulses, 'pulse')} in {biology(s.duration)} of "
        f"biology, {counted(s.windows - s.coupled_windows, 'split window')}{coupled}",
        "voltage": f"solved for {s.motifs_solved} of {counted(slots, 'stretch', 'stretches')} of the protocol, "
        f"reused in the others, which begin alike (to {s.motif_mismatch:.1e})",
        "accuracy": f"error estimate of the windows at most {s.error_estimate:.1e} of calcium's distance from rest; "
        f"{beyond}",
        "cost": f"{duration(s.seconds)} (set-up {duration(s.seconds_setup)}; voltage {duration(s.seconds_voltage)}, "
        f"windows {duration(s.seconds_windows)}, error estimate {duration(s.seconds_coarse)}, output "
        f"{duration(s.seconds_output)}): {s.seconds_per_second:.3g} s per second of biology, {s.memory_gib:.2f} GiB",
    }
    after = {"result": f"{s.result} ({s.output_mib:.1f} MiB)", "next": f"hpcpinn plot {as_typed(s.result)}"}
    print_verdict([*lines.items(), *lines_of_cells(cast("CellsVerdict", s.verdict), search), *after.items()], console)
