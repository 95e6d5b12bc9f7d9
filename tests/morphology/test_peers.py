"""What Arbor and NeuroM make of the same files, asked of the programs themselves where they are there.

HPCPINN_ARBOR_PYTHON=PYTHON HPCPINN_NEUROM_PYTHON=PYTHON pytest tests/morphology/test_peers.py
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpcpinn.errors import InputError
from hpcpinn.morphology.build import cable_from_swc
from hpcpinn.morphology.swc import read_swc

TEXTS = {
    "one point": "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 50 0 0 1 2\n",
    "three points": "1 1 0 0 0 5 -1\n2 1 0 -5 0 5 1\n3 1 0 5 0 5 1\n4 3 5 0 0 1 1\n5 3 50 0 0 1 4\n",
    "a chain": "1 1 0 0 0 5 -1\n2 1 5 0 0 5 1\n3 1 10 0 0 4 2\n4 3 15 0 0 1 3\n5 3 50 0 0 1 4\n",
    "a fork": "1 1 0 0 0 5 -1\n2 1 5 0 0 5 1\n3 1 10 0 0 4 2\n4 1 5 5 0 4 2\n5 3 15 0 0 1 3\n6 3 50 0 0 1 5\n",
    "two roots": "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 50 0 0 1 2\n4 3 0 100 0 1 -1\n5 3 0 150 0 1 4\n",
    "an id twice": "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n2 3 50 0 0 1 1\n",
    "no such parent": "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 50 0 0 1 9\n",
}
CELLS = ("rat_ca1_pyramidal_c91662", "mouse_purkinje_p43_6")

ARBOR = """
import arbor
def answer(path):
    tree = arbor.load_swc_arbor(path).morphology
    return sum(len(tree.branch_segments(i)) for i in range(tree.num_branches))
"""
NEUROM = """
import neurom
def answer(path):
    return len(neurom.load_morphology(path).sections)
"""
ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
found = {}
for path in sys.argv[2:]:
    try:
        found[path] = answer(path)
    except Exception as error:
        found[path] = None
open(sys.argv[1], "w").write(json.dumps(found))
"""


def asked(module: str, program: str, paths: list[Path], folder: Path) -> dict[str, int | None]:
    """What a program says of files, None where it refuses them."""
    python = os.environ.get(f"HPCPINN_{module.upper()}_PYTHON")
    if python is None and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed (or name an interpreter in HPCPINN_{module.upper()}_PYTHON)")
    told = folder / "answers.json"
    command = [python or sys.executable, "-c", program + ASK, str(told), *map(str, paths)]
    subprocess.run(command, timeout=300, check=True, capture_output=True)
    answers = json.loads(told.read_text())
    return {path.stem: answers[str(path)] for path in paths}


def written(folder: Path) -> list[Path]:
    paths = [folder / f"{name}.swc" for name in TEXTS]
    for path in paths:
        path.write_text(TEXTS[path.stem])
    return paths


def read_as(path: Path, soma: str) -> int | None:
    """Frusta of a file with all its points kept; None where it is refused."""
    try:
        return cable_from_swc(read_swc(path), soma=soma, merge_below=None)[0].n_frusta
    except InputError:
        return None


@pytest.mark.slow
def test_arbor_reads_and_refuses_the_same_files(tmp_path: Path, shared: Path) -> None:
    paths = [*written(tmp_path), *(shared / "morphologies" / f"{name}.swc" for name in CELLS)]
    answers = asked("arbor", ARBOR, paths, tmp_path)
    assert {path.stem: read_as(path, "arbor") for path in paths} == answers
    assert answers["one point"] is None and answers["three points"] == 4


@pytest.mark.slow
def test_neurom_refuses_a_soma_that_forks_and_reads_several_trees(tmp_path: Path) -> None:
    """As docs/morphologies.md says; hpcpinn reads the fork as NEURON does, and refuses several trees."""
    answers = asked("neurom", NEUROM, written(tmp_path), tmp_path)
    refused = {name for name, count in answers.items() if count is None}
    assert refused == {"a fork", "an id twice", "no such parent"}
    ours = {name for name in TEXTS if read_as(tmp_path / f"{name}.swc", "neuron") is None}
    assert ours == {"two roots", "an id twice", "no such parent"}
