"""Writes jobs/voltage_train.csv: 50 Hz action potentials at the root that fade towards the tip.

And jobs/neuron_pair.csv: rest, two broad ones that hardly fade, and rest again, for traces of calcium; its
first potential by itself is tests/inference/action_potential.csv.

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


PAIR = np.array([4.0, 14.0])
"""ms, likewise,"""
PAIR_START, PAIR_END = 50.0, 400.0
"""ms: rest before them, and where the table ends."""


def train(amplitude: float, width: float, delay: float, spikes: np.ndarray = SPIKES) -> np.ndarray:
    """Membrane voltage (mV): spikes of a Gaussian shape, each followed by a 5 mV dip of 4 ms."""
    since = TIMES[:, None] - (spikes + delay)
    spike = amplitude * np.exp(-0.5 * (since / width) ** 2)
    later = np.maximum(since - 2.0 * width, 0.0)
    dip = -5.0 * (later / 4.0) * np.exp(1.0 - later / 4.0)
    return REST + (spike + dip).sum(axis=1)


def write(name: str, times: np.ndarray, root: np.ndarray, tip: np.ndarray) -> None:
    """Writes one table."""
    rows = [
        "time_ms,root,tip",
        *(f"{t:.1f},{near:.3f},{far:.3f}" for t, near, far in zip(times, root, tip, strict=True)),
    ]
    (Path(__file__).resolve().parent.parent / name).write_text("\n".join(rows) + "\n")


def main() -> None:
    """Writes the tables."""
    write("jobs/voltage_train.csv", TIMES, train(100.0, 0.4, 0.0), train(35.0, 1.0, 1.5))
    root, tip = train(95.0, 1.0, 0.0, PAIR), train(80.0, 1.2, 0.4, PAIR)
    shown = (np.abs(root - REST) > 1e-3) | (np.abs(tip - REST) > 1e-3)
    times = np.concatenate([[0.0], PAIR_START + TIMES[shown], [PAIR_END]])
    write("jobs/neuron_pair.csv", times, *(np.concatenate([[REST], course[shown], [REST]]) for course in (root, tip)))
    first = TIMES <= 8.0
    write("tests/inference/action_potential.csv", TIMES[first], root[first], tip[first])


if __name__ == "__main__":
    main()
