"""Runs of one description one after another, by the same ranks: what the first compiles serves the others.

mpi4jax writes the address of its communicator into compiled programs, so that they are good for one process.
"""

import sys
from pathlib import Path

from hpcpinn.cli.run import checkpoint_to_resume
from hpcpinn.config import load_config
from hpcpinn.parallel.device import prepare
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.progress import NoProgress
from hpcpinn.workflows import forward


def main(job: str, transport: str, *outputs: str) -> None:
    """Runs into every output; goes on from the checkpoint of an output that has one."""
    prepare()
    communicator = make_communicator(transport)
    for output in outputs:
        config = load_config(Path(job), [f"run.output={output}"])
        forward.run(config, communicator, NoProgress(), resume=checkpoint_to_resume("auto", Path(output)))


if __name__ == "__main__":
    main(*sys.argv[1:])
