"""A published cell with its myelin undone: what `axon.myelinate` is to make again."""

from pathlib import Path

import numpy as np

_GRID = np.linspace(0.05, 8.0, 20_000)
_OUTER = _GRID / np.clip(0.6425 * _GRID**3 - 1.778 * _GRID**2 + 1.749 * _GRID + 0.1518, 0.4, 0.8)
"""Diameters of an axon and of its myelin, µm (A. S. Aberra, A. V. Peterchev, W. M. Grill, 2018)."""


def bare_axon(published: Path, folder: Path) -> Path:
    """Writes a cell whose myelin, nodes and ends (types 5 to 7) are type 2, with the outer diameters undone."""
    lines = []
    for line in published.read_text().splitlines():
        words = line.split()
        if line.startswith("#") or not words:
            continue
        if words[1] == "5":
            words[5] = f"{_GRID[np.abs(_OUTER - 2.0 * float(words[5])).argmin()] / 2.0:.8f}"
        words[1] = "2" if words[1] in "567" else words[1]
        lines.append(" ".join(words))
    file = folder / "bare.swc"
    file.write_text("\n".join(lines) + "\n")
    return file
