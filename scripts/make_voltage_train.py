"""Writes jobs/voltage_train.csv: 50 Hz action potentials at the root that fade towards the tip.

A stand-in for a recording or a simulation of the same cell, plain enough to be read by eye. The
sites `root` and `tip` exist on every cell.
"""

from pathlib import Path

import numpy as np

REST = -70.0
"""mV."""
TIMES = np.round(np.arange(0.0, 100.0 + 0.05, 0.1), 1)
"""ms."""
SPIKES = np.arange(5.0, 100.0, 20.0)
"""ms, at the root."""


def train(amplitude: float, width: float, delay: float) -> np.ndarray:
    """Membrane voltage (mV): spikes of a Gaussian shape, each followed by a 5 mV dip of 4 ms."""
    since = TIMES[:, None] - (SPIKES + delay)
    spike = amplitude * np.exp(-0.5 * (since / width) ** 2)
    later = np.maximum(since - 2.0 * width, 0.0)
    dip = -5.0 * (later / 4.0) * np.exp(1.0 - later / 4.0)
    return REST + (spike + dip).sum(axis=1)


def main() -> None:
    """Writes the table."""
    path = Path(__file__).resolve().parent.parent / "jobs" / "voltage_train.csv"
    columns = [TIMES, train(100.0, 0.4, 0.0), train(35.0, 1.0, 1.5)]
    rows = [
        "time_ms,root,tip",
        *(f"{t:.1f},{root:.3f},{tip:.3f}" for t, root, tip in zip(*columns, strict=True)),
    ]
    path.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
