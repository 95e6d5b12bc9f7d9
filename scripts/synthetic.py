"""The project's own cells: small enough to read, grown the same on every machine."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from hpcpinn.morphology.cable import Cable
from hpcpinn.morphology.frusta import Frustum, assemble

SOMA, AXON, BASAL, APICAL = 1, 2, 3, 4


@dataclass
class Grower:
    """Collects SWC points; ids count from 1.

    Attributes:
        lines: SWC data lines so far.
        xyz, radius: Coordinates and radius of every point, µm, as written: rounded to nanometres.
    """

    lines: list[str] = field(default_factory=list)
    xyz: list[Float[ndarray, " 3"]] = field(default_factory=list)
    radius: list[float] = field(default_factory=list)

    def add(self, kind: int, xyz: Float[ndarray, " 3"], radius: float, parent: int) -> int:
        """Adds a point and returns its id."""
        xyz, radius = np.round(xyz, 3) + 0.0, round(float(radius), 3)  # + 0.0: no minus zero
        self.xyz.append(xyz)
        self.radius.append(radius)
        x, y, z = (f"{value:.3f}" for value in xyz)
        self.lines.append(f"{len(self.xyz)} {kind} {x} {y} {z} {radius:.3f} {parent}")
        return len(self.xyz)

    def branch(
        self,
        kind: int,
        parent: int,
        direction: Float[ndarray, " 3"],
        length: float,
        end_radius: float,
        rng: Generator,
        *,
        step: float = 10.0,
        wiggle: float = 0.12,
    ) -> tuple[int, Float[ndarray, " 3"]]:
        """Grows one tapering, wiggling branch and returns its last point and direction."""
        count = max(2, round(length / step))
        start, first = self.radius[parent - 1], parent
        for k in range(1, count + 1):
            direction = _unit(direction + wiggle * rng.standard_normal(3))
            point = self.xyz[first - 1] + direction * (length / count)
            first = self.add(kind, point, start + (end_radius - start) * k / count, first)
        return first, direction

    def text(self, title: str) -> str:
        """The SWC file."""
        head = (title, "lengths in micrometres", "id type x y z radius parent")
        return "\n".join([*(f"# {line}" for line in head), *self.lines]) + "\n"


def ball_and_stick(*, soma_radius: float = 10.0, length: float = 200.0, radius: float = 1.0, points: int = 11) -> str:
    """SWC text of a one-point soma with one straight dendrite along x, from the soma's surface."""
    cell = Grower()
    last = cell.add(SOMA, np.zeros(3), soma_radius, -1)
    for x in np.linspace(soma_radius, soma_radius + length, points):
        last = cell.add(BASAL, np.array([x, 0.0, 0.0]), radius, last)
    return cell.text("ball and stick")


def straight_cable(*, first: float = -1.0, last: float = 1.0, radius: float = 1.0) -> str:
    """SWC text of one uniform cable along x without a soma: the cable of preset `seed`."""
    cell = Grower()
    tail = cell.add(BASAL, np.array([first, 0.0, 0.0]), radius, -1)
    cell.add(BASAL, np.array([last, 0.0, 0.0]), radius, tail)
    return cell.text("straight cable")


def y_branch(
    *,
    lengths: tuple[float, float, float] = (200.0, 150.0, 100.0),
    radii: tuple[float, float, float] = (1.0, 0.63, 0.5),
    taper: float = 5.0,
) -> str:
    """SWC text of a dendrite along x that forks in two at ±45° in the plane.

    Args:
        lengths: Lengths of trunk and branches, µm.
        radii: Radii of trunk and branches, µm.
        taper: Distance over which a branch narrows from the trunk's radius to its own, µm.
    """
    cell = Grower()
    last = cell.add(BASAL, np.zeros(3), radii[0], -1)
    for x in np.linspace(0.0, lengths[0], 11)[1:]:
        last = cell.add(BASAL, np.array([x, 0.0, 0.0]), radii[0], last)
    fork = last
    for side, length, radius in zip((1.0, -1.0), lengths[1:], radii[1:], strict=True):
        along = np.array([1.0, side, 0.0]) / np.sqrt(2.0)
        last = fork
        for s in (taper, *np.linspace(0.0, length, 11)[1:]):
            last = cell.add(BASAL, cell.xyz[fork - 1] + s * along, radius, last)
    return cell.text("Y branch")


def y_cable(
    lengths: tuple[float, float, float] = (200.0, 150.0, 100.0),
    radii: tuple[float, float, float] = (1.0, 0.63, 0.5),
) -> Cable:
    """Three uniform cylinders on one junction: the radius jumps there, nothing tapers."""
    fork = np.array([lengths[0], 0.0, 0.0])
    away = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]) / np.sqrt(2.0)
    ends = [(np.zeros(3), fork)]
    ends += [(fork, fork + length * d) for length, d in zip(lengths[1:], away, strict=True)]
    return assemble(
        [
            Frustum(
                tail=min(k, 1),
                head=k + 1,
                xyz=np.stack(ends[k]),
                radius=(radii[k], radii[k]),
                length=lengths[k],
                kind=BASAL,
                swc_id=k + 1,
                order=k,
            )
            for k in range(3)
        ]
    )


def pyramidal_cell(seed: int = 7) -> str:
    """SWC text of a small pyramidal cell: axon, basal dendrites, apical trunk, obliques, tuft.

    Branches split in two; daughters keep d^{3/2} (Rall) up to the taper, thin branches stop.
    About 4 mm in 120 sections, radii from 1.6 µm at the apical stem to 0.2 µm at the tips.
    """
    rng = np.random.default_rng(seed)
    cell = Grower()
    soma = cell.add(SOMA, np.zeros(3), 8.0, -1)
    up, down = np.array([0.0, 1.0, 0.0]), np.array([0.0, -1.0, 0.0])

    stem = cell.add(AXON, 8.0 * down, 0.6, soma)
    stem, direction = cell.branch(AXON, stem, down, 60.0, 0.35, rng)
    _grow(cell, AXON, stem, direction, rng, levels=2, length=45.0, tip=0.2)

    for k in range(4):
        angle = 2.0 * np.pi * (k + 0.4) / 4 + 0.3 * rng.standard_normal()
        outward = _unit(np.array([np.cos(angle), -0.55, 0.6 * np.sin(angle)]))
        stem = cell.add(BASAL, 8.0 * outward, 0.8, soma)
        stem, direction = cell.branch(BASAL, stem, outward, 12.0, 0.7, rng)
        _grow(cell, BASAL, stem, direction, rng, levels=3, length=24.0, tip=0.25)

    trunk = cell.add(APICAL, 8.0 * up, 1.6, soma)
    direction = up
    for k in range(7):
        trunk, direction = cell.branch(APICAL, trunk, 0.5 * direction + 0.5 * up, 26.0, 1.5 - 0.1 * k, rng, wiggle=0.05)
        side = _unit(np.array([(-1.0) ** k, 0.35, 0.5 * rng.standard_normal()]))
        oblique, outward = _daughter(cell, APICAL, trunk, side, 0.45, 16.0 if k % 2 == 0 else 40.0, rng)
        if k % 2 == 0:
            _grow(cell, APICAL, oblique, outward, rng, levels=2, length=30.0, tip=0.25)
    _grow(cell, APICAL, trunk, direction, rng, levels=3, length=34.0, tip=0.25, spread=0.55)
    return cell.text(f"pyramidal cell, grown from seed {seed}")


def _grow(
    cell: Grower,
    kind: int,
    parent: int,
    direction: Float[ndarray, " 3"],
    rng: Generator,
    *,
    levels: int,
    length: float,
    tip: float,
    spread: float = 0.7,
) -> None:
    """A tree of bifurcations, `levels` deep, branches longer towards the tips."""
    if levels == 0:
        return
    share = rng.uniform(0.4, 0.6)
    aside = _unit(np.cross(direction, _unit(rng.standard_normal(3))))
    for part, side in ((share, 1.0), (1.0 - share, -1.0)):
        radius = max(tip, cell.radius[parent - 1] * part ** (2.0 / 3.0))  # Rall's 3/2 power
        outward = _unit(direction + side * spread * aside)
        reach = length * rng.uniform(0.7, 1.3)
        end, heading = _daughter(cell, kind, parent, outward, radius, reach, rng)
        _grow(
            cell, kind, end, heading, rng,
            levels=levels - 1, length=1.15 * length, tip=tip, spread=0.85 * spread,
        )  # fmt: skip


def _daughter(
    cell: Grower,
    kind: int,
    parent: int,
    direction: Float[ndarray, " 3"],
    radius: float,
    length: float,
    rng: Generator,
) -> tuple[int, Float[ndarray, " 3"]]:
    """A branch that narrows within its first 2 µm to its own radius and then tapers a little."""
    neck = cell.add(kind, cell.xyz[parent - 1] + 2.0 * direction, radius, parent)
    return cell.branch(kind, neck, direction, length, max(0.2, 0.9 * radius), rng)


def _unit(vector: Float[ndarray, " 3"]) -> Float[ndarray, " 3"]:
    direction: Float[ndarray, " 3"] = vector / np.linalg.norm(vector)
    return direction
