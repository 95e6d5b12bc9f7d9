"""Runs of cells in the process of a test, as the command line does them."""

from pathlib import Path
from typing import Any

from hpcpinn.config.load import Origin
from hpcpinn.core.order import Order
from hpcpinn.parallel.communicator import Communicator, SerialCommunicator
from hpcpinn.progress import NO_PROGRESS
from hpcpinn.systems.cell import SYSTEM
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.common.run import work
from hpcpinn.systems.common.run_summary import RunSummary


def ordered(config: RunConfig, resume: Path | None = None) -> Order:
    """An order to run a description."""
    return Order(SYSTEM, config, Origin(), resume=resume)


def solve(
    config: RunConfig, communicator: Communicator | None = None, progress: Any = NO_PROGRESS, resume: Path | None = None
) -> RunSummary:
    """Runs a description into its result file."""
    return work(ordered(config, resume), communicator or SerialCommunicator(), progress)
