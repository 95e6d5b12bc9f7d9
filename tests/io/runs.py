"""A small branched run whose every recorded value follows from its time and place."""

import numpy as np
from numpy import ndarray

from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import ResultHeader
from hpcpinn.io.results import ResultWriter
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.physics.constants import PRESETS
from hpcpinn.systems.cell import recorded

_FIELDS = recorded.fields_of(PRESETS["physical-N"])
FIELDS = tuple(field.name for field in _FIELDS)
CELLS_PER_PIECE = 3
N_PIECES = 11


def y_cable() -> Cable:
    """A trunk of three pieces and two branches of four, with tapering radii."""
    section = np.array([0] * 3 + [1] * 4 + [2] * 4)
    node = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [6, 7], [3, 8], [8, 9], [9, 10], [10, 11]])
    length = np.linspace(1.0, 3.0, N_PIECES)
    radius = np.stack([np.linspace(2.0, 1.0, N_PIECES), np.linspace(1.9, 0.9, N_PIECES)], axis=1)
    direction = np.array([[0.0, 1.0, 0.0], [-0.6, 0.8, 0.0], [0.6, 0.8, 0.0]])[section]
    arrival = {0: (0.0, np.zeros(3))}
    path, xyz, start = [], [], []
    for piece, (tail, head) in enumerate(node):
        distance, place = arrival[tail]
        arrival[head] = (distance + length[piece], place + length[piece] * direction[piece])
        path.append([distance, distance + length[piece]])
        xyz.append([place, arrival[head][1]])
        start.append(0.0 if piece in (0, 3, 7) else start[-1] + length[piece - 1])
    return Cable(
        sections=(Section("soma[0]", 1, -1), Section("dend[0]", 3, 0), Section("apic[0]", 4, 0)),
        section=section,
        kind=np.array([1, 3, 4])[section],
        node=node,
        start=np.array(start),
        length=length,
        radius=radius,
        er_radius=0.3 * radius,
        xyz=np.array(xyz),
        path=np.array(path),
        swc_id=np.arange(N_PIECES) + 100,
    )


def header(ranks: int) -> ResultHeader:
    """Ownership scattered over all ranks but the last, which has nothing to do if there are several."""
    busy = max(1, ranks - 1)
    return ResultHeader(
        system="cell",
        geometry=Tree(y_cable(), (5 * np.arange(N_PIECES) + 2) % busy, CELLS_PER_PIECE),
        fields=_FIELDS,
        windows=recorded.WINDOWS,
        probes=(ProbeSite("soma", 0, 0.5), ProbeSite("tip", 10, 1.0), ProbeSite("fork", 3, 0.0)),
        config='{"run": {"duration": 6.0}}',
        seed=7,
    )


def frame(name: str, time: float) -> ndarray:
    """All cells of one frame, shape (pieces, cells_per_piece); no two values alike."""
    cell = np.arange(N_PIECES * CELLS_PER_PIECE, dtype=float).reshape(N_PIECES, -1)
    return 1000.0 * FIELDS.index(name) + np.sin(time) + cell / 7.0


def samples(name: str, times: ndarray) -> ndarray:
    """All probes at some times."""
    return 1000.0 * FIELDS.index(name) + np.cos(times)[:, None] * np.array([1.0, 2.0, 3.0])


def window(index: int) -> dict[str, float]:
    """What window number `index`, [index, index + 1], went through."""
    return {
        "start": float(index),
        "length": 1.0,
        "newton_steps": 2,
        "sweeps": 5 + index,
        "jump": 1e-6 / (1 + index),
        "error_estimate": 1e-5,
        "balance": 1e-9,
        "rejected": index % 2,
        "seconds_train": 0.5,
        "seconds_exchange": 0.1,
        "seconds_io": 0.01,
    }


def write_window(writer: ResultWriter, index: int) -> None:
    """Records two frames, four probe samples and the report of window number `index`."""
    for time in (index + 0.5, index + 1.0):
        writer.frame(time, {name: frame(name, time)[writer.local_pieces] for name in FIELDS})
    times = index + np.array([0.25, 0.5, 0.75, 1.0])
    writer.probes(times, {name: samples(name, times)[:, writer.local_probes] for name in FIELDS})
    writer.windows([window(index)])
    writer.sweeps(
        {"window": index, "newton": 0, "sweep": sweep, "jump": 10.0 ** -(sweep + index)} for sweep in range(3)
    )
    writer.flush()
