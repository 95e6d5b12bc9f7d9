"""Sizes beyond which a number in a morphology is a mistake: no cell has them, and products would over- or underflow."""

THINNEST = 1e-4
"""µm; 0.1 nm, the radius of an atom: a fortieth of a membrane's thickness."""
THICKEST = 1e4
"""µm; 1 cm: ten times the radius of a squid's giant axon. Who names the unit of a file is asked only for `LONGEST`."""
SHORTEST = 1e-9
"""µm; edges shorter than this are round-off: their points lie at one place."""
LONGEST = 1e8
"""µm; 100 m: three blue whales."""
SMALLEST_NUMBER = 1e-12
"""Radii below it, in any unit, are none."""
LARGEST_NUMBER = 1e30
"""Coordinates and radii beyond it, in any unit, belong to no cell, and their cubes would overflow."""
