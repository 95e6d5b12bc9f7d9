"""The other side of bench_voltage.py: one cell of cylinders in NEURON. Runs in NEURON's own Python.

    python neuron_cable.py JOB.npz RESULT.npz

JOB holds the cylinders (length, diameter, parent: -1 at the root), the membrane (R_i, C_m, celsius),
a clamp (compartment, start, duration, amplitude), a field (psi, times, waveform) or the currents that
it drives (currents, times, waveform), the sites, the end, the step and how often it is timed. One
section of one segment per cylinder; squid channels with exact rates, or NEURON's tables where
`tables` is set.
"""

import sys
import time

import numpy as np
from neuron import h


def main(job_file: str, result_file: str) -> None:
    job = dict(np.load(job_file))
    h.load_file("stdrun.hoc")
    cells = [h.Section(name=f"c{i}") for i in range(len(job["length"]))]
    h.celsius = float(job["celsius"])
    for section, length, diameter in zip(cells, job["length"], job["diameter"], strict=True):
        section.L, section.diam, section.nseg = float(length), float(diameter), 1
        section.Ra, section.cm = float(job["R_i"]), float(job["C_m"])
        section.insert("hh")
    for child, parent in enumerate(job["parent"]):
        if child:
            cells[child].connect(cells[parent](1) if parent >= 0 else cells[0](0), 0)
    h.usetable_hh = int(job["tables"])
    kept = []
    for compartment, start, duration, amplitude in job["clamps"]:
        clamp = h.IClamp(cells[int(compartment)](0.5))
        clamp.delay, clamp.dur, clamp.amp = start, duration, amplitude
        kept.append(clamp)
    if len(job["psi"]):
        times = h.Vector(job["waveform_times"])
        for section, psi in zip(cells, job["psi"], strict=True):
            section.insert("extracellular")
            section.xg[0] = section.xg[1] = 1e9
            section.xraxial[0] = section.xraxial[1] = 1e9
            section.xc[0] = section.xc[1] = 0.0
            course = h.Vector(float(psi) * job["waveform"])
            course.play(section(0.5)._ref_e_extracellular, times, 1)
            kept.append(course)
    moments = h.Vector(job["waveform_times"])
    for section, current in zip(cells, job["currents"], strict=False):
        clamp = h.IClamp(section(0.5))
        clamp.delay, clamp.dur = 0.0, 1e9
        course = h.Vector(float(current) * job["waveform"])
        course.play(clamp._ref_amp, moments, 1)
        kept += [clamp, course]
    end, step = float(job["end"]), float(job["step"])
    h.dt, h.steps_per_ms, h.secondorder = step, 1.0 / step, int(job["order"])
    traces = [h.Vector().record(cells[int(site)](0.5)._ref_v) for site in job["sites"]]
    clock = h.Vector().record(h._ref_t)
    seconds = []
    for _ in range(int(job["repeats"])):
        h.finitialize(-65.0)
        began = time.process_time()
        h.continuerun(end)
        seconds.append(time.process_time() - began)
    np.savez(
        result_file,
        t=np.array(clock),
        V=np.array([np.array(trace) for trace in traces]),
        seconds=np.array(seconds),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
