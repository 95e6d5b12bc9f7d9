"""Flow maps from and to files, checked against the constants of the run; the one that is shipped."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hpcpinn.core.parameters import declared
from hpcpinn.errors import InputError
from hpcpinn.io.flow_map_file import FlowMapRecord, read_flow_map, write_flow_map
from hpcpinn.networks.perceptron import Layer
from hpcpinn.physics.constants import PRESETS, CalciumConstants, ReactionConstants
from hpcpinn.physics.pumped_binding import reaction_constants
from hpcpinn.training.flow_map import N_INPUTS, N_OUTPUTS, FlowMap, FlowMapRange

SHIPPED = Path(__file__).resolve().parent / "flow_map_physical.h5"
"""Trained for the presets physical-N, physical-L and physical-T, whose reaction is the same."""


OWN = "flow_map.h5"
"""What `training_command` calls its file."""


def training_command(k: CalciumConstants) -> str:
    """What a person types to train a flow map for constants, whatever job they come from."""
    usual = _numbers(reaction_constants(PRESETS["physical-N"]))
    changes = [
        f"--set physics.constants.{name}={value!r}"
        for name, value in _numbers(reaction_constants(k)).items()
        if value != usual[name]
    ]
    return " ".join(["hpcpinn flow-map train", *changes, f"--output {OWN}"])


def save_flow_map(
    path: str | Path,
    flow_map: FlowMap,
    *,
    error: Mapping[str, tuple[float, float, float]] | None = None,
    training: Mapping[str, float | int | str] | None = None,
) -> Path:
    """Writes a flow map with the constants it was trained for and its box. Serial.

    Args:
        path: The file.
        flow_map: The map.
        error: Measured errors (median, 95 %, worst) by name.
        training: Settings of its training.

    Raises:
        OutputError: It cannot be written.
    """
    layers = tuple((np.asarray(x.weight), np.asarray(x.bias)) for x in flow_map.network)
    record = FlowMapRecord(layers, _numbers(flow_map.constants), asdict(flow_map.box), error or {}, training or {})
    return write_flow_map(path, record)


def load_flow_map(path: str | Path, k: CalciumConstants) -> FlowMap:
    """Reads a flow map and makes sure that it belongs to the constants. Serial.

    Args:
        path: The file.
        k: Constants of the run.

    Raises:
        InputError: The file cannot be used, or was trained for other constants; the message names
            every one that differs, with both values. Or the constants are traced.
    """
    if besides := [*(one.calcium for one in k.organelles), *(one.name for one in k.buffers)]:
        raise InputError(f"{path}: a flow map knows calcium and calbindin alone, and there is {besides[0]!r} besides")
    wanted = _numbers(reaction_constants(k))
    if any(isinstance(value, jax.core.Tracer) for value in wanted.values()):
        raise InputError(
            f"{path}: a flow map holds the constants it was trained for, and these are traced; what is differentiated "
            "by them goes through the stiff sub-step (StiffReaction)"
        )
    record = read_flow_map(path)
    _check_names(path, "constants", record.constants, wanted)
    _check_names(path, "box", record.box, {f.name: None for f in fields(FlowMapRange)})
    different = [
        f"{name} ({record.constants[name]:.15g} in the map, {value:.15g} in the run)"
        for name, value in wanted.items()
        if record.constants[name] != value
    ]
    if different:
        raise InputError(
            f"{path}: trained for other constants: {', '.join(different)}; train one for these, "
            f"`{training_command(k)}`, and run with --set split.flow_map={OWN}, or set the constants back"
        )
    network = tuple(Layer(*jax.device_put((weight, bias))) for weight, bias in record.layers)
    shape = network[0].weight.shape[0], network[-1].weight.shape[1]
    if shape != (N_INPUTS, N_OUTPUTS):
        raise InputError(
            f"{path}: a network of {shape[0]} inputs and {shape[1]} outputs; this hpcpinn's flow maps "
            f"have {N_INPUTS} and {N_OUTPUTS}; train it again (hpcpinn flow-map train)"
        )
    return FlowMap(network, ReactionConstants(**dict[str, Any](record.constants)), FlowMapRange(**record.box))


def shipped_flow_map(k: CalciumConstants) -> FlowMap:
    """The flow map that comes with the package.

    Raises:
        InputError: The constants are not those of the physical presets.
    """
    return load_flow_map(SHIPPED, k)


def _numbers(k: ReactionConstants) -> dict[str, Any]:
    """The constants of what a flow map knows, by name."""
    return {name: getattr(k, name) for name in declared(type(k))}


def _check_names(path: str | Path, group: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if found.keys() != wanted.keys():
        odd = sorted(found.keys() ^ wanted.keys())
        raise InputError(
            f"{path}: /{group} names {', '.join(odd)} where this hpcpinn does not, or the other way "
            "round; train the flow map again (hpcpinn flow-map train)"
        )
