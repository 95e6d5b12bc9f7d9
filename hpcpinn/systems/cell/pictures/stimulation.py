"""The pulses of a run, rebuilt from the run description in its result file."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io import Result
from hpcpinn.physics.stimulation.protocols import PulseProtocol, protocol_named


def protocol_of(config: Mapping[str, Any]) -> PulseProtocol | None:
    """The protocol of a stored run description; None where no field is given.

    Args:
        config: The run description, as `Result.config` holds it.

    Raises:
        InputError: A protocol that this version does not know.
    """
    field, given = config.get("field", {}), config.get("stimulation", {})
    if not given or (field.get("magnitude") is None and field.get("file") is None):
        return None
    if given["protocol"] is not None:
        return protocol_named(given["protocol"])
    # Where bursts or trains are single, their interval may be missing and says nothing.
    longer_than_a_burst = given["pulses"] * (given["pulse_interval"] or 1000.0)
    return PulseProtocol(
        "stimulation",
        pulses=given["pulses"],
        bursts=given["bursts"],
        trains=given["trains"],
        burst_interval=given["burst_interval"] or given["train_interval"] or longer_than_a_burst,
        pulse_interval=given["pulse_interval"],
        train_interval=given["train_interval"],
    )


def pulses_within(result: Result, protocol: PulseProtocol, end: float) -> Float[ndarray, " pulses"]:
    """Onsets of the pulses up to a time, ms."""
    onsets = result.config["stimulation"]["start"] + protocol.pulse_times()
    within: Float[ndarray, " pulses"] = onsets[onsets <= end]
    return within
