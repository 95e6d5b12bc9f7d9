"""Arbor's side of bench_peers.py: voltage, channels, calcium and calbindin of one cell. Runs in Arbor's own Python.

    python peer_arbor.py JOB.npz RESULT.npz CATALOGUE.so

JOB: see peer_neuron.py, with `step` (ms). CATALOGUE holds peers/arbor/calcium_with_buffer.mod, built by
arbor-build-catalogue. Calcium and calbindin are ions that diffuse; squid channels are Arbor's own. Compartments are
given one by one, so that they are the ones of all programs.

Measured with Arbor 0.12.2 (arbor-sim/arbor #2084): what flows between compartments lacks the division by the
distance of their middles, so that the diffusivity that acts is 10 times that distance in µm times
the one given. Here every half compartment is given the diffusivity that makes up for it.

RESULT: calcium and calbindin (µM) of all compartments at the times, the soma's voltage, and the seconds
that a run without any recording takes between `timed_from` and `timed_until`.
"""

import sys
import time
from typing import Any, NamedTuple

import arbor
import numpy as np
from arbor import units

MICRO_PER_MILLI = 1e3
KELVIN = 273.15
UM2_PER_MS = 1e-9 * units.m2 / units.s
UM_PER_MS = 10.0
"""µm/ms per cm/s."""
MECHANISM = "calcium_with_buffer"
UNDIVIDED = 10.0
"""1/µm: see above."""
CONSTANTS = (
    "permeability", "outside", "per_mv", "leak", "total", "binding", "unbinding", "pmca", "pmca_half",
    "ncx", "ncx_half",
)  # fmt: skip


class Stretch(NamedTuple):
    """A section as part of a branch.

    Attributes:
        branch, first, last: Where it is, as shares of the branch.
        count: Compartments.
        half: Half the length of one, µm.
        branch_length: µm.
        before, after: Half lengths of the compartments beyond its ends on the branch; 0 at the branch's ends.
    """

    branch: int
    first: float
    last: float
    count: int
    half: float
    branch_length: float
    before: float
    after: float


class Places:
    """The cell of cylinders as Arbor sees it, and where its compartments are.

    Attributes:
        morphology: Unbranched runs of sections are one branch to Arbor.
        compartments: Branch, start and end of every compartment, section by section.
    """

    def __init__(self, job: dict[str, Any]):
        tree, ends = arbor.segment_tree(), []
        length, radius = job["length"].astype(float), 0.5 * job["diameter"].astype(float)
        for i, above in enumerate(job["parent"]):
            start = ends[above] if above >= 0 else 0.0
            near, far = (arbor.mpoint(x, 0.0, 0.0, radius[i]) for x in (start, start + length[i]))
            tree.append(int(above) if above >= 0 else arbor.mnpos, near, far, tag=i + 1)
            ends.append(start + length[i])
        self.morphology = arbor.morphology(tree)
        place: dict[int, Stretch] = {}
        half = 0.5 * length / job["count"]
        for branch in range(self.morphology.num_branches):
            members = [segment.tag - 1 for segment in self.morphology.branch_segments(branch)]
            edges = np.r_[0.0, np.cumsum(length[members])].tolist()
            beside = [0.0, *half[members].tolist(), 0.0]
            for n, section in enumerate(members):
                place[section] = Stretch(
                    branch, edges[n] / edges[-1], edges[n + 1] / edges[-1], int(job["count"][section]),
                    float(half[section]), edges[-1], beside[n], beside[n + 2],
                )  # fmt: skip
        self._sections = [place[section] for section in range(len(length))]
        self.compartments = []
        for part in self._sections:
            cuts = np.linspace(part.first, part.last, part.count + 1).tolist()
            self.compartments += [(part.branch, a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
        self._of_branch: dict[int, list[int]] = {}
        for number, (branch, _, _) in enumerate(self.compartments):
            self._of_branch.setdefault(branch, []).append(number)

    def policy(self) -> Any:
        """Faces between compartments; branch points are faces by themselves."""
        faces = [f"(location {branch} {x!r})" for branch, a, b in self.compartments for x in (a, b)]
        return arbor.cv_policy_explicit("(join " + " ".join(sorted(set(faces))) + ")")

    def diffusivities(self) -> list[tuple[str, float]]:
        """Regions, and what to multiply a diffusivity by there so that the right one acts.

        Between two middles Arbor takes UNDIVIDED µm times their distance for one.
        """
        found = []
        for section in self._sections:
            branch, first, last, half = section.branch, section.first, section.last, section.half
            share = half / section.branch_length
            # the middles beyond both ends: those of the neighbour's compartment, or a branch point
            inner = [(branch, first + share, last - share, 1.0 / (2.0 * half))] if section.count > 1 else []
            ends = [
                (branch, first, first + share, 1.0 / (half + section.before)),
                (branch, last - share, last, 1.0 / (half + section.after)),
            ]
            found += [(f"(cable {b} {x0} {x1})", scale / UNDIVIDED) for b, x0, x1, scale in inner + ends]
        return found

    def holding(self, branch: int, x: float) -> int:
        """The compartment that holds a place."""
        return next(n for n in self._of_branch[branch] if self.compartments[n][1] <= x <= self.compartments[n][2])


class Recipe(arbor.recipe):
    """One cell, and what is read of it."""

    def __init__(self, job: dict[str, Any], places: Places, catalogue: str, recorded: bool):
        arbor.recipe.__init__(self)
        self._recorded = recorded
        self._properties = arbor.neuron_cable_properties()
        self._properties.catalogue = arbor.default_catalogue()
        self._properties.catalogue.extend(arbor.load_catalogue(catalogue), "")
        for ion, valence, rest, spread in (("cc", 2, "c_rest", "D_c"), ("bb", 1, "b_rest", "D_b")):
            self._properties.set_ion(
                ion, valence=valence, int_con=float(job[rest]) * units.mM, ext_con=1.0 * units.mM,
                rev_pot=0.0 * units.mV, diff=float(job[spread]) * UM2_PER_MS,
            )  # fmt: skip
        given = job | {"permeability": UM_PER_MS * float(job["permeability"])}
        constants = ",".join(f"{name}={float(given[name])!r}" for name in CONSTANTS)
        self._mechanism = f"{MECHANISM}/{constants}"
        self._cell = self._described(job, places)

    def _described(self, job: dict[str, Any], places: Places) -> Any:
        decor = arbor.decor()
        decor.set_property(
            Vm=float(job["start"]) * units.mV, cm=0.01 * float(job["C_m"]) * units.F / units.m2,
            rL=float(job["R_i"]) * units.Ohm * units.cm, tempK=(KELVIN + float(job["celsius"])) * units.Kelvin,
        )  # fmt: skip
        for region, scale in places.diffusivities():
            for ion, spread in (("cc", "D_c"), ("bb", "D_b")):
                decor.paint(region, ion=ion, diff=scale * float(job[spread]) * UM2_PER_MS)
        decor.set_ion("na", rev_pot=50.0 * units.mV)
        decor.set_ion("k", rev_pot=-77.0 * units.mV)
        decor.paint("(all)", arbor.density("hh"))
        for section, diameter in enumerate(job["diameter"]):
            own = arbor.mechanism(self._mechanism, {"per_volume": 4.0 / float(diameter)})
            decor.paint(f"(tag {section + 1})", arbor.density(own))
        width, height = float(job["pulse_width"]), float(job["current"])
        corners = []  # straight in between; two at one time are a jump
        for start in map(float, job["pulses"]):
            corners += [(start, 0.0), (start, height), (start + width, height), (start + width, 0.0)]
        clamp = arbor.i_clamp([(t * units.ms, current * units.nA) for t, current in corners])
        branch, a, b = places.compartments[0]
        decor.place(f"(location {branch} {0.5 * (a + b)})", clamp)
        return arbor.cable_cell(places.morphology, decor, arbor.label_dict(), places.policy())

    def num_cells(self) -> int:
        return 1

    def cell_kind(self, gid: int) -> Any:
        return arbor.cell_kind.cable

    def cell_description(self, gid: int) -> Any:
        return self._cell

    def global_properties(self, kind: Any) -> Any:
        return self._properties

    def probes(self, gid: int) -> list[Any]:
        if not self._recorded:
            return []
        states = [arbor.cable_probe_density_state_cell(self._mechanism, name, name) for name in ("c", "b")]
        return [*states, arbor.cable_probe_membrane_voltage_cell("V")]


def recorded(job: dict[str, Any], places: Places, catalogue: str) -> dict[str, np.ndarray]:
    """All compartments at the times."""
    simulation = arbor.simulation(Recipe(job, places, catalogue, True))
    times = [float(t) * units.ms for t in job["times"]]
    handles = {name: simulation.sample((0, name), arbor.explicit_schedule(times)) for name in ("c", "b", "V")}
    simulation.run((float(job["times"][-1]) + float(job["step"])) * units.ms, float(job["step"]) * units.ms)
    found = {}
    for name, handle in handles.items():
        data, places_read = simulation.samples(handle)[0]
        read = [part for part in places_read if part.dist > part.prox]
        columns = [n for n, part in enumerate(places_read) if part.dist > part.prox]
        order = [places.holding(part.branch, 0.5 * (part.prox + part.dist)) for part in read]
        values = np.full((len(data), len(places.compartments)), np.nan)
        values[:, order] = data[:, 1:][:, columns]
        found[name] = values
    return found


def timed(job: dict[str, Any], places: Places, catalogue: str) -> float:
    """Seconds of a run without recording between the two times."""
    simulation = arbor.simulation(Recipe(job, places, catalogue, False))
    step = float(job["step"]) * units.ms
    if job["timed_from"] > 0.0:
        simulation.run(float(job["timed_from"]) * units.ms, step)
    began = time.perf_counter()
    simulation.run(float(job["timed_until"]) * units.ms, step)
    return time.perf_counter() - began


def main(job_file: str, result_file: str, catalogue: str) -> None:
    job = dict(np.load(job_file))
    began = time.perf_counter()
    places = Places(job)
    setup = time.perf_counter() - began
    found = recorded(job, places, catalogue)
    seconds = [timed(job, places, catalogue) for _ in range(int(job["repeats"]))]
    np.savez(
        result_file, c=MICRO_PER_MILLI * found["c"], b=MICRO_PER_MILLI * found["b"], V=found["V"][:, 0],
        seconds=np.array(seconds), setup=setup, version=arbor.__version__,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
