"""Benchmark: diffusion over a window, the exact cable operator against networks with kept factors.

    python scripts/bench_diffusion.py [--swc FILE] [--span 10] [--features 7 4] [--refined 24]

The tree is cut into pieces as runs cut it. The exact operator works on cells, 1 to 4 per piece; the
networks at the nodes of the pieces. Two fields of calcium and calbindin at the start: what an influx
leaves behind (in proportion to membrane over volume, so it jumps where the radius does), and a wave of
100 µm along the paths from the root. They diffuse for --span ms in windows of one length.

Error: volume-weighted root mean square over the tree at the end of the span, over that of what has moved,
against the exact operator on --refined cells per piece (means over cells for cells, values for nodes);
its own distance from the same on half as many is given beside it. Time: best of five scans, both species.
Writes results/bench_diffusion.json.
"""

import argparse
import json
import time
from pathlib import Path

from hpcpinn.parallel.device import prepare

prepare()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from numpy import ndarray  # noqa: E402
from scipy.interpolate import CubicSpline  # noqa: E402

from hpcpinn.domain.network_diffusion import network_diffusion  # noqa: E402
from hpcpinn.domain.pieces import PieceRule, cut_into_pieces  # noqa: E402
from hpcpinn.morphology.build import cable_from_swc  # noqa: E402
from hpcpinn.morphology.cable import Cable  # noqa: E402
from hpcpinn.morphology.meshes import morphology_path  # noqa: E402
from hpcpinn.morphology.swc import read_swc  # noqa: E402
from hpcpinn.parallel.communicator import SerialCommunicator  # noqa: E402
from hpcpinn.physics.constants import PRESETS  # noqa: E402
from hpcpinn.timestepping.cell_grid import cell_grid  # noqa: E402
from hpcpinn.timestepping.diffusion import cable_diffusion  # noqa: E402
from hpcpinn.timestepping.splitting import Diffusion  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = (0.1, 1.0, 5.0, 10.0)
"""ms."""
WAVE = 100.0
"""µm."""
FIELDS = ("influx", "wave")


def starts(radius: ndarray, er_radius: ndarray, path: ndarray) -> dict[str, ndarray]:
    """The fields at places of the tree."""
    return {
        "influx": 2.0 * radius / (radius**2 - er_radius**2),
        "wave": np.cos(2.0 * np.pi * path / WAVE),
    }


def along(ends: ndarray, share: ndarray) -> ndarray:
    """What is linear on every frustum at shares of its length, (F, n)."""
    return ends[:, :1] + share * (ends[:, 1:] - ends[:, :1])


def diffused(diffusion: Diffusion, start: ndarray, length: float, count: int) -> tuple[ndarray, float]:
    """Both species after some windows of one length, and seconds per window."""
    rows = diffusion.series(np.full(count, 1e-3 * length))

    @jax.jit
    def run(fields, rows, stored):
        return jax.lax.scan(lambda u, row: (diffusion(u, *row, *stored), None), fields, rows)[0]

    arguments = jnp.asarray(np.stack([start, start])), rows, diffusion.stored
    found = jax.block_until_ready(run(*arguments))
    best = np.inf
    for _ in range(5):
        begin = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        best = min(best, time.perf_counter() - begin)
    return np.asarray(found), best / count


def error(found: ndarray, wanted: ndarray, start: ndarray, volume: ndarray) -> list[float]:
    """Of both species, over what has moved."""
    away, moved = found - wanted, wanted - start
    return np.sqrt((away**2 @ volume) / (moved**2 @ volume)).tolist()


def averages(fine: ndarray, volume: ndarray, cells: int) -> ndarray:
    """Means over coarser cells of values on fine ones, (..., N)."""
    share = volume.reshape(cells, -1)
    values = fine.reshape(*fine.shape[:-1], cells, -1)
    return (values * share).sum(axis=-1) / share.sum(axis=-1)


def split(pieces: Cable, parts: int) -> Cable:
    return pieces.split([np.arange(1, parts) / parts] * pieces.n_frusta)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--swc", default="builtin:pyramidal")
    parser.add_argument("--span", type=float, default=10.0, help="ms")
    parser.add_argument("--features", type=int, nargs=2, default=(7, 4), help="of space and of time")
    parser.add_argument("--refined", type=int, default=24, help="cells per piece of the reference, even")
    parser.add_argument("--preset", default="physical-N", choices=["physical-N", "physical-L", "physical-T"])
    given = parser.parse_args()

    k = PRESETS[given.preset]
    species = (k.D_c, k.D_b)
    cable = cable_from_swc(read_swc(morphology_path(given.swc)))[0]
    pieces = cut_into_pieces(cable, [], [], PieceRule()).cable
    n = pieces.n_frusta

    references = {}
    for parts in (given.refined // 2, given.refined):
        cells = split(pieces, parts)
        grid = cell_grid(cells)
        begun = starts(cells.radius.mean(axis=1), cells.er_radius.mean(axis=1), cells.path.mean(axis=1))
        operator = cable_diffusion(grid, species)
        ends = {name: diffused(operator, begun[name], given.span, 1)[0] for name in FIELDS}
        references[parts] = grid.volume, begun, ends
    volume, begun, ends = references[given.refined]
    half_volume, _, half_ends = references[given.refined // 2]
    coarser = {
        name: error(
            half_ends[name],
            averages(ends[name], volume, len(half_volume)),
            averages(begun[name], volume, len(half_volume)),
            half_volume,
        )
        for name in FIELDS
    }
    report: dict = {"pieces": n, "span, ms": given.span, "reference moves by": coarser, "rows": []}
    print(json.dumps(report), flush=True)

    def measure(way: str, diffusion: Diffusion, begin: dict, wanted: dict, weight: ndarray, more: dict) -> None:
        for length in (w for w in WINDOWS if w <= given.span):
            row: dict = {"way": way, "points": len(weight), "window, ms": length, **more}
            for name in FIELDS:
                found, seconds = diffused(diffusion, begin[name], length, round(given.span / length))
                row[f"error, {name}"] = error(found, wanted[name], begin[name], weight)
                row[f"content lost, {name}"] = float(
                    np.abs((found - begin[name]) @ weight).max() / np.abs(begin[name]).dot(weight)
                )
            row["us per window"] = 1e6 * seconds
            row["ns per window and point"] = 1e9 * seconds / len(weight)
            report["rows"].append(row)
            print(json.dumps(row), flush=True)

    for parts in (1, 2, 4):
        cells = cell_grid(split(pieces, parts))
        begin = {name: averages(begun[name], volume, n * parts) for name in FIELDS}
        wanted = {name: averages(ends[name], volume, n * parts) for name in FIELDS}
        measure(f"exact, {parts} cells per piece", cable_diffusion(cells, species), begin, wanted, cells.volume, {})

    owner = np.zeros(n, int)
    networks = network_diffusion(pieces, owner, SerialCommunicator(), species, features=tuple(given.features))
    begin_seconds = time.perf_counter()
    networks.series(np.array([1e-4]))
    first = time.perf_counter() - begin_seconds
    begin_seconds = time.perf_counter()
    networks.series(1e-3 * np.array(WINDOWS))
    each = (time.perf_counter() - begin_seconds) / (len(WINDOWS) - 1)
    share = (networks.table.grid.space + 1.0) / 2.0
    places = [along(x, share).ravel() for x in (pieces.radius, pieces.er_radius, pieces.path)]
    middles = (np.arange(given.refined) + 0.5) / given.refined
    wanted = {name: CubicSpline(middles, ends[name].reshape(2, n, -1), axis=2)(share).reshape(2, -1) for name in FIELDS}
    geometry = networks.geometry
    weight = np.asarray(geometry.length[:, None] * geometry.cross_section(0) * networks.table.grid.space_weight).ravel()
    more = {
        "MB per window length": networks.bytes_per_length / 1e6,
        "seconds to factorise a length": each,
        "seconds for the first, with compilation": first,
    }
    name = f"networks, {given.features[0]} x {given.features[1]} features"
    measure(name, networks, starts(*places), wanted, weight, more)
    folder = ROOT / "results"
    folder.mkdir(exist_ok=True)
    (folder / "bench_diffusion.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
