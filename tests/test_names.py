"""Names: a word that means one thing means it everywhere."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "hpcpinn"

SHARED = {
    # What a user writes, and the table, rule or model that it stands for inside.
    "Buffer", "Cell", "Constant", "Field", "Square",
    # Two at a time, which are to become one.
    "Problem",
}  # fmt: skip
"""Names that classes still share; this set only shrinks."""


def test_no_class_name_has_two_meanings() -> None:
    places = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    several = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in several.items() if name not in SHARED} == {}
    assert set(several) >= SHARED, f"{sorted(SHARED - set(several))} are no longer shared: take them off the list"
