"""A cell whose voltage a field and clamps drive."""

from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.morphology.compartments import Compartments
from hpcpinn.physics.stimulation.stimulus import Stimulus
from hpcpinn.timestepping.cable_equation import CableEquation, VoltageState
from hpcpinn.timestepping.pulse_steps import CurrentClamp, VoltageStepRule, steps_between


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
        sources = self.sources.copy()
        if self.stimulus is not None:
            sources[0] *= scale
        state, V = self.equation.march(state, steps, sources)
        return state, since + steps.ends, V
