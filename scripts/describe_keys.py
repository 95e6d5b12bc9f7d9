"""Writes docs/run-description.md, the table of every key of a job file, from the schema.

python scripts/describe_keys.py
"""

from pathlib import Path
from typing import Any, get_args, get_origin

from hpcpinn.config.keys import choices, words_of, written
from hpcpinn.physics.constants import PRESETS
from hpcpinn.systems.cell.config import inverse, schema
from hpcpinn.systems.square import config as square

PAGE = Path(__file__).resolve().parents[1] / "docs" / "run-description.md"
INTRODUCTION = """\
# The run description

<!-- Written by scripts/describe_keys.py from hpcpinn/systems/cell/config/schema.py: change it there. -->

A job file is TOML. Every key has a default, so a job holds only what differs from it; an unknown or
misspelt key is refused with the nearest one. On the command line `--set table.key=value` changes one
key. Times are in ms and lengths in µm (for the preset `seed` everything is dimensionless) or text with
a unit, such as `duration = "10 min"` or `"6 seconds"`. Relative paths in a job file start at the job file, the path
of the result at the working directory. What is solved is named at the top of a file, `system = "square"`; a file that
names nothing describes a cell. (`kind` of `[domain]` says the same.)

Places on the cell (`site`) are written `soma`, `root`, `apic[12](0.5)` (section and position on it,
0 to 1), `point:123` (id in the SWC file), `xyz:1,2,3` (nearest place, µm, at most 50 µm from the cell) or
`tip:apic` (farthest tip of a type; `tip` alone: of the cell). A place that the cell does not have is refused with
the nearest ones.

Voltage files are CSV, with a header `time_ms,soma,apic[12](0.5)` and one row per time in mV (−500 to 500), or
HDF5 with `/time`, `/voltage` (times × sites) and `/sites`; between sites the voltage follows the tree. All CSV may
have commas, semicolons or tabs between columns (with the latter two also decimal commas), a byte-order mark and the
line ends of any system; text is UTF-8 or Latin-1.

A number in a neighbouring unit (pA for nA, °C for K, F/m² for µF/cm²) is a number like any other. What has no
physical meaning (a temperature below 250 K or above 60 °C) is refused, with the unit that it looks like and the
number to write; what is only unusual (300 nA) is taken, with a warning that says the same. A value that names its
unit (`"50 us"`), and everything under the preset `seed`, is not asked about. A solved voltage beyond ±500 mV ends
the run with exit code 2: the cable follows whatever is put into it, so the message names where, when and how much,
and what was put in. `hpcpinn/core/plausibility.py` is the table of what is usual and what is possible.
"""

SQUARE = """
# On a square

With `system = "square"` a description has these tables and no others. Observation files are CSV with a
header `value_uM,x_um,y_um,t_ms,noise_uM` (the units may be left out) and one row per observation.
"""


def default(value: Any) -> str:
    """A default as it is written in TOML."""
    return "–" if value is None else f"`{written(value)}`"


def table(title: str, model: type[schema.Table]) -> str:
    """One table of the run description."""
    words = words_of(model)
    lines = [f"\n## {title}\n", "| key | default | what |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if isinstance(field.default, schema.Table):
            continue
        shown = "required" if field.is_required() else default(field.default)
        lines.append(f"| `{name}` | {shown} | {words[name]}{choices(field.annotation)} |".replace("``", "`"))
    return "\n".join(lines) + "\n"


def constants() -> str:
    """The constants, one column per preset."""
    words = words_of(schema.ConstantsConfig)
    names = [name for name in schema.ConstantsConfig.model_fields if name not in ("gates", "time_unit")]
    lines = [
        "\n## [physics.constants]\n",
        "What is left out keeps the preset's value, shown here (–: found by balancing rest).",
        "Units µm, s, µM, mV.\n",
        "| key | " + " | ".join(f"`{preset}`" for preset in PRESETS) + " | what |",
        "|---|" + "---|" * (len(PRESETS) + 1),
    ]
    for name in names:
        values = " | ".join(default(getattr(preset, name)) for preset in PRESETS.values())
        lines.append(f"| `{name}` | {values} | {words[name]} |")
    gates = table("", schema.GateConfig).removeprefix("\n## \n\n")
    lines.append("\n`gates` replaces the gates of the channel: a list of tables with these keys.\n\n" + gates)
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *tables(schema.RunConfig), SQUARE, *tables(square.SquareConfig)]
    return "".join(parts)


def tables(whole: type[schema.Table]) -> list[str]:
    """The tables of one kind of domain."""
    parts = []
    for name, field in whole.model_fields.items():
        if name == "system":
            continue  # said at the top
        model = field.annotation
        several = get_origin(field.annotation) is tuple
        if several:
            model = get_args(field.annotation)[0]
        parts.append(table(f"[[{name}]]" if several else f"[{name}]", model))
        if name == "physics" and whole is schema.RunConfig:
            parts.append(constants())
        for inner, value in model.model_fields.items():
            for constants_of in (square.DopamineConstantsConfig, inverse.CellTruthConfig):
                if isinstance(value.default, constants_of):
                    parts.append(table(f"[{name}.{inner}]", constants_of))
    return parts


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE}: written")
