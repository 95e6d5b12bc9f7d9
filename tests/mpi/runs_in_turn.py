"""Runs of one description one after another, by the same ranks: what the first compiles serves the others.

mpi4jax writes the address of its communicator into compiled programs, so that they are good for one process.
"""

import sys
from dataclasses import replace
from pathlib import Path

from hpcpinn.core.order import Resumption
from hpcpinn.io.checkpoint import checkpoint_path
from hpcpinn.parallel.device import prepare
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.progress import NoProgress
from hpcpinn.systems import part
from hpcpinn.systems.common.resumption import checkpoint_for
from hpcpinn.systems.jobs import load_order, require_action


def main(job: str, transport: str, *outputs: str) -> None:
    """Runs into every output; goes on from the checkpoint of an output that has one."""
    prepare()
    communicator = make_communicator(transport)
    for output in outputs:
        order = load_order(Path(job), [f"run.output={output}"])
        wish = Resumption(checkpoint_path(output), or_begins=True)
        order = replace(order, resume=communicator.on_root(checkpoint_for, wish, Path(output)))
        part(require_action(order, "run")).work(order, communicator, NoProgress())


if __name__ == "__main__":
    main(*sys.argv[1:])
