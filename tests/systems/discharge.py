"""The discharge of a membrane as a system of one file: it fits a recording, has a probe, and brings a command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import typer

from hpcpinn.config.declared import whole_table
from hpcpinn.config.shared import DataTable, InferenceTable, Parameters, RunTable
from hpcpinn.config.values import Description
from hpcpinn.core.front import Verb
from hpcpinn.core.parameters import POSITIVE, REAL, Bounds, Constants, Scalar, constant
from hpcpinn.core.system import Attempt, Packed


@dataclass(frozen=True)
class DischargeConstants(Constants):
    """Constants of V = rest + jump exp(−t/τ)."""

    tau: Scalar = constant("Time constant of the membrane", "ms", Bounds(0.5, 50.0), default=10.0)
    jump: Scalar = constant("Potential above rest at the start", "mV", POSITIVE, default=20.0)
    rest: Scalar = constant("Potential at rest", "mV", REAL, measure=10.0, default=-65.0)


class DischargeTable(whole_table(DischargeConstants)):  # type: ignore[misc]
    """Constants of the discharge."""


class DischargeDescription(Description):
    """What a job says of a discharge."""

    constants: DischargeTable = DischargeTable()
    run: RunTable = RunTable()
    parameter: Parameters = ()
    data: DataTable = DataTable()
    inference: InferenceTable = InferenceTable()


@dataclass(frozen=True)
class Reached:
    """How far it is discharged."""

    time: float
    voltage: float


class DischargeProblem:
    """A discharge, window after window by the exponential."""

    def __init__(self, described: DischargeDescription):
        from hpcpinn.io.geometry import Line, ProbePoint
        from hpcpinn.io.schema import Variable
        from hpcpinn.marching.controller import WindowRule

        run = described.run
        self.parameters = DischargeConstants(**described.constants.changes)
        self.fields = (Variable("voltage", "mV", "potential of the membrane"),)
        self.geometry = Line(np.array([25.0, 75.0]))
        self.probes = (ProbePoint("middle", (50.0,)),)
        self.rule = WindowRule(run.duration, run.duration, run.duration, 1e-9)
        self.stops = np.array([0.5 * run.duration, run.duration])
        self.times = np.arange(0.0, run.duration * (1.0 + 1e-9), run.output_interval)
        self.sample_times = np.arange(0.0, run.duration * (1.0 + 1e-9), 0.25 * run.output_interval)
        self.observed = {"value": "mV", "t": "ms"}

    def start(self):
        return Reached(0.0, self.parameters.rest + self.parameters.jump)

    def attempt(self, state, length, reuse):
        after = Reached(state.time + length, self._after(state.voltage, length))
        return Attempt(length, 0.0, after, inside=state.voltage)

    def _after(self, voltage, time):
        k = self.parameters
        return k.rest + (voltage - k.rest) * np.exp(-time / k.tau)

    def observe(self, attempt, times):
        return {"voltage": np.tile(self._after(attempt.inside, times)[:, None], 2)}

    def sample(self, attempt, times):
        return {"voltage": self._after(attempt.inside, times)[:, None]}

    def pack(self, state):
        return Packed(scalars={"time": state.time, "voltage": state.voltage})

    def unpack(self, packed):
        return Reached(float(packed.scalars["time"]), float(packed.scalars["voltage"]))

    def closed_form(self, times):
        k = self.parameters
        return {"voltage": np.tile((k.rest + k.jump * np.exp(-times / k.tau))[:, None], 2)}

    def predict(self, parameters, at):
        import jax.numpy as jnp

        return parameters.rest + parameters.jump * jnp.exp(-jnp.asarray(at["t"]) / parameters.tau)


def half_time(
    recording: Annotated[Path, typer.Argument(help="CSV with the columns t_ms and value_mV.")],
) -> None:
    """Says when a recording has fallen halfway."""
    time, value = np.loadtxt(recording, delimiter=",", skiprows=1, usecols=(0, 1), unpack=True)
    middle = 0.5 * (value[0] + value[-1])
    print(f"halfway after {time[np.argmax(value <= middle)]:g} ms")


def halfway(order, communicator, progress, *, of: float = 1.0) -> float:
    """When it has fallen halfway, ms, times a factor: in Python ``hp.halfway(on, of=...)``."""
    return float(np.log(2.0) * order.described.constants.tau * of)


class Membrane:
    """A membrane, as it is described in Python."""

    def __init__(self, **constants: float):
        self.constants = constants

    def tables(self) -> dict[str, Any]:
        return {"system": "discharge", "constants": self.constants}


class Discharge:
    """The system of discharges."""

    name = "discharge"
    summary = "the discharge of a membrane"
    tables = DischargeDescription
    commands: ClassVar[dict[str, Any]] = {"half-time": half_time}
    front: ClassVar[dict[str, Any]] = {"Membrane": Membrane}
    verbs: ClassVar[dict[str, Any]] = {"halfway": Verb(halfway, taken={"constants": {"tau": 2.0}})}

    def build(self, described: DischargeDescription, communicator: Any) -> DischargeProblem:
        return DischargeProblem(described)


SYSTEM = Discharge()
