"""`python scripts/one_core.py ARGUMENTS`: `python -m hpcpinn ARGUMENTS` on one core, another one for every rank.

For benchmarks that compare numbers of ranks: by itself, a rank takes as many cores as its share of the machine.
"""

import os
import runpy

from hpcpinn.parallel import launch

cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cores[launch.local_rank() % len(cores)]})
runpy.run_module("hpcpinn", run_name="__main__")
