"""The few numbers of a run, beside its result: ``run.h5`` → ``run.metrics.json``."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcpinn.errors import InputError
from hpcpinn.io import storage
from hpcpinn.io.names import beside

if TYPE_CHECKING:
    from hpcpinn.parallel.communicator import Communicator


def metrics_path(result: str | Path) -> Path:
    """Where the numbers of a result lie."""
    return beside(result, "metrics.json")


def write_metrics(result: str | Path, communicator: "Communicator", metrics: Mapping[str, Any]) -> Path:
    """Writes the numbers beside a result, replacing an older one atomically. Collective over all ranks.

    Args:
        result: Path of the result file, recorded under the key ``result``.
        communicator: All ranks; the metrics of rank 0 are written.
        metrics: Numbers, text, lists and dictionaries; a NaN or infinity becomes null, since JSON
            has neither.

    Returns:
        The path of the file.

    Raises:
        OutputError: On all ranks, when it cannot be written.
    """
    path = metrics_path(result)
    content = {"result": Path(result).name, **metrics}
    storage.on_root(communicator, path, "", _write, path, content)
    return path


def read_metrics(result: str | Path) -> dict[str, Any]:
    """Reads the numbers beside a result.

    Raises:
        InputError: There is none, or it is not JSON.
    """
    path = metrics_path(result)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run the job first") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from error
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
