"""Runs under an interpreter that has NEURON: what its import tool makes of SWC files.

    PYTHON neuron_sections_of.py LIST OUT.json

LIST names one file per line. OUT.json maps every file to its sections in NEURON's order (name,
length, area, parent, place on it, points as x, y, z, diameter), or to the error in words.
"""

import json
import sys

from neuron import h

h.load_file("stdlib.hoc")
h.load_file("import3d.hoc")


class Cell:
    """What the import tool fills."""


def sections_of(path):
    reader = h.Import3d_SWC_read()
    reader.quiet = 1
    reader.input(path)
    cell = Cell()
    h.Import3d_GUI(reader, False).instantiate(cell)
    rows = []
    for section in cell.all:
        section.nseg = 1
        parent = section.parentseg()
        rows.append(
            {
                "name": section.name().rpartition(".")[2],
                "length": section.L,
                "area": section(0.5).area(),
                "parent": parent and parent.sec.name().rpartition(".")[2],
                "at": parent and parent.x,
                "points": [
                    [section.x3d(i), section.y3d(i), section.z3d(i), section.diam3d(i)] for i in range(section.n3d())
                ],
            }
        )
    return rows


def main():
    found = {}
    with open(sys.argv[1]) as file:
        paths = file.read().split("\n")
    for path in paths:
        if path:
            try:
                found[path] = sections_of(path)
            except Exception as error:  # NEURON raises RuntimeError, and says why on its own stderr
                found[path] = repr(error)
    with open(sys.argv[2], "w") as file:
        json.dump(found, file)


main()
