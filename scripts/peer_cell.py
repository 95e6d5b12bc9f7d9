"""The one problem of bench_peers.py, told to every program in the same words.

The cell: the sections of the 542-compartment discretisation of the CA1 cell, each one a uniform
cylinder of the same length and membrane, cut in as many compartments as there (or about 3.8 times as
many), all children of the soma at its far end. So the conductances between compartments, and with them the
equations in time, are the same to rounding for every program: two half cylinders in series, stars at
branch points. Squid channels and the N-type calcium channel everywhere; a clamp at the soma fires
one action potential per period.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from hpcpinn.errors import InputError
from hpcpinn.morphology.cable import Cable, Section
from hpcpinn.physics.calcium import balanced_leak
from hpcpinn.physics.constants import PRESETS, CalciumConstants
from hpcpinn.physics.ghk import per_millivolt

R_I, C_M, CELSIUS, START = 100.0, 1.0, 6.3, -65.0
"""Ω·cm, µF/cm², °C, mV."""
PERIOD, WIDTH, CURRENT = 100.0, 1.0, 8.0
"""ms from pulse to pulse, ms of a pulse, nA into the soma."""
FINER = 3.8
CONSTANTS = PRESETS["physical-N"].replace(rest_voltage=START)
_MILLI, _PER_CM = 1e-3, 1e-4


@dataclass(frozen=True)
class Cell:
    """Uniform cylinders, parents first.

    Attributes:
        length, diameter: Of the sections, µm.
        count: Compartments of each.
        parent: Section at whose end each one starts, -1 for the soma.
    """

    length: Float[ndarray, " S"]
    diameter: Float[ndarray, " S"]
    count: Int[ndarray, " S"]
    parent: Int[ndarray, " S"]

    @property
    def volume(self) -> Float[ndarray, " N"]:
        """Of the compartments, section by section, µm³."""
        return np.repeat(0.25 * np.pi * self.diameter**2 * self.length / self.count, self.count)

    @property
    def is_soma(self) -> ndarray:
        """(N,)."""
        return np.repeat(np.arange(len(self.count)), self.count) == 0

    def cable(self) -> Cable:
        """One frustum per compartment, each a section of its own: the graph that our solvers take."""
        first = np.r_[0, np.cumsum(self.count)]
        n = int(first[-1])
        parent = np.arange(n) - 1
        for section, above in enumerate(self.parent):
            parent[first[section]] = first[above + 1] - 1 if above >= 0 else -1
        section = np.repeat(np.arange(len(self.count)), self.count)
        radius = np.repeat(0.5 * self.diameter[section, None], 2, axis=1)
        return Cable(
            sections=tuple(Section(f"type5[{i}]", 5, int(above)) for i, above in enumerate(parent)),
            section=np.arange(n),
            kind=np.full(n, 5),
            node=np.stack([parent + 1, np.arange(1, n + 1)], axis=1),
            start=np.zeros(n),
            length=(self.length / self.count)[section],
            radius=radius,
            er_radius=np.zeros((n, 2)),
            xyz=np.zeros((n, 2, 3)),
            path=np.zeros((n, 2)),
            swc_id=np.full(n, -1),
        )


def read_cell(folder: Path, finer: float = 1.0) -> Cell:
    """The cell of ca1_542_sections.csv and ca1_542_compartments.csv.

    Args:
        folder: Where they are.
        finer: So many times their compartments, per section to the nearest whole number.

    Raises:
        InputError: They are not there.
    """
    tables = []
    for name in ("sections", "compartments"):
        file = folder / f"ca1_542_{name}.csv"
        if not file.is_file():
            raise InputError(f"{file}: not found; set HPCPINN_SHARED to the folder above it")
        with file.open() as lines:
            tables.append(list(csv.DictReader(lines)))
    sections, rows = tables
    length = np.array([float(row["L"]) for row in sections])
    owner = np.array([int(row["section"]) for row in rows])
    area = np.bincount(owner, [float(row["area_um2"]) for row in rows])
    count = np.array([int(row["nseg"]) for row in sections])
    return Cell(
        length=length,
        diameter=area / (np.pi * length),
        count=np.maximum(np.round(finer * count).astype(int), 1),
        parent=np.array([int(row["parent"]) for row in sections]),
    )


def job_of(cell: Cell, k: CalciumConstants, periods: int) -> dict[str, Any]:
    """What every peer reads, in NEURON's units: mM, µm, ms, mV."""
    return {
        "length": cell.length, "diameter": cell.diameter, "count": cell.count, "parent": cell.parent,
        "R_i": R_I, "C_m": C_M, "celsius": CELSIUS, "start": START,
        "pulses": PERIOD * np.arange(periods), "pulse_width": WIDTH, "current": CURRENT,
        "D_c": _MILLI * k.D_c, "D_b": _MILLI * k.D_b,
        "c_rest": _MILLI * k.c_rest, "b_rest": _MILLI * k.b_rest, "total": _MILLI * k.b_tot,
        "outside": _MILLI * k.c_o, "binding": k.k_plus, "unbinding": _MILLI * k.k_minus,
        "pmca": _MILLI**2 * k.pmca_max, "pmca_half": _MILLI * k.pmca_K,
        "ncx": _MILLI**2 * k.ncx_max, "ncx_half": _MILLI * k.ncx_K,
        "leak": _MILLI * balanced_leak(k),
        # µm/s to cm/s
        "permeability": _PER_CM * k.vdcc_density * k.vdcc_permeability,
        "per_mv": per_millivolt(k),
    }  # fmt: skip
