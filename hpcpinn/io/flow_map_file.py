"""A trained flow map as a file of its own: plain numbers in HDF5, readable without hpcpinn.

/layers/0/weight, bias …    the network's layers from input to output
/constants                  attributes: what it was trained for
/box                        attributes: where it holds, pairs (least, largest)
/error                      attributes: measured errors, triples (median, 95 %, worst)
/training                   attributes: how it came about
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.errors import InputError, OutputError
from hpcpinn.io import storage

FORMAT = "hpcpinn-flow-map"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FlowMapRecord:
    """What the file holds.

    Attributes:
        layers: (weight, bias) of every layer.
        constants: Names and values of the constants it was trained for.
        box: Pairs (least, largest) by name of the coordinate.
        error: Triples (median, 95 % quantile, worst) by name of the quantity.
        training: Settings and time of the training, numbers or text.
    """

    layers: tuple[tuple[Float[ndarray, "inputs outputs"], Float[ndarray, " outputs"]], ...]
    constants: Mapping[str, float]
    box: Mapping[str, tuple[float, float]]
    error: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    training: Mapping[str, float | int | str] = field(default_factory=dict)


def write_flow_map(path: str | Path, record: FlowMapRecord) -> Path:
    """Writes the file, replacing one that is there only once the new one is complete. Serial.

    Raises:
        OutputError: It cannot be written.
    """
    path = Path(path)
    try:
        with storage.replacing(path) as file:
            file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "hpcpinn": __version__})
            for index, (weight, bias) in enumerate(record.layers):
                group = file.create_group(f"layers/{index}")
                group["weight"], group["bias"] = np.asarray(weight, float), np.asarray(bias, float)
            for name in ("constants", "box", "error", "training"):
                file.create_group(name).attrs.update(getattr(record, name))
    except OSError as error:
        raise OutputError(f"{path}: the flow map cannot be written ({error}); check folder and space") from error
    return path


def read_flow_map(path: str | Path) -> FlowMapRecord:
    """Reads the file. Serial.

    Raises:
        InputError: It is missing, damaged, of another kind or version, or holds broken numbers.
    """
    path = Path(path)
    with storage.open_existing(path, FORMAT, FORMAT_VERSION) as file:
        layers = tuple(
            (file[f"layers/{index}/weight"][()], file[f"layers/{index}/bias"][()])
            for index in range(len(file["layers"]))
        )
        record = FlowMapRecord(
            layers=layers,
            constants={name: float(value) for name, value in file["constants"].attrs.items()},
            box={name: (float(value[0]), float(value[1])) for name, value in file["box"].attrs.items()},
            error={
                name: (float(value[0]), float(value[1]), float(value[2])) for name, value in file["error"].attrs.items()
            },
            training={name: _plain(value) for name, value in file["training"].attrs.items()},
        )
    _check_layers(path, layers)
    return record


def _plain(value: np.generic | str) -> float | int | str:
    return value if isinstance(value, str) else value.item()


def _check_layers(
    path: Path, layers: tuple[tuple[Float[ndarray, "inputs outputs"], Float[ndarray, " outputs"]], ...]
) -> None:
    """Raises InputError unless the layers fit each other and are finite."""
    if not layers:
        raise InputError(f"{path}: holds no layer; train the flow map again (hpcpinn flow-map train)")
    for index, (weight, bias) in enumerate(layers):
        fits = weight.ndim == 2 and bias.shape == weight.shape[1:]
        fits = fits and (index == 0 or weight.shape[0] == layers[index - 1][0].shape[1])
        if not fits:
            raise InputError(
                f"{path}: layer {index} has a weight of shape {weight.shape} and a bias of shape "
                f"{bias.shape}, which do not fit; the file is damaged"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError(f"{path}: layer {index} holds NaN or infinite numbers; the file is damaged")
