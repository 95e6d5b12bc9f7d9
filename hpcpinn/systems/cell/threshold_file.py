"""A table of thresholds on disk: a line for each, written as it is found, so that a search that was ended goes on."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.inputs import digest_of, input_names, without_names
from hpcpinn.errors import InputError, OutputError
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.threshold import Search
from hpcpinn.systems.cell.threshold_map import Row, table

_FIRST = "# hpcpinn thresholds of "
_READ = ("morphology", "axon", "field", "stimulation", "clamp", "channels", "cable")
"""Tables of a description that a threshold depends on."""


@dataclass(frozen=True)
class ThresholdFile:
    """A table of thresholds.

    Attributes:
        path: CSV file.
        settings: Digest of all that its thresholds depend on.
    """

    path: Path
    settings: str

    def known(self) -> list[Row]:
        """Rows that are there already; a last line that was cut short is left out.

        Raises:
            InputError: The file holds something else, or thresholds of other settings.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}: cannot be read ({error}); name another file") from None
        first = lines[0].strip() if lines else ""
        if not first.startswith(_FIRST):
            raise InputError(f"{self.path}: is no table of thresholds; name another file")
        if first != _FIRST + self.settings:
            raise InputError(
                f"{self.path}: holds thresholds of other settings (cells, directions, membrane or search); name "
                "another file, or delete it"
            )
        whole = [line for line in lines[1:] if line.endswith("\n")]
        return [Row.of(cells) for cells in csv.DictReader(whole)]

    def begin(self, rows: Sequence[Row]) -> None:
        """Writes the table anew with the rows that are known.

        Raises:
            OutputError: It cannot be written.
        """
        header = f"{_FIRST}{self.settings}\n{','.join(Row.columns())}\n"
        self._write("w", header + table(rows))

    def add(self, rows: Sequence[Row]) -> None:
        """Appends rows.

        Raises:
            OutputError: They cannot be written.
        """
        self._write("a", table(rows))

    def _write(self, mode: str, text: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open(mode, encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from None


def settings_digest(
    config: RunConfig, search: Search, directions: Float[ndarray, "n 3"], files: Sequence[str], waveforms: Sequence[str]
) -> str:
    """What identifies a table: the description, by contents of its files, the search, and what is searched over."""
    unread = {
        "run",
        "probe",
        "network",
        "training",
        "schwarz",
        "window",
        "split",
        "uq",
        "inference",
        "data",
        "parameter",
    }
    described = without_names(config.model_dump(mode="json", exclude=unread), RunConfig)
    named = [*input_names(config).values(), *files, *(name for name in waveforms if Path(name).suffix)]
    digests = {name: digest_of(Path(name).expanduser()) for name in named}
    what: dict[str, Any] = {
        "description": described,
        "files": sorted(map(str, digests.values())),
        "cells": [Path(file).name for file in files],
        "waveforms": list(waveforms),
        "directions": np.round(directions, 12).tolist(),
        "search": [search.site, search.highest, search.tolerance, search.longest_wait],
    }
    return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=12).hexdigest()
