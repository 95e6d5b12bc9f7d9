"""From a run description to the protocol of its pulses, and to how long a run is that says nothing else. Light."""

from hpcpinn.errors import InputError, concerning
from hpcpinn.physics.stimulation.protocols import PulseProtocol, protocol_named
from hpcpinn.systems.cell.config.schema import RunConfig


def protocol_of(config: RunConfig) -> PulseProtocol:
    """The protocol of the pulses of a run description.

    Raises:
        InputError: An unknown protocol, or numbers that make no train.
    """
    given = config.stimulation
    if given.protocol is not None:
        with concerning("stimulation", "protocol"):
            return protocol_named(given.protocol)
    return PulseProtocol(
        "stimulation",
        pulses=given.pulses,
        bursts=given.bursts,
        trains=given.trains,
        burst_interval=_burst_interval(config),
        pulse_interval=given.pulse_interval,
        train_interval=given.train_interval,
    )


def duration_of(config: RunConfig) -> float:
    """How long a long run is, ms: it goes through its whole protocol where its description does not say so.

    Raises:
        InputError: As `protocol_of`.
    """
    if "duration" in config.run.model_fields_set or not config.field.is_given:
        return config.run.duration
    return config.stimulation.start + protocol_of(config).duration


def _burst_interval(config: RunConfig) -> float:
    """The interval between bursts; where there is one burst, anything longer than it."""
    given = config.stimulation
    if given.burst_interval is not None:
        return given.burst_interval
    if given.bursts > 1:
        raise InputError(f"stimulation.burst_interval is missing; {given.bursts} bursts per train need one")
    if given.trains > 1 and given.train_interval is None:
        raise InputError(f"stimulation.train_interval is missing; {given.trains} trains need one")
    if given.train_interval is not None:
        return given.train_interval
    return given.pulses * (given.pulse_interval or 1000.0)
