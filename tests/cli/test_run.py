"""What a run says of itself."""

import io

from rich.console import Console

from hpcpinn.systems.cell.run import print_summary
from hpcpinn.systems.cell.verdict import CellsVerdict, CellVerdict, Firing
from hpcpinn.systems.common.run_summary import RunSummary


def test_summary_says_what_how_well_and_at_what_cost():
    summary = RunSummary(
        result="results/run.h5",
        ranks=1,
        duration=50.0,
        seconds=83.4,
        seconds_setup=12.2,
        memory_gib=0.83,
        output_mib=3.14,
        figures={
            "sections": 101,
            "pieces": 690,
            "windows": 61,
            "rejected": 3,
            "newton_steps": 150,
            "sweeps": 800,
            "factorisations": 40,
            "most_sweeps_per_step": 6,
            "most_sweeps_per_window": 14,
            "error_estimate": 3.2e-5,
            "window_error": 8.1e-6,
            "tolerance": 1e-3,
            "calcium_balance": 4e-9,
            "interface_jump": 5e-8,
            "exchange_share": 0.031,
        },
        verdict=CellsVerdict((), ("a thing [x]",), cells=(CellVerdict("", Firing(), None),)),
    )
    console = Console(file=io.StringIO(), width=60)
    print_summary(summary, console)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines == [
        "cell 101 sections in 690 pieces on 1 rank",
        "solve 50 ms in 61 windows (3 rejected), 150 Newton steps, 800 sweeps (at most 6 per step)",
        "accuracy error estimate 3.2e-05 of the excursion from rest over the run; windows at most 8.1e-06 "
        "(window.tolerance 1.0e-03)",
        "calcium balance 4.0e-09, interface jump 5.0e-08",
        "cost 1 min 23 s (set-up 12 s), 3.1 % of the windows in exchange, 0.83 GiB per rank",
        "fired nothing: the voltage is held",
        "calcium nothing was written of it",
        "unsolved a thing [x]",
        "result results/run.h5 (3.1 MiB)",
        "next hpcpinn plot results/run.h5 or hpcpinn validate results/run.h5",
    ]
