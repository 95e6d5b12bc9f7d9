"""Benchmark 2's Y in NEURON (reaction-diffusion module rxd, CVODE), on compartments as fine as asked.

    python scripts/neuron_y.py OUTPUT.npz --times TIMES.npy [--factor 3] [--compartments 101 75 51]
                               [--tolerance 1e-7]

Needs NEURON and NumPy and nothing of hpcpinn, so that it may run in an environment of its own.
Three uniform cylinders meet in a branch point; the parent's compartments beyond 180 µm start with
100 µM of calcium, calbindin and everything else at rest; then diffusion, binding, pumps and a leak.

--factor divides every compartment in so many equal ones. The load stays the same function of space: what
is divided are compartments that are loaded as a whole. What is written stays comparable too: `c` and `b`
are averages over the undivided compartments (µM, (T, N), sections one after the other), which finite
volumes give without interpolation, with `times` (s), `seconds`, the arguments and NEURON's version.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from neuron import h, rxd

LENGTHS, DIAMETERS = (200.0, 150.0, 100.0), (2.0, 1.26, 1.0)
"""µm: the parent and its two children."""
LOADED, LOADED_BEYOND = 0.1, 180.0
"""mM, in the parent's compartments with a middle beyond so many µm."""
CALCIUM, CALBINDIN, BUFFER = 5e-5, 0.1493857493857494, 0.16
"""Rest of both, and all calbindin, mM."""
CALCIUM_DIFFUSION, BUFFER_DIFFUSION = 0.22, 0.02
"""µm²/ms."""
BINDING, UNBINDING = 27.0, 0.019
"""1/(mM ms), 1/ms."""
PMCA, PMCA_HALF, NCX, NCX_HALF = 8.5e-6, 6e-5, 3.75e-5, 1.8e-3
"""Flux densities in mM·µm/ms and concentrations at half of them in mM."""
LEAK = PMCA * CALCIUM**2 / (PMCA_HALF**2 + CALCIUM**2) + NCX * CALCIUM / (NCX_HALF + CALCIUM)
"""mM·µm/ms: balances the pumps at rest."""
CALCIUM_SCALE, BUFFER_SCALE = 1e-4, 1e-2
"""What CVODE's tolerance is multiplied by."""
MILLI, MICRO_PER_MILLI = 1e-3, 1e3


class YInNeuron:
    """Sections and reactions; NEURON's own state is global, so one of them at a time.

    Attributes:
        calcium, calbindin: The species.
        nodes: Of each of them, section by section; rxd's own order is another.
    """

    def __init__(self, compartments: tuple[int, int, int], factor: int):
        self.sections = [h.Section(name=name) for name in ("parent", "first", "second")]
        for section, length, diameter, count in zip(self.sections, LENGTHS, DIAMETERS, compartments, strict=True):
            section.L, section.diam, section.nseg = length, diameter, count * factor
        for child in self.sections[1:]:
            child.connect(self.sections[0](1))
        self.cytosol = rxd.Region(self.sections, nrn_region="i")
        self.calcium = rxd.Species(
            self.cytosol, d=CALCIUM_DIFFUSION, atolscale=CALCIUM_SCALE,
            initial=lambda node: LOADED if self._is_loaded(node, compartments[0]) else CALCIUM,
        )  # fmt: skip
        self.calbindin = rxd.Species(self.cytosol, d=BUFFER_DIFFUSION, atolscale=BUFFER_SCALE, initial=CALBINDIN)
        self.nodes = {
            species: [species.nodes(section) for section in self.sections] for species in (self.calcium, self.calbindin)
        }
        self.per_volume = rxd.Parameter(self.cytosol, value=lambda node: 4.0 / node.segment.diam)
        c, b = self.calcium, self.calbindin
        binding = UNBINDING * (BUFFER - b) - BINDING * c * b
        pumps = PMCA * c * c / (PMCA_HALF**2 + c * c) + NCX * c / (NCX_HALF + c)
        self.rates = [rxd.Rate(c, binding + self.per_volume * (LEAK - pumps)), rxd.Rate(b, binding)]

    def _is_loaded(self, node: Any, compartments: int) -> bool:
        """Whether the undivided compartment around a node is loaded."""
        if node.segment.sec != self.sections[0]:
            return False
        undivided = int(node.segment.x * compartments)
        return (undivided + 0.5) * LENGTHS[0] / compartments > LOADED_BEYOND

    def averages(self, species: Any, factor: int) -> np.ndarray:
        """Over the undivided compartments, µM, (N,); the divided ones are equally large."""
        values = np.concatenate([nodes.concentration for nodes in self.nodes[species]])
        return MICRO_PER_MILLI * values.reshape(-1, factor).mean(axis=1)


def run(times: np.ndarray, compartments: tuple[int, int, int], factor: int, tolerance: float) -> dict[str, Any]:
    """Solves from the load on and averages at the times (s, increasing, above zero)."""
    began = time.perf_counter()
    y = YInNeuron(compartments, factor)
    solver = h.CVode()
    solver.active(True)
    solver.rtol(0.0)
    solver.atol(tolerance)
    h.finitialize(-65.0)
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for moment in times:
        solver.solve(moment / MILLI)
        rows.append((y.averages(y.calcium, factor), y.averages(y.calbindin, factor)))
    c, b = (np.stack(column) for column in zip(*rows, strict=True))
    seconds = time.perf_counter() - began
    return {"times": times, "c": c, "b": b, "seconds": seconds}


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("output", type=Path)
    arguments.add_argument("--times", type=Path, required=True, help=".npy, seconds")
    arguments.add_argument("--factor", type=int, default=1, help="parts of a compartment")
    arguments.add_argument("--compartments", type=int, nargs=3, default=(101, 75, 51))
    arguments.add_argument("--tolerance", type=float, default=1e-7, help="of CVODE, absolute, times the scales")
    given = arguments.parse_args()
    if given.factor < 1:
        arguments.error(f"--factor {given.factor}: give at least 1")
    result = run(np.load(given.times), tuple(given.compartments), given.factor, given.tolerance)
    settings = {
        "compartments": list(given.compartments),
        "factor": given.factor,
        "tolerance": given.tolerance,
    }
    np.savez_compressed(given.output, settings=json.dumps(settings), neuron=h.nrnversion(), **result)


if __name__ == "__main__":
    main()
