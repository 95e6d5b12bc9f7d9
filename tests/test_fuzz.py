"""A minute of scripts/fuzz.py: mutated files are read or refused, and one cell is one cell however it is described."""

import importlib
import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hpcpinn.io import Result, read
from hpcpinn.parallel.transports import make_communicator
from hpcpinn.systems.cell.config.reading import load_config
from tests import stumbling
from tests.systems.cell.solving import solve
from tests.systems.cell.test_forward import Silent

REPOSITORY = Path(__file__).resolve().parents[1]
SEED = 2
"""Another one than the script's: who calls it by hand looks at other files."""


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    scripts = str(REPOSITORY / "scripts")
    if scripts not in sys.path:
        sys.path.append(scripts)  # its processes look there, too
    return importlib.import_module("fuzz")


class First(random.Random):
    """Chance that takes the first of all choices."""

    def choice(self, seq):
        return seq[0]

    def random(self):
        return 0.0


@pytest.mark.parametrize("kind", ["toml", "swc", "csv"])
def test_what_the_files_begin_with_is_sound(fuzz, kind, tmp_path):
    for name, text in fuzz.corpus(kind):
        (tmp_path / name).write_bytes(text)
        for beside in fuzz.BESIDE:
            (tmp_path / beside).write_bytes((REPOSITORY / "jobs" / beside).read_bytes())
        fuzz.CHECKS[kind](tmp_path / name, First())


@pytest.mark.parametrize(("kind", "count"), [("toml", 1500), ("swc", 1500), ("csv", 1500)])
def test_mutated_files_are_read_or_refused(fuzz, kind, count):
    verdicts = list(fuzz.examine_all(kind, list(range(count)), SEED, 60.0))
    assert [verdict.number for verdict in verdicts] == list(range(count))
    assert [verdict for verdict in verdicts if verdict.outcome == "fault"] == []
    assert sum(verdict.outcome == "taken" for verdict in verdicts) > count / 10


def test_one_cell_in_many_descriptions(fuzz):
    assert [verdict for verdict in fuzz.invariances(60, SEED) if verdict.outcome == "fault"] == []


def test_a_case_depends_on_seed_and_number_alone(fuzz):
    once, again = (fuzz.mutated("swc", 17, 3) for _ in range(2))
    assert once == again
    assert len({fuzz.mutated("swc", number, 3) for number in range(20)}) > 15


@pytest.mark.parametrize(
    ("values", "positive"), [([1.0, np.nan], False), ([np.inf], False), ([0.0, 1.0], True), ([-1.0], True)]
)
def test_nonsense_is_seen(fuzz, values, positive):
    with pytest.raises(AssertionError, match="nonsense taken: x is not"):
        fuzz.require_sound("x", values, positive=positive)


def test_hangs_and_crashes_are_seen_and_the_next_go_on(fuzz, monkeypatch, tmp_path):
    """By a stand-in of the worker that sleeps at one case and ends at another."""
    monkeypatch.setattr(fuzz, "_work", stumbling.work)
    verdicts = list(fuzz.examine_all("swc", list(range(4)), SEED, 1.0))
    assert [verdict.number for verdict in verdicts] == [0, 1, 2, 3]
    assert [verdict.text.split(":")[0].split(" (")[0] for verdict in verdicts] == ["", "hangs", "ends the process", ""]


CELL = REPOSITORY / "meshes" / "y_branch.swc"
PROBES = ["root", "dend[1](0.5)", "dend[2](0.25)", "tip"]


def solved(
    folder: Path, name: str, *settings: str, probes: list[str] = PROBES, cell: str = "builtin:y_branch"
) -> Result:
    """A short run with a release."""
    listed = ", ".join(f'{{site="{probe}"}}' for probe in probes)
    config = load_config(
        None,
        [
            *(f'morphology.file="{cell}"', "pieces.cells_per_piece=2", "run.output_interval=0.5", f"probe=[{listed}]"),
            *("network.features=36", "window.tolerance=0.1", "window.longest=0.5"),
            *('synapse=[{site="dend[1](0.5)", start=0.25}]', "run.duration=1.0", *settings),
            f'run.output="{folder / name}"',
        ],
    )
    solve(config, make_communicator("serial"), Silent())
    return read(folder / name)


@pytest.mark.slow
def test_a_solved_cell_is_the_same_whatever_its_units_and_the_order_of_its_probes(fuzz, tmp_path):
    plain = solved(tmp_path, "plain.h5")
    assert float(np.ptp(plain.probes.calcium)) > 1e-3
    order = [2, 0, 3, 1]
    shuffled = solved(tmp_path, "shuffled.h5", probes=[PROBES[i] for i in order])
    np.testing.assert_allclose(shuffled.probes.calcium, plain.probes.calcium[:, order], rtol=1e-12)
    rows = fuzz._rows("".join(line for line in CELL.read_text().splitlines(True) if line[0] != "#"))
    doubled = [[*row[:2], *(2.0 * value for value in row[2:6]), row[6]] for row in rows]
    (tmp_path / "doubled.swc").write_text(fuzz._text(doubled))
    units = ('morphology.units="0.5um"', 'run.duration="0.001 s"', 'run.output_interval="500 us"')
    again = solved(tmp_path, "again.h5", *units, cell=str(tmp_path / "doubled.swc"))
    np.testing.assert_array_equal(again.probes.calcium, plain.probes.calcium)
