"""The result file of an inference.

What `estimates` says, and
/observations/{value,noise,x,y,t,predicted}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.io import storage
from hpcpinn.io.estimates import Estimates, estimates_in, write_estimates

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator

FORMAT = "hpcpinn-inference"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class InferenceResult(Estimates):
    """What was inferred.

    Attributes:
        observations: value, noise, x, y, t, predicted.
    """

    observations: Mapping[str, Float[ndarray, " N"]]

    @property
    def _arrays(self) -> dict[str, tuple[ndarray, str]]:
        return super()._arrays | {"observations": (self.observations["value"], _UNITS["value"])}


_UNITS = {"value": "uM", "noise": "uM", "predicted": "uM", "x": "um", "y": "um", "t": "ms"}


def write_inference(path: str | Path, communicator: "Communicator", result: InferenceResult) -> None:
    """Writes a result, replacing an older one. Collective over all ranks.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    storage.on_root(communicator, Path(path), "", _write, Path(path), result)


def _write(path: Path, result: InferenceResult) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", locking=False) as file:
        write_estimates(file, FORMAT, FORMAT_VERSION, result)
        for name, values in result.observations.items():
            file[f"observations/{name}"] = values
            file[f"observations/{name}"].attrs["units"] = _UNITS[name]


def read_inference(path: str | Path) -> InferenceResult:
    """Reads a result. Serial.

    Raises:
        InputError: It is not there, damaged, or something else.
    """
    with storage.open_existing(Path(path), FORMAT, FORMAT_VERSION) as file:
        observations = {name: file[f"observations/{name}"][:] for name in _UNITS}
        return InferenceResult(observations=observations, **estimates_in(file))
