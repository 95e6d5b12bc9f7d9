"""The finite-volume reference of bench_peers.py, in a process of its own: the voltage first, then calcium along it.

    python peer_reference.py JOB.npz RESULT.npz

JOB holds, beside what peer_cell.py says, `finer`, the voltage's `step` (ms), the `tolerance` of the reference, and
`times`. RESULT: c and b (µM) at the times, and the seconds of both parts over the whole span.
"""

import sys
import time
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from peer_cell import CONSTANTS, CURRENT, PERIOD, START, read_cell
from peer_ours import membrane, pulses

from hpcpinn.morphology.cable import Cable
from hpcpinn.reference.finite_volume import solve
from hpcpinn.reference.forcing import Forcing, VoltageTable
from hpcpinn.timestepping.pulse_steps import VoltageStepRule, steps_between

ACTIVE, QUIET_EVERY = 15.0, 0.2
"""ms after a pulse in which every step of the voltage is a row of the table; ms between rows later."""
UNIT = CONSTANTS.time_unit


def voltage_rows(cable: Cable, step: float, periods: int) -> tuple[Float[ndarray, " T"], Float[ndarray, "T N"]]:
    """The voltage of all compartments, dense while action potentials last; ms, mV."""
    equation, stimulus = membrane(cable), pulses(periods)
    source = equation.clamp_source(0, CURRENT)[None]
    state = equation.uniform_state(START)
    times, rows = [np.zeros(1)], [equation.voltage(state)[None]]
    for number in range(periods):
        begin = number * PERIOD
        rule = VoltageStepRule(step, min(step, 0.005))
        plan = steps_between(begin, begin + PERIOD, rule, stimulus, 0.0)
        state, V = equation.march(state, plan, source)
        ends = plan.ends
        late = ends > ACTIVE
        kept = ~late | (np.diff(np.floor(ends / QUIET_EVERY + 1e-9), prepend=0.0) > 0.0)
        kept[-1] = True
        times.append(begin + ends[kept])
        rows.append(V[kept])
    return np.concatenate(times), np.concatenate(rows)


def main(job_file: str, result_file: str) -> None:
    job = dict(np.load(job_file))
    cable = read_cell(Path(str(job["folder"])), float(job["finer"])).cable()
    periods = int(job["periods"])
    voltage_rows(cable, float(job["step"]), 1)  # compiles
    began = time.perf_counter()
    times, V = voltage_rows(cable, float(job["step"]), periods)
    seconds_voltage = time.perf_counter() - began
    forcing = Forcing(VoltageTable(UNIT * times, V))
    found = solve(cable, CONSTANTS, forcing, UNIT * job["times"], tolerance=float(job["tolerance"]))
    np.savez(
        result_file, **dict(zip("cb", found.fields.values(), strict=True)),
        seconds_voltage=seconds_voltage, seconds_calcium=found.seconds,
        steps=found.work.steps, rejected=found.work.rejected, rows=len(times),
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
