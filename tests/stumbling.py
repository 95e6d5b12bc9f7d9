"""A worker of scripts/fuzz.py that hangs at one case and dies at another. It loads quickly."""

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path


def work(pipe: Connection, kind: str, numbers: list[int], seed: int, folder: Path) -> None:
    """Takes every case but 1, where it sleeps, and 2, where it ends the process."""
    from fuzz import Verdict

    pipe.send(None)
    for number in numbers:
        if number == 1:
            time.sleep(60.0)
        if number == 2:
            os._exit(7)
        pipe.send(Verdict(kind, number, "taken"))
