"""Benchmark 2's comparisons: traces on NEURON's compartments, tables and the picture."""

import json
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import matplotlib
import numpy as np
from jaxtyping import Float
from neuron_refined import Settled
from numpy import ndarray

from hpcpinn.errors import InputError

matplotlib.use("Agg")
from matplotlib import pyplot

LENGTHS, COMPARTMENTS = (200.0, 150.0, 100.0), np.array([101, 75, 51])
"""µm and compartments of the parent and its children in the stored trajectories."""
WIDTH = 2.0
"""µm, of their compartments, nearly."""
SITES = {"par100": 50, "par175": 88, "par195": 98, "d1_3": 102, "d1_7": 104, "d2_3": 177, "d2_50": 201}
"""Compartments at so many µm along a section."""
PLACES = {
    "par100": "parent, 100 µm", "par175": "parent, 175 µm", "par195": "parent, 195 µm", "d1_3": "child 1, 3 µm",
    "d1_7": "child 1, 7 µm", "d2_3": "child 2, 3 µm", "d2_50": "child 2, 50 µm",
}  # fmt: skip
STILL, LIVELY = 1e-6, 1e-2
"""µM: what moves less at a site is below what NEURON resolves; where it moves by more, a compartment
counts without being a site."""
PER_MILLI = 1e3
REST = 0.05
"""µM."""


class HasTraces(Protocol):
    """Anything with averages over NEURON's compartments, µM, (T, 227)."""

    @property
    def c(self) -> Float[ndarray, "T N"]: ...
    @property
    def b(self) -> Float[ndarray, "T N"]: ...


class Traces(NamedTuple):
    """Averages over NEURON's compartments, µM; NaN where they are not known."""

    c: Float[ndarray, "T N"]
    b: Float[ndarray, "T N"]


def stored_data(folder: Path, name: str) -> dict[str, ndarray]:
    """A stored trajectory.

    Raises:
        InputError: It is not there, or has other sites.
    """
    file = folder / f"{name}.npz"
    if not file.is_file():
        raise InputError(f"{file}: not found; name the folder that holds it")
    data = dict(np.load(file))
    sites = json.loads(str(data["meta"]))["sites"]
    if sites != SITES:
        raise InputError(f"{file}: its sites are {sites}, not {SITES}")
    return data


def stored_traces(data: dict[str, ndarray], rows: ndarray) -> Traces:
    """Those rows of a stored trajectory, known at the sites only."""
    values = np.full((2, len(rows), COMPARTMENTS.sum()), np.nan)
    for site, compartment in SITES.items():
        for k, species in enumerate("cb"):
            values[k, :, compartment] = PER_MILLI * data[f"{species}_{site}"][rows]
    return Traces(*values)


def deviation(ours: Float[ndarray, "T ..."], theirs: Float[ndarray, "T ..."]) -> Float[ndarray, "..."]:
    """Largest difference over time, over their excursion."""
    return np.abs(ours - theirs).max(axis=0) / np.ptp(theirs, axis=0)


def relative(ours: ndarray, theirs: ndarray, rest: float, volume: ndarray) -> float:
    """Relative L2 norm over tree and time."""
    return float(np.sqrt((((ours - theirs) ** 2) @ volume).sum() / (((theirs - rest) ** 2) @ volume).sum()))


def site_table(title: str, columns: dict[str, tuple[HasTraces, HasTraces]]) -> dict[str, Any]:
    """Prints, per column of (ours, theirs), the largest difference at every site over their excursion."""
    width = 2 + max(len(name) + 2 for name in columns)
    print(f"\n{title}")
    heads = "".join(f"{name + ' ' + species:>{width}}" for name in columns for species in "cb")
    print(f"{'site':>8} {'excursion of c / µM':>20}{heads}")
    table: dict[str, Any] = {}
    for site, i in SITES.items():
        theirs = list(columns.values())[-1][1]
        moved = float(np.ptp(theirs.c[:, i]))
        if moved < STILL:
            continue
        off = {
            name: [float(deviation(u.c[:, i], v.c[:, i])), float(deviation(u.b[:, i], v.b[:, i]))]
            for name, (u, v) in columns.items()
        }
        table[site] = {"excursion": moved} | off
        print(f"{site:>8} {moved:20.4g}" + "".join(f"{x:{width}.1e}" for pair in off.values() for x in pair))
    return table


def against_settled(neuron: Settled, network: Traces, reference: Traces) -> dict[str, Any]:
    """Prints how NEURON settles and how far the network and the reference are from it then."""
    columns: dict[str, tuple[HasTraces, HasTraces]]
    columns = {f"{WIDTH / parts:.2g} µm": (network, course) for parts, course in neuron.courses.items()}
    columns |= {"limit": (network, neuron.limit), "reference": (reference, neuron.limit)}
    table = site_table(
        "Largest difference over the excursion at the site: the network from NEURON on compartments that "
        "wide and in the limit, the refined reference from the limit",
        columns,
    )
    sites = {site: SITES[site] for site in table}
    order, movement = ({s: getattr(neuron, what)(i) for s, i in sites.items()} for what in ("order", "movement"))
    print("observed order of NEURON in space: " + ", ".join(f"{s} {x:.2f}" for s, x in order.items()))
    print("the limit is off NEURON's finest by " + ", ".join(f"{s} {x:.0e}" for s, x in movement.items()))
    lively = np.ptp(neuron.limit.c, axis=0) > LIVELY
    worst = float(deviation(network.c, neuron.limit.c)[lively].max())
    unsettled = max(neuron.movement(i) for i in np.flatnonzero(lively))
    volume = np.repeat(np.square([2.0, 1.26, 1.0]) * LENGTHS / COMPARTMENTS, COMPARTMENTS)
    l2_c = relative(network.c, neuron.limit.c, REST, volume)
    l2_b = relative(network.b, neuron.limit.b, 0.0, volume)
    largest = max(max(row["limit"]) for row in table.values())
    print(f"network against NEURON's limit: at most {largest:.2%} of the excursion at the sites; {worst:.2%} at")
    print(f"the {lively.sum()} compartments that move by {LIVELY} µM, where the limit is up to {unsettled:.1%}")
    print(f"off NEURON's finest; rel. L2 over tree and second: c - c_rest {l2_c:.1e}, b {l2_b:.1e}")
    return {
        "sites": table, "order": order, "movement": movement, "worst_site": largest,
        "worst_compartment": worst, "movement_at_compartments": unsettled,
        "rel_l2_c": l2_c, "rel_l2_b": l2_b,
        "seconds": {factor: course.seconds for factor, course in neuron.courses.items()},
    }  # fmt: skip


def draw(t: Float[ndarray, " T"], stored: HasTraces | None, neuron: Settled | None, ours: Traces, file: Path) -> None:
    """Calcium at the sites: NEURON as lines, on its 2 µm broken ones, the network as dots."""
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    shown = {s: i for s, i in SITES.items() if np.ptp(ours.c[:, i]) > STILL}
    finest = None if neuron is None else neuron.limit
    dots = np.unique(np.geomspace(1, len(t), 30).astype(int)) - 1
    colours = pyplot.get_cmap("viridis")(np.linspace(0.0, 0.9, len(shown)))
    for colour, (site, i) in zip(colours, shown.items(), strict=True):
        axes.plot([], [], color=colour, label=PLACES[site])
        for lines, style in ((stored, "--"), (finest, "-")):
            if lines is not None:
                axes.loglog(t, lines.c[:, i], style, color=colour, linewidth=1.2)
        axes.loglog(t[dots], ours.c[dots, i], "o", color=colour, markersize=3.5)
    for lines, style, name in ((stored, "--", "NEURON, 2 µm"), (finest, "-", "NEURON, refined")):
        if lines is not None:
            axes.plot([], [], style, color="0.3", label=name)
    axes.plot([], [], "o", color="0.3", markersize=3.5, label="hpcpinn")
    axes.set(xlabel="time (ms)", ylabel="free calcium (µM)", title="100 µM beside a branch point")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)
