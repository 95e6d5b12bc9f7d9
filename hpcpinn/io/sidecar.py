"""The reference solution of a run, kept beside its result: ``run.h5`` → ``run.reference.h5``.

Same layout as the result (/time, /calcium, /calbindin, /probes/*) on the same cells.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn import __version__
from hpcpinn.errors import OutputError
from hpcpinn.io import storage
from hpcpinn.io.layout import field_units
from hpcpinn.io.read import Result

FORMAT = "hpcpinn-reference"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ReferenceTrace:
    """What the reference solver found where and when the result has values.

    Attributes:
        time: User times of the frames.
        calcium, calbindin: Averages over the cells of the result, µM.
        probe_time: User times of the probe samples.
        probe_calcium, probe_calbindin: At the probes of the result, µM.
    """

    time: Float[ndarray, " T"]
    calcium: Float[ndarray, "T N"]
    calbindin: Float[ndarray, "T N"]
    probe_time: Float[ndarray, " Tp"]
    probe_calcium: Float[ndarray, "Tp P"]
    probe_calbindin: Float[ndarray, "Tp P"]


def reference_path(result: str | Path) -> Path:
    """Where the reference of a result lies."""
    return storage.beside(result, "reference.h5")


def write_reference(result: Result, trace: ReferenceTrace) -> Path:
    """Keeps a reference solution beside the result that it belongs to. Serial.

    Returns:
        The path of the file.

    Raises:
        OutputError: It cannot be written.
    """
    path = reference_path(result.path)
    units = field_units() if result.units else {}
    datasets = {
        "time": trace.time,
        "calcium": trace.calcium,
        "calbindin": trace.calbindin,
        "probes/time": trace.probe_time,
        "probes/calcium": trace.probe_calcium,
        "probes/calbindin": trace.probe_calbindin,
    }
    try:
        with h5py.File(path, "w", locking=False) as file:
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["hpcpinn"] = __version__
            file.attrs["result_created"] = result.attributes["created"]
            for name, values in datasets.items():
                file[name] = np.asarray(values, np.float64)
                unit = units.get(name.removeprefix("probes/"))
                if unit is not None:
                    file[name].attrs["units"] = unit
    except OSError as error:
        raise OutputError(f"{path}: cannot write the reference: {' '.join(str(error).split())}") from error
    return path


def read_reference(result: Result) -> ReferenceTrace | None:
    """The reference solution of a result; None if there is none, or it belongs to an earlier run.

    Raises:
        InputError: The file is damaged or of another version.
    """
    path = reference_path(result.path)
    if not path.is_file():
        return None
    with storage.open_existing(path, FORMAT, FORMAT_VERSION) as file:
        if file.attrs["result_created"] != result.attributes["created"]:
            return None
        return ReferenceTrace(
            time=file["time"][:],
            calcium=file["calcium"][:],
            calbindin=file["calbindin"][:],
            probe_time=file["probes/time"][:],
            probe_calcium=file["probes/calcium"][:],
            probe_calbindin=file["probes/calbindin"][:],
        )
