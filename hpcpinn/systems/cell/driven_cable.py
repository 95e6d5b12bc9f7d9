"""A cell whose voltage a field and clamps drive."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.morphology.compartments import Compartments
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.pulse_steps import CurrentClamp, Steps, VoltageStepRule, steps_between


@dataclass(frozen=True)
class DrivenCable:
    """A cell whose voltage a field and clamps drive.

    Attributes:
        compartments: Geometry of the cell.
        equation: The cable equation.
        sources: Currents of the field (where there is one) and of every clamp, nA, one row each.
        stimulus: Pulses; None without a field.
        onset: Onset of the first pulse, ms.
        clamps: Current clamps in the order of their rows of `sources`.
        rule: Lengths of steps.
    """

    compartments: Compartments
    equation: CableEquation
    sources: Float[ndarray, "k points"]
    stimulus: Stimulus | None
    onset: float
    clamps: tuple[CurrentClamp, ...]
    rule: VoltageStepRule

    def march(
        self, state: VoltageState, since: float, until: float, marks: Float[ndarray, " m"], scale: float = 1.0
    ) -> tuple[VoltageState, Float[ndarray, " n"], Float[ndarray, "n compartments"]]:
        """Steps over [since, until], ms, that end at all marks; the field `scale` times as strong.

        Returns:
            The state at the end, the ends of the steps, and the voltage there, mV.
        """
        steps = steps_between(since, until, self.rule, self.stimulus, self.onset, self.clamps, marks)
        sources = self._scaled(scale)
        state, V = self.equation.march(state, steps, sources)
        return state, since + steps.ends, V

    def first_rises(
        self, state: VoltageState, steps: Steps, level: float, scale: float = 1.0
    ) -> Float[ndarray, " compartments"]:
        """When the voltage of every compartment first rises through a level (mV), ms after the start; infinite: never.

        Args:
            state: Voltage and gates at the start.
            steps: Steps, as `steps_until` makes them.
            level: Voltage, mV.
            scale: Factor of the field.
        """
        return self.equation.first_rises(state, steps, self._scaled(scale), level)

    def voltages(self, state: VoltageState, steps: Steps, compartment: int, scale: float = 1.0) -> Float[ndarray, " n"]:
        """Voltage of one compartment at the ends of the steps, mV; the field `scale` times as strong."""
        return self.equation.march(state, steps, self._scaled(scale), [compartment])[1][:, 0]

    def steps_until(self, until: float) -> Steps:
        """Steps from time 0 on, ms."""
        return steps_between(0.0, until, self.rule, self.stimulus, self.onset, self.clamps, ())

    def in_field(self, psi: Float[ndarray, " points"]) -> "DrivenCable":
        """The same in another field, whose quasipotential (mV) at all points is given."""
        return replace(self, sources=np.concatenate([self.equation.field_source(psi)[None], self.sources[1:]]))

    def _scaled(self, scale: float) -> Float[ndarray, "k points"]:
        sources = self.sources.copy()
        if self.stimulus is not None:
            sources[0] *= scale
        return sources
