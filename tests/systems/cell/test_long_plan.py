"""What a long run says before it begins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpcpinn.io.read import read
from hpcpinn.parallel.communicator import SerialCommunicator
from hpcpinn.systems.cell.build.long import slot_run, slot_setup
from hpcpinn.systems.cell.config.reading import load_config
from hpcpinn.systems.cell.long_plan import plan_of
from hpcpinn.systems.common.output import header_of
from hpcpinn.systems.common.run import space_of
from tests.systems.cell.solving import ordered, solve

QUIET = [
    "morphology.file=builtin:y_branch", 'window.kind="split"', "field.magnitude=0.0", "stimulation.start=1.0",
    "run.duration=201.0", 'probe=[{site="tip"}]',
]  # fmt: skip


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def doing(self, what: str, total: float = 0.0, unit: str = "") -> None: ...
    def done(self, amount: float, detail: str = "") -> None: ...

    def tell(self, label: str, text: str) -> None:
        self.lines.append((label, text))


def test_a_run_says_what_it_will_write_and_writes_no_more(tmp_path: Path) -> None:
    config = load_config(None, [*QUIET, f"run.output={tmp_path}/run.h5", "run.probe_interval=0.5"])
    order, run, told = ordered(config), slot_run(config, SerialCommunicator()), Told()
    size, free = space_of(run, header_of(order, run), config.run.output)
    solve(config, SerialCommunicator(), told)
    assert [text for _, text in told.lines[:3]] == [text for _, text in run.plan(0.0, size, free)[:3]]
    result = read(tmp_path / "run.h5")
    assert len(run.setup.slots) == len(result.windows["start"])
    assert len(result.time) <= len(run.times) and len(result.probes.time) <= len(run.sample_times)
    assert (tmp_path / "run.h5").stat().st_size <= 1.05 * size + 200_000
    assert run.setup.chosen == (True, False)


def test_lengths_sizes_and_choices_are_said_as_people_say_them() -> None:
    spec = SimpleNamespace(
        duration=2_250_000.0, output_interval=10_000.0, probe_interval=45.0, times=range(226), sample_times=range(50001)
    )
    setup: Any = SimpleNamespace(
        spec=spec, slots=range(3001), chosen=(True, False), frame_times=np.arange(75.0), probes=range(3)
    )
    assert plan_of(setup, 0.0, size=6_606_029, free=2**40, memory=2.1 * 2**30) == [
        ("plan", "37.5 min of biology in 3001 stretches"),
        ("writes", "the cell every 10 s (chosen by the run: run.output_interval), at most 301 frames"),
        ("", "3 probes every 45 ms, at most 50001 samples"),
        (
            "needs",
            "at most 6.3 MiB on disk (1.0 TiB free) and about 2.1 GiB of memory per rank; the time is known after the "
            "first stretches",
        ),
    ]


@pytest.mark.parametrize("given", [("output_interval",), ("probe_interval",), ()])
def test_what_was_asked_for_is_not_called_chosen(given: tuple[str, ...]) -> None:
    intervals = {"output_interval": 10.0, "probe_interval": 0.5}
    config = load_config(None, [*QUIET, *(f"run.{name}={intervals[name]}" for name in given)])
    assert slot_setup(config).chosen == tuple(name not in given for name in intervals)
