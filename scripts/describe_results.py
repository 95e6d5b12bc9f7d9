"""Writes the tables of docs/results.md, what files hold, from the schema.

python scripts/describe_results.py
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from hpcpinn.io import schema
from hpcpinn.io.schema import Dataset, Variable
from hpcpinn.physics.constants import PRESETS
from hpcpinn.systems.cell import recorded
from hpcpinn.systems.square import recorded as square_recorded

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"


def datasets(declared: Iterable[Dataset]) -> list[str]:
    """Datasets of a file, one a line."""
    lines = ["| dataset | shape | unit | what |", "|---|---|---|---|"]
    return lines + [f"| `/{d.name}` | {d.axes or 'one'} | {d.unit} | {d.what} |" for d in declared]


def columns(*tables: tuple[str, Iterable[Dataset]]) -> list[str]:
    """Columns of tables, one a line, and whose they are."""
    lines = ["| column | unit | what | of |", "|---|---|---|---|"]
    return lines + [f"| `{d.name}` | {d.unit} | {d.what} | {whose} |" for whose, table in tables for d in table]


def fields(*systems: tuple[str, Iterable[Variable]]) -> list[str]:
    """Fields of systems, one a line."""
    lines = ["| field | unit | what | of |", "|---|---|---|---|"]
    return lines + [f"| `/{f.name}` | {f.unit} | {f.description} | {whose} |" for whose, of in systems for f in of]


def _own(table: Iterable[Dataset]) -> list[Dataset]:
    return [entry for entry in table if entry not in schema.WINDOWS]


TABLES: dict[str, Callable[[], list[str]]] = {
    "run": lambda: datasets((*schema.RUN, *schema.FIELDS, *schema.INPUTS, schema.CONTENTS)),
    "fields": lambda: fields(
        ("a cell", recorded.fields_of(PRESETS["physical-N"])), ("a square", [square_recorded.DOPAMINE])
    ),
    "tree": lambda: datasets(schema.TREE),
    "box": lambda: datasets(schema.BOX),
    "line and points": lambda: datasets((*schema.LINE, *schema.POINTS)),
    "probes": lambda: datasets(schema.PROBES),
    "members": lambda: datasets(schema.MEMBERS),
    "windows": lambda: columns(
        ("all", schema.WINDOWS), ("a cell", _own(recorded.WINDOWS)), ("a square", _own(square_recorded.WINDOWS))
    ),
    "sweeps": lambda: columns(("all", schema.SWEEPS)),
    "reference": lambda: datasets((*schema.SOLUTIONS, schema.SOLUTION)),
    "inference": lambda: datasets(
        (*schema.ESTIMATES, *schema.OBSERVATIONS, schema.COLUMN, *schema.BANDS, *schema.FIELD_BANDS, *schema.CHECK)
    ),
    "draws": lambda: datasets((*schema.DRAWS, *schema.PLACEMENT)),
    "study": lambda: datasets(schema.STUDY),
}


def page() -> str:
    """The whole page: the text as it stands, every table anew."""
    text = PAGE.read_text()
    for name, table in TABLES.items():
        begin, end = f"<!-- table of scripts/describe_results.py: {name} -->\n", "\n<!-- end of table -->"
        if begin not in text:
            raise SystemExit(f"{PAGE}: no place for the table {name!r}: {begin}")
        made = "\n".join(table())
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: begin + made + end, text, count=1, flags=re.S)  # noqa: B023
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE}: written")
