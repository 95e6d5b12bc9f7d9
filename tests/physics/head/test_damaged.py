"""Files with any byte changed, cut or put in: taken, or refused with one line, never anything else."""

import random
import warnings
from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics.stimulation.head.at_locations import read_at_locations
from hpcpinn.physics.stimulation.head.mesh_file import read_mesh_field
from hpcpinn.physics.stimulation.head.nemo_tms import read_segment_potentials
from hpcpinn.physics.stimulation.head.placement import HeadPlacement, turn
from hpcpinn.physics.stimulation.head.surface import read_surface
from hpcpinn.physics.stimulation.head.voxels import read_voxel_field
from tests.physics.head import test_nemo_tms, test_surface, test_voxels
from tests.physics.head.heads import cell, head_with

PLACED = HeadPlacement(np.zeros(3), np.zeros(3), turn((0, 1, 0), (0, 1, 0), 0))
ANYWHERE = np.array([[0.1, 0.2, 0.3], [5.0, 1.0, 2.0]])
PUT_IN = (b"nan", b"-1", b"99999999", b"\n", b" ", b"1e308", b"\xff\x00\x7f")


def beside(path: Path, name: str) -> Path:
    """The sound file that goes with another one."""
    return (path.parent.parent if path.parent.name == "damaged" else path.parent) / name


def of_nemo(psi: Path, segments: Path) -> np.ndarray:
    return read_segment_potentials(psi, segments).quasipotential(cell())


READERS = {
    "binary.msh": lambda path: read_mesh_field(path).at(ANYWHERE),
    "text.msh": lambda path: read_mesh_field(path).at(ANYWHERE),
    "e.nii": lambda path: read_voxel_field(path).at(ANYWHERE),
    "s.gii": lambda path: read_surface(path, 1002).foot(np.zeros(3)),
    "lh.pial": lambda path: read_surface(path, 1002).foot(np.zeros(3)),
    "s.stl": lambda path: read_surface(path, 1002).foot(np.zeros(3)),
    "s.msh": lambda path: read_surface(path, 1002).foot(np.zeros(3)),
    "quasipotentials.txt": lambda path: of_nemo(path, beside(path, "locs_all_seg.txt")),
    "locs_all_seg.txt": lambda path: of_nemo(beside(path, "quasipotentials.txt"), path),
    "coords.csv": lambda path: read_at_locations(beside(path, "coords_E.csv"), path, PLACED),
    "coords_E.csv": lambda path: read_at_locations(path, beside(path, "coords.csv"), PLACED),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    (folder / "damaged").mkdir()
    for name, kind in (("binary.msh", "simnibs"), ("text.msh", "gmsh22")):
        head_with(
            folder / name, np.ones_like, np.array([[0.0] * 3, [1.0] * 3]), cells=1, kind=kind, binary=kind != "gmsh22"
        )
    test_voxels.write(folder / "e.nii")
    for name, write in test_surface.WRITERS.items():
        write(folder / name, *test_surface.sphere(1))
    test_nemo_tms.write(folder, *test_nemo_tms.segments_of(cell(), 40.0), test_nemo_tms.FIELD)
    for name in ("coords.csv", "coords_E.csv"):
        np.savetxt(folder / name, np.random.default_rng(0).uniform(size=(9, 3)), delimiter=",")
    return folder


def damaged(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 3, 10))):
        at = chance.randrange(len(data) if chance.random() < 0.6 else min(len(data), 400)) if data else 0
        match chance.randrange(5):
            case 0:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + chance.choice((1, 4, 100)) :]
            case 2:
                data = data[:at] + chance.randbytes(chance.choice((1, 4, 9))) + data[at:]
            case 3:
                data = data[:at]
            case 4:
                data = data[:at] + chance.choice(PUT_IN) + data[at:]
    return data


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_taken_or_refused_with_one_line(name, good):
    chance = random.Random(name)
    READERS[name](good / name)  # as it is, it is sound
    refused, said = 0, ""
    for _ in range(60):
        path = good / "damaged" / name
        path.write_bytes(damaged((good / name).read_bytes(), chance))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                READERS[name](path)
            except InputError as error:
                refused += 1
                said = str(error)
        assert refused == 0 or ("\n" not in said and str(good) in said)
    assert refused > 5
