"""NEURON's side of bench_peers.py: voltage, channels, calcium and calbindin of one cell. Runs in NEURON's own Python.

    python peer_neuron.py JOB.npz RESULT.npz

JOB holds the cell (uniform cylinders: length, diameter, compartments, parent), constants in NEURON's
units (mM, µm, ms, mV), the clamp, the times to report, and how to solve it: `method` fixed (with `step`) or
cvode (with `tolerance`, absolute, times the species' scales), `tables` for NEURON's own tables of the squid rates.
The mechanism of the N-type channel is compiled beforehand in the folder from which this is started.

RESULT: calcium and calbindin (µM) of all compartments and the soma's voltage at the times, and the
seconds that a run without any recording takes after `timed_from`.
"""

import sys
import time
from typing import Any

import numpy as np
from neuron import h, rxd

CALCIUM_SCALE, BUFFER_SCALE = 1e-4, 1e-2
"""What CVODE's tolerance is multiplied by."""
MICRO_PER_MILLI = 1e3


def sections_of(job: dict[str, Any]) -> list[Any]:
    """The tree of uniform cylinders with squid channels and the N-type channel everywhere."""
    h.celsius = float(job["celsius"])
    sections = [h.Section(name=f"s{i}") for i in range(len(job["length"]))]
    for i, section in enumerate(sections):
        section.L, section.diam = float(job["length"][i]), float(job["diameter"][i])
        section.nseg, section.Ra, section.cm = int(job["count"][i]), float(job["R_i"]), float(job["C_m"])
        section.insert("hh")
        section.insert("n_type")
        section.permeability_n_type = float(job["permeability"])
        section.outside_n_type, section.per_mv_n_type = float(job["outside"]), float(job["per_mv"])
        if i:
            section.connect(sections[int(job["parent"][i])](1), 0)
    h.usetable_hh = int(job["tables"])
    return sections


def species_of(job: dict[str, Any], sections: list[Any]) -> tuple[Any, Any, list[Any]]:
    """Calcium and calbindin with diffusion, binding, pumps and leak; the rates must be kept alive."""
    k = {name: float(job[name]) for name in (
        "D_c", "D_b", "c_rest", "b_rest", "total", "binding", "unbinding", "leak", "outside",
        "pmca", "pmca_half", "ncx", "ncx_half",
    )}  # fmt: skip
    cytosol = rxd.Region(sections, nrn_region="i")
    c = rxd.Species(cytosol, d=k["D_c"], name="ca", charge=2, initial=k["c_rest"], atolscale=CALCIUM_SCALE)
    b = rxd.Species(cytosol, d=k["D_b"], name="calbindin", initial=k["b_rest"], atolscale=BUFFER_SCALE)
    per_volume = rxd.Parameter(cytosol, value=lambda node: 4.0 / node.segment.diam)
    binding = k["unbinding"] * (k["total"] - b) - k["binding"] * c * b
    pumps = k["pmca"] * c * c / (k["pmca_half"] ** 2 + c * c) + k["ncx"] * c / (k["ncx_half"] + c)
    through = k["leak"] * (k["outside"] - c) - pumps
    return c, b, [per_volume, rxd.Rate(c, binding + per_volume * through), rxd.Rate(b, binding)]


def clamps_of(job: dict[str, Any], sections: list[Any]) -> list[Any]:
    """One clamp per pulse at the soma: NEURON then knows all jumps."""
    clamps = []
    for start in job["pulses"]:
        clamp = h.IClamp(sections[0](0.5))
        clamp.delay, clamp.dur, clamp.amp = float(start), float(job["pulse_width"]), float(job["current"])
        clamps.append(clamp)
    return clamps


class Reader:
    """Gathers concentrations of all compartments, section by section, without a loop in Python."""

    def __init__(self, species: Any, sections: list[Any]):
        nodes = [node for section in sections for node in species.nodes(section)]
        self._pointers, self._values = h.PtrVector(len(nodes)), h.Vector(len(nodes))
        for i, node in enumerate(nodes):
            self._pointers.pset(i, node._ref_concentration)

    def __call__(self) -> np.ndarray:
        self._pointers.gather(self._values)
        return MICRO_PER_MILLI * np.array(self._values)


def main(job_file: str, result_file: str) -> None:
    job = dict(np.load(job_file))
    h.load_file("stdrun.hoc")
    began = time.perf_counter()
    sections = sections_of(job)
    c, b, kept = species_of(job, sections)
    kept += clamps_of(job, sections)
    solver = h.CVode()
    adaptive = str(job["method"]) == "cvode"
    solver.active(adaptive)
    if adaptive:
        solver.rtol(0.0)
        solver.atol(float(job["tolerance"]))
    else:
        h.dt, h.steps_per_ms = float(job["step"]), 1.0 / float(job["step"])
    h.finitialize(float(job["start"]))
    readers = Reader(c, sections), Reader(b, sections)
    soma = sections[0](0.5)

    def go_to(moment: float) -> None:
        if adaptive:
            solver.solve(moment)
        else:
            while h.t < moment - 0.5 * h.dt:
                h.fadvance()

    setup = time.perf_counter() - began
    rows, V = [], []
    for moment in job["times"]:
        go_to(float(moment))
        rows.append([read() for read in readers])
        V.append(soma.v)
    seconds = []
    for _ in range(int(job["repeats"])):
        h.finitialize(float(job["start"]))
        go_to(float(job["timed_from"]))
        began = time.perf_counter()
        go_to(float(job["timed_until"]))
        seconds.append(time.perf_counter() - began)
    found = np.array(rows)
    np.savez(
        result_file, c=found[:, 0], b=found[:, 1], V=np.array(V), seconds=np.array(seconds), setup=setup,
        version=h.nrnversion(),
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
