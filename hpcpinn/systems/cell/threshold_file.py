"""A table of thresholds on disk: a line for each, written as it is found, so that a search that was ended goes on."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcpinn.errors import InputError, OutputError
from hpcpinn.systems.cell.threshold_map import Row, table

_FIRST = "# hpcpinn thresholds of "


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
