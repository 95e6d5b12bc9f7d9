"""What becomes of results when something goes wrong: seeded, bounded, and told in one table.

    python scripts/torture.py                          every row, as often as the row says
    python scripts/torture.py kills flips --times 30   some rows, so often
    python scripts/torture.py runs --first 40          the rest of a row from case 40 on
    python scripts/torture.py --seconds 60             the quick rows, together for about a minute
    python scripts/torture.py --seed 4                 other moments and places: batches add up

Every row says what was done, how often, and how often it ended as it must. The exit code is 1 where one did not; its
folder stays then, and is named. Rows that start commands compile their programs once where JAX_COMPILATION_CACHE_DIR
names a folder.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from tests.mpi import runner, throwaway_slurm
from tests.torture import changed, contended, disks, jobs, killed, signalled, writers
from tests.torture.rows import Batch, Row, done

ROWS = {
    "kills": Row("killed in a creation, an append, a checkpoint, a rewind", 900, writers.kills, is_quick=True),
    "flips": Row("a flipped bit in result, checkpoint, draws, flow map", 1000, writers.flips, is_quick=True),
    "files": Row("truncated, empty, foreign, folders, links, pipes", 300, writers.files, is_quick=True),
    "full": Row("disk full in mid-run, then resumed", 60, writers.full, is_quick=True),
    "gone": Row("folder or result removed in mid-run", 20, writers.gone, is_quick=True),
    "writers": Row("two writers at nearly one time", 20, writers.writers),
    "runs": Row("killed by command line, 1 and 2 ranks, started again", 100, killed.killed_at_random),
    "signals": Row("SIGINT, SIGTERM, SIGUSR1 at random moments, started again", 40, signalled.signalled),
    "ranks": Row("begun on 1 to 4 ranks, ended on 1 to 4", 32, killed.other_ranks, why_not=killed.why_no_ranks),
    "inputs": Row("an input that changes between a run and its rest", 18, changed.changed),
    "disks": Row(
        "quota, full or read-only disk, files gone; by command", 40, disks.spoiled, why_not=disks.why_no_mounts
    ),
    "twice": Row("two commands on one result", 20, contended.twice),
    "arrays": Row("tasks of a job array of SLURM on one result", 3, contended.arrays, why_not=throwaway_slurm.why_not),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--times", type=int, help="cases of a row; what the row says where left out")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seconds", type=float, help="wall time of all rows together")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    runner.hear_ctrl_c()
    unknown = [name for name in given.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    chosen = given.rows or [name for name, row in ROWS.items() if given.seconds is None or row.is_quick]
    seconds = float("inf") if given.seconds is None else given.seconds / len(chosen)
    failed = 0
    for name in chosen:
        times = given.times or ROWS[name].times - given.first
        failed += done(name, ROWS[name], Batch(given.first, times, given.seed, seconds))
    if not failed:
        shutil.rmtree(jobs.work_folder())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
