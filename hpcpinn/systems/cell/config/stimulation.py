"""Tables of the run description that make the voltage a thing to solve: field, pulses, clamps, membrane."""

from typing import Annotated

from pydantic import Field

from hpcpinn.config.declared import changes_table, whole_table
from hpcpinn.config.values import File, FileOrName, Finite, Many, Positive, PositiveTime, Table, Text, Time
from hpcpinn.core.plausibility import QUANTITIES
from hpcpinn.physics.membrane_constants import CableConstants, Current, FieldConstants


class FieldConfig(whole_table(FieldConstants)):  # type: ignore[misc]
    """The induced electric field at its peak: uniform, or sampled in space.

    Attributes:
        direction: Direction of a uniform field, of any length: the end of a cable that it points to depolarises.
        file: CSV of samples, `x,y,z,Ex,Ey,Ez` in µm and V/m. In a job file a relative path starts
            at the job file.
    """

    direction: Annotated[tuple[Finite, Finite, Finite], Field(strict=False)] = (0.0, 1.0, 0.0)
    file: File | None = None

    @property
    def is_given(self) -> bool:
        """Whether there is a field."""
        return self.magnitude is not None or self.file is not None


class StimulationConfig(Table):
    """When the field is there: a protocol by its name, or trains of bursts of pulses; one pulse by default.

    Attributes:
        protocol: One of `hpcpinn protocols`, such as `iTBS600`; the numbers below are then its own.
        waveform: monophasic, biphasic, rectangular, or a CSV file `time_ms,value`; the protocol's
            own if left out. In a job file a relative path starts at the job file.
        start: Onset of the first pulse, ms.
        pulses: Pulses per burst.
        bursts: Bursts per train.
        trains: Trains.
        pulse_interval: Time from pulse to pulse within a burst, ms.
        burst_interval: Time from burst to burst within a train, ms.
        train_interval: Time from train to train, ms; without it they follow each other.
    """

    protocol: Text | None = None
    waveform: FileOrName | None = None
    start: Time = 0.0
    pulses: Many = 1
    bursts: Many = 1
    trains: Many = 1
    pulse_interval: Annotated[PositiveTime | None, QUANTITIES["interval of pulses"]] = None
    burst_interval: Annotated[PositiveTime | None, QUANTITIES["interval of bursts"]] = None
    train_interval: Annotated[PositiveTime | None, QUANTITIES["interval of trains"]] = None


class ClampConfig(Table):
    """A current into one compartment of the cable.

    Attributes:
        site: Place of the clamp.
        start: Time at which it begins, ms.
        duration: Time that it lasts, ms.
        current: Current, nA; positive depolarises.
    """

    site: Text
    start: Time
    duration: Annotated[PositiveTime, QUANTITIES["duration of a clamp"]]
    current: Annotated[Finite, QUANTITIES["current"]]


class CurrentConfig(changes_table(Current)):  # type: ignore[misc]
    """Constants of one current of a channel set that differ."""


class ChannelsConfig(Table):
    """Ion channels of every type of neurite, by name: passive, squid or code.

    Attributes:
        soma: Channels of the soma.
        axon: Channels of the axon.
        basal: Channels of basal dendrites.
        apical: Channels of apical dendrites.
        other: Channels of what has another type in the SWC file.
        constants: What differs in the sets, by set and current (sodium, potassium, leak), such as
            `squid = { sodium = { conductance = 100.0 } }`.
    """

    soma: Text = "squid"
    axon: Text = "squid"
    basal: Text = "squid"
    apical: Text = "squid"
    other: Text = "passive"
    constants: dict[str, dict[str, CurrentConfig]] = Field(default={})

    @property
    def changes(self) -> dict[str, dict[str, dict[str, float]]]:
        """The constants that differ, by set, current and name."""
        return {
            name: {current: given.model_dump(exclude_none=True) for current, given in currents.items()}
            for name, currents in self.constants.items()
        }


class CableConfig(whole_table(CableConstants)):  # type: ignore[misc]
    """The cable equation and its steps.

    Attributes:
        d_lambda: Longest compartment, as a share of the length constant at 100 Hz.
        step: Longest step between pulses, ms.
        pulse_step: Longest step within pulses, ms.
        quiet_step: Longest step of long runs while the voltage hardly moves, ms.
        sample: Time between two voltages that are kept for the calcium, ms.
    """

    d_lambda: Positive = 0.1
    step: Annotated[PositiveTime, QUANTITIES["longest step"]] = 0.0125
    pulse_step: Annotated[PositiveTime, QUANTITIES["step in pulses"]] = 0.005
    quiet_step: Annotated[PositiveTime, QUANTITIES["step at rest"]] = 0.1
    sample: Annotated[PositiveTime, QUANTITIES["sample of the voltage"]] = 0.025
