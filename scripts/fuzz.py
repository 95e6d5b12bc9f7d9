"""Mutates job files, SWC files and CSV files, and looks whether hpcpinn reads or refuses them as it should.

Usage:
    .venv/bin/python scripts/fuzz.py                               # 10 000 files of all kinds
    .venv/bin/python scripts/fuzz.py --what swc --count 500 --seed 7
    .venv/bin/python scripts/fuzz.py --minutes 1                   # as many as a minute allows
    .venv/bin/python scripts/fuzz.py --what swc --seed 7 --only 123 --keep .      # one again, and write its file

A file is either refused by one of the package's own errors, in one short line, or taken; and then no length,
area, volume or constant of what was read is nan, infinite, zero or negative. Any other exception is a fault, as is
a file that takes longer than --limit seconds. Case NUMBER of a kind depends on the seed and its number alone. Files
of faults are kept.

    .venv/bin/python scripts/fuzz.py --invariances --count 200     # other descriptions of one cell

Rotated, translated, with its lines in another order, with other ids, or in units that are a power of two larger:
a cell is the same cell, to rounding or to the bit.
"""

import argparse
import contextlib
import math
import multiprocessing
import random
import re
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
KINDS = ("toml", "swc", "csv")
LONGEST_LINE = 600
"""Characters of a message that a person still reads."""

BATCH = 250
"""Files that one process reads before another takes over."""

BESIDE = ("voltage_train.csv", "neuron_pair.csv", "neuron_fork.swc")
"""What the jobs read, from their own folder."""

_PATIENCE = 120.0
"""Seconds for a process to load its libraries, on a busy machine."""

NUMBERS = (
    "0", "-0", "-1", "1e-320", "1e-200", "1e-30", "1e30", "1e200", "1e308", "1e400", "-1e400", "nan", "-nan",
    "inf", "-inf", "NaN", "1,5", "1_000", "0x10", "1e", ".5", "5.", "+3", "--3", "1.5.2", "٣", "99999999999999999999",
    "9" * 400, "9" * 5000, "2147483648", "-9223372036854775809", "true", "null", '""', "[]", "{}", "1 2", "3 ms",
    "0.5 s", "7 parsec",
)  # fmt: skip
LETTERS = (*"\0\t\r\x1b\x7f\xa0µ\u200b\ufeff🧠", *"#,;\"'=[]\\$")
_NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Verdict:
    """What became of a file.

    Attributes:
        kind, number: Which.
        outcome: ``taken``, ``refused``, or ``fault``.
        text: The message, or what is wrong.
    """

    kind: str
    number: int
    outcome: str
    text: str = ""


# ---------------------------------------------------------------------------------------------------------
# Files to begin with, and what is done to them


def corpus(kind: str) -> list[tuple[str, bytes]]:
    """Sound files of a kind, by name, so small that reading one takes milliseconds."""
    if kind == "toml":
        jobs = sorted((REPOSITORY / "jobs").glob("*.toml"))
        return [(job.name, _small(job.read_bytes())) for job in jobs] + [("everything.toml", EVERYTHING.encode())]
    if kind == "swc":
        meshes = [REPOSITORY / "meshes" / f"{name}.swc" for name in ("y_branch", "ball_and_stick", "seed_cable")]
        made = [(f"made{number}.swc", random_cell(random.Random(number)).encode()) for number in range(6)]
        return [(mesh.name, mesh.read_bytes()) for mesh in meshes] + made
    tables = {path.name: path.read_bytes() for path in sorted((REPOSITORY / "jobs").glob("*.csv"))}
    cut = {name: b"\n".join(text.splitlines()[:40]) + b"\n" for name, text in tables.items()}
    field = "x,y,z,Ex,Ey,Ez\n" + "".join(
        f"{x},{y},{z},{x * 0.5},{y - 1},{z + 2}\n" for x in (0, 100) for y in (0, 100) for z in (0, 100)
    )
    values = [math.cos(i * 0.3) * math.exp(-i * 0.1) for i in range(20)]
    wave = "time_ms,value\n" + "".join(f"{i * 0.02:.2f},{value:.5f}\n" for i, value in enumerate(values))
    traces = "t_ms,site,value_uM,noise_uM\n" + "".join(
        f"{i},{site},0.1{i},0.01\n" for i in range(9) for site in ("root", "tip")
    )
    square = "value_uM,x_um,y_um,t_ms,noise_uM\n" + "".join(f"0.{i}1,{i}.5,-0.25,{i},0.02\n" for i in range(9))
    cut |= {"traces.csv": traces.encode(), "square.csv": square.encode()}
    return [*cut.items(), ("field.csv", field.encode()), ("waveform.csv", wave.encode())]


def _small(job: bytes) -> bytes:
    """The same job on a small cell."""
    return job.replace(b"builtin:pyramidal", b"builtin:ball_and_stick").replace(b"apic[0]", b"dend[0]")


EVERYTHING = """\
[morphology]
file = "builtin:y_branch"
units = "um"
merge_below = 1.0

[physics]
preset = "physical-N"

[physics.constants]
D_c = 220.0
c_rest = 0.05

[[synapse]]
site = "tip"
start = 1.0
interval = 2.0
count = 2

[[flux]]
site = "root"
value = 0.1
start = "0.5 ms"
duration = 1.0

[[probe]]
name = "middle"
site = "dend[1](0.5)"

[[probe]]
site = "xyz:0,0,0"

[pieces]
max_length = 10.0

[run]
duration = 5.0
output_interval = 0.5
"""


def mutated(kind: str, number: int, seed: int) -> tuple[str, bytes]:
    """Name and text of a case."""
    chance = random.Random(f"{seed}/{kind}/{number}")
    sound = corpus(kind)
    name, text = chance.choice(sound)
    other = chance.choice(sound)[1]
    for _ in range(chance.choice((1, 1, 1, 1, 2, 4))):
        text = chance.choice(MUTATIONS)(text, other, chance)
    return name, text


def _another_number(text: bytes, other: bytes, chance: random.Random) -> bytes:
    found = list(_NUMBER.finditer(text))
    if not found:
        return text
    at = chance.choice(found)
    value = chance.choice(NUMBERS).encode()
    if chance.random() < 0.3:
        with contextlib.suppress(ValueError, OverflowError):
            value = repr(float(at[0]) * 10.0 ** chance.choice((-300, -40, -9, -3, 3, 9, 40, 300))).encode()
    return text[: at.start()] + value + text[at.end() :]


def _column(text: bytes, other: bytes, chance: random.Random) -> bytes:
    """One value in the same place of every line: all radii zero, all ids alike."""
    value, place = chance.choice(NUMBERS[:12]).encode(), chance.randrange(7)
    gap = b"," if b"," in text.split(b"\n", 1)[0] else b" "
    lines = [line.split(gap) for line in text.split(b"\n")]
    return b"\n".join(gap.join(value if i == place else cell for i, cell in enumerate(cells)) for cells in lines)


def _lines(text: bytes, other: bytes, chance: random.Random) -> bytes:
    """Lost, doubled, exchanged, or brought in from another file."""
    lines = text.split(b"\n")
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    change = chance.randrange(5)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(to, lines[at])
    elif change == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif change == 3:
        lines.insert(to, chance.choice(other.split(b"\n")))
    else:
        chance.shuffle(lines)
    return b"\n".join(lines)


def _bytes(text: bytes, other: bytes, chance: random.Random) -> bytes:
    """A letter lost, added or changed, or the end of the file lost."""
    if not text:
        return chance.choice(LETTERS).encode()
    at = chance.randrange(len(text))
    change = chance.randrange(4)
    if change == 0:
        return text[:at] + text[at + 1 :]
    if change == 1:
        return text[:at] + chance.choice(LETTERS).encode() + text[at:]
    if change == 2:
        return text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]
    return text[:at]


def _words(text: bytes, other: bytes, chance: random.Random) -> bytes:
    """A word, a name or a quoted text becomes another that stands in a file of the kind."""
    found = list(re.finditer(rb"[A-Za-z_]+", text))
    words = re.findall(rb"[A-Za-z_]+|\"[^\"\n]*\"", other)
    if not found or not words:
        return text
    at = chance.choice(found)
    return text[: at.start()] + chance.choice(words) + text[at.end() :]


def _whole(text: bytes, other: bytes, chance: random.Random) -> bytes:
    """Another encoding, other line ends, two files in one, or far too much of something."""
    change = chance.randrange(8)
    if change == 0:
        return text.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-8-sig", "utf-32")))
    if change == 1:
        return text.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n")))
    if change == 2:
        return text + other
    if change == 3:
        return text + b"\nx = " + b"[" * 3000
    if change == 4:
        return text.replace(b",", b";") if b"," in text else text.replace(b" ", b"\t")
    if change == 5:
        return text.replace(b".", b",")
    if change == 6:
        return b""
    return text + b"#" + b"x" * 100_000


MUTATIONS: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    _another_number, _another_number, _another_number, _another_number, _column, _lines, _lines, _bytes, _bytes, _words,
    _words, _whole,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# What must hold of whatever is taken


def require_sound(name: str, values: Any, *, positive: bool = False) -> None:
    """Raises AssertionError for values that are nan or infinite, or are to be positive and are not."""
    numbers = np.asarray(values, float)
    if not np.isfinite(numbers).all():
        raise AssertionError(f"nonsense taken: {name} is not finite")
    if positive and not (numbers > 0.0).all():
        raise AssertionError(f"nonsense taken: {name} is not above 0 ({numbers.min():g})")


def check_swc(path: Path, chance: random.Random) -> None:
    """Reads a cell in one of the ways, as a run would, and measures it."""
    from hpcpinn.domain.pieces import PieceRule, cut_into_pieces
    from hpcpinn.morphology import cable_from_swc, check_units, parse_site, read_swc
    from hpcpinn.morphology.compartments import compartments, d_lambda_counts

    tree = read_swc(path, units=chance.choice(("auto", "auto", "um", "8nm")))
    check_units(tree)
    soma = chance.choice(("neuron", "neuron", "neuron", "arbor", "literal"))  # Arbor reads few of these somata
    for merge_below in (None, 1.0):
        cable, _ = cable_from_swc(tree, soma=soma, merge_below=merge_below)
        check_cable(cable)
    pieces = cut_into_pieces(cable, [(parse_site("tip", cable), 2.0)], [], PieceRule())
    check_cable(pieces.cable)
    require_sound("the sum of lengths", abs(pieces.cable.length.sum() / cable.length.sum() - 1.0) < 1e-9, positive=True)
    cells = compartments(cable, d_lambda_counts(cable, 100.0, 150.0, 1.0))
    for field in fields(cells):
        value = getattr(cells, field.name)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            require_sound(f"{field.name} of compartments", value)


def check_cable(cable: Any) -> None:
    """Lengths, radii, areas and volumes of a cable."""
    for name, values in _figures(cable).items():
        require_sound(f"{name} of a frustum", values, positive=True)
    require_sound("a place", cable.xyz)


def check_toml(path: Path, chance: random.Random) -> None:
    """Reads a run description and builds of a run what takes no solve."""
    from hpcpinn.systems.jobs import load_order
    from hpcpinn.systems.square.config import SquareConfig

    order = load_order(path)
    config, origin = order.described, order.origin
    with origin.naming_places():
        if isinstance(config, SquareConfig):
            _check_square(config)
        else:
            _check_run(config)


def _check_run(config: Any) -> None:
    from hpcpinn.systems.cell.build import constants, geometry, membrane, morphology, stimulus, voltage

    cable = morphology.load_cable(config.morphology)
    check_cable(cable)
    source = None if config.voltage.file is None else voltage.voltage_of_file(config)
    known = constants.constants_of(config, constants.first_of(source))
    _check_constants(known)
    patches, ends = geometry.places_of_sources(config, cable, known)
    pieces = geometry.cut(config.pieces, cable, patches, ends)
    check_cable(pieces.cable)
    geometry.probe_sites(config, pieces.cable)
    if config.solves_voltage:
        cells = membrane.compartments_of(config, cable, membrane.membrane_of(config))
        stimulus.clamps_of(config)
        membrane.clamped_compartments(config, cells, cable)
        require_sound("a pulse's time", stimulus.switching_times(config))


def _check_constants(constants: Any) -> None:
    for field in fields(constants):
        value = getattr(constants, field.name)
        if isinstance(value, int | float) and not (field.name == "release_duration" and value == math.inf):
            require_sound(f"the constant {field.name}", value)


def _check_square(config: Any) -> None:
    from hpcpinn.systems.square import build as square_build

    require_sound("the duration", square_build.duration_of(config), positive=True)
    constants = square_build.constants_of(config)
    _check_constants(constants)


def check_csv(path: Path, chance: random.Random) -> None:
    """Reads a table as what it is, or now and then as another kind."""
    from hpcpinn.io.observations import AT_SITES, Observations, read_observations
    from hpcpinn.physics.stimulation.field import read_field
    from hpcpinn.physics.stimulation.waveforms import read_waveform
    from hpcpinn.physics.voltage import read_voltage
    from hpcpinn.systems.cell.build.inverse import check_usable

    readers: dict[str, Callable[[Path], Any]] = {
        "voltage_train.csv": read_voltage,
        "neuron_pair.csv": read_voltage,
        "traces.csv": partial(read_observations, columns=AT_SITES),
        "square.csv": read_observations,
        "field.csv": read_field,
        "waveform.csv": read_waveform,
    }
    named = path.name.removeprefix("case_")
    name = named if named in readers and chance.random() < 0.9 else chance.choice(list(readers))
    found = readers[name](path)
    if name == "traces.csv":
        check_usable(found, 50.0, 1, str(path))
    if isinstance(found, Observations):
        for column in found.columns:
            if not isinstance(found[column], tuple):
                require_sound(f"{column} of the table", found[column])
    for field in fields(found) if is_dataclass(found) else ():
        value = getattr(found, field.name)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            require_sound(f"{field.name} of the table", value)
    if name == "field.csv":
        require_sound("the field", found(np.array([[50.0, 50.0, 50.0], [1.0, 2.0, 3.0]])))


CHECKS: dict[str, Callable[[Path, random.Random], None]] = {"toml": check_toml, "swc": check_swc, "csv": check_csv}


def examine(kind: str, number: int, seed: int, folder: Path) -> Verdict:
    """Reads one case in this process."""
    from hpcpinn.errors import HpcpinnError

    name, text = mutated(kind, number, seed)
    path = folder / f"case_{name}"
    path.write_bytes(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CHECKS[kind](path, random.Random(f"{seed}/{kind}/{number}/reading"))
    except HpcpinnError as error:
        message = str(error).replace(str(folder), "")
        if len(message) > LONGEST_LINE:
            return Verdict(kind, number, "fault", f"a message of {len(message)} characters: {message[:150]}...")
        if not message.strip():
            return Verdict(kind, number, "fault", "an empty message")
        return Verdict(kind, number, "refused", message)
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "hpcpinn" in frame.filename]
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return Verdict(kind, number, "fault", f"{type(error).__name__}: {str(error)[:200]}{place}")
    return Verdict(kind, number, "taken")


# ---------------------------------------------------------------------------------------------------------
# Batches, in processes that can be stopped


def _work(pipe: Connection, kind: str, numbers: list[int], seed: int, folder: Path) -> None:
    from hpcpinn.parallel.device import prepare

    prepare()
    for beside in BESIDE:
        shutil.copy(REPOSITORY / "jobs" / beside, folder)
    pipe.send(None)  # libraries are loaded: from here on the clock runs
    for number in numbers:
        pipe.send(examine(kind, number, seed, folder))


def examine_all(kind: str, numbers: list[int], seed: int, limit: float) -> Iterator[Verdict]:
    """Reads cases in another process; one that does not end in time is a fault, and the next go on.

    Args:
        kind: What kind of file.
        numbers: Which cases.
        seed: Of all of them.
        limit: Seconds for one case.
    """
    waiting = list(numbers)
    while waiting:
        with TemporaryDirectory() as folder:
            yield from _batch(kind, waiting, seed, limit, Path(folder))


def _batch(kind: str, waiting: list[int], seed: int, limit: float, folder: Path) -> Iterator[Verdict]:
    """Reads the first cases of those that wait, and takes what was read off the list."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, kind, waiting[:BATCH], seed, folder))
    process.start()
    there.close()
    patience = _PATIENCE
    try:
        for _ in range(len(waiting[:BATCH]) + 1):
            if not here.poll(patience):
                yield Verdict(kind, waiting.pop(0), "fault", f"hangs: no end within {patience:g} s")
                return
            verdict = here.recv()
            patience = limit
            if verdict is not None:
                waiting.pop(0)
                yield verdict
    except EOFError:
        process.join(5.0)
        yield Verdict(kind, waiting.pop(0), "fault", f"ends the process (exit code {process.exitcode})")
    finally:
        process.kill()
        process.join()
        here.close()


# ---------------------------------------------------------------------------------------------------------
# Other descriptions of one cell


def random_cell(chance: random.Random, points: int = 14) -> str:
    """An SWC file of a soma of one point with some neurites; every number is exact in binary."""
    rows = [(1, 1, (0.0, 0.0, 0.0), chance.randint(20, 60) / 8.0, -1)]
    for number in range(2, points + 1):
        parent = 1 if number < 4 else chance.randint(2, number - 1)
        _, kind, place, *_ = rows[parent - 1]
        kind = chance.choice((2, 3, 4)) if parent == 1 else kind
        step = [chance.choice((-1, 1)) * chance.randint(80, 900) / 8.0 for _ in range(3)]
        place = tuple(a + b for a, b in zip(place, step, strict=True))
        rows.append((number, kind, place, chance.randint(2, 16) / 8.0, parent))
    return "".join(f"{n} {k} {p[0]!r} {p[1]!r} {p[2]!r} {r!r} {q}\n" for n, k, p, r, q in rows)


def _rows(text: str) -> list[list[float]]:
    return [[float(cell) for cell in line.split()] for line in text.splitlines()]


def _text(rows: list[list[float]]) -> str:
    return "".join(f"{r[0]:.0f} {r[1]:.0f} {r[2]!r} {r[3]!r} {r[4]!r} {r[5]!r} {r[6]:.0f}\n" for r in rows)


def _cable(folder: Path, text: str, soma: str, units: str = "um", merge_below: float | None = None) -> Any:
    from hpcpinn.morphology import cable_from_swc, read_swc

    path = folder / "cell.swc"
    path.write_text(text)
    return cable_from_swc(read_swc(path, units=units), soma=soma, merge_below=merge_below)[0]


def _figures(cable: Any) -> dict[str, np.ndarray]:
    return {"length": cable.length, "area": cable.membrane, "volume": cable.volume, "radius": cable.radius}


def _same(what: str, one: Any, other: Any, tolerance: float = 0.0) -> None:
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or not np.allclose(a, b, rtol=tolerance, atol=0.0):
        worst = np.abs(a / b - 1.0).max() if a.shape == b.shape else f"{a.shape} and {b.shape}"
        raise AssertionError(f"{what}: not the same ({worst})")


def check_invariances(number: int, seed: int, folder: Path) -> None:
    """One random cell, described in other ways.

    Raises:
        AssertionError: It became another cell.
    """
    chance = random.Random(f"{seed}/invariances/{number}")
    text = random_cell(chance, chance.randint(4, 30))
    soma = chance.choice(("neuron", "arbor", "literal"))
    if soma == "arbor":
        text = text.replace("1 1 ", "1 3 ", 1)  # Arbor reads no soma of one point
    plain = _cable(folder, text, soma)
    _check_motion(chance, folder, text, soma, plain)
    _check_order(chance, folder, text, "literal" if soma == "neuron" else soma)  # NEURON goes by point numbers
    _check_units(chance, folder, text, soma, plain)
    _check_probes(chance, plain)


def _check_motion(chance: random.Random, folder: Path, text: str, soma: str, plain: Any) -> None:
    """Rotated and translated, all lengths stay; with soma = "neuron" as well."""
    turn, _ = np.linalg.qr(np.random.default_rng(chance.randrange(2**32)).normal(size=(3, 3)))
    shift = np.array([chance.uniform(-1e3, 1e3) for _ in range(3)])
    rows = _rows(text)
    for row in rows:
        row[2:5] = (np.array(row[2:5]) @ turn + shift).tolist()
    moved = _cable(folder, _text(rows), soma)
    for name, value in _figures(plain).items():
        _same(f"{name} of the moved cell ({soma})", _figures(moved)[name], value, 1e-9)


def _check_order(chance: random.Random, folder: Path, text: str, soma: str) -> None:
    """Lines in another order, and other ids with gaps: the same frusta, to the bit."""
    rows = _rows(text)
    numbers = chance.sample(range(1, 10 * len(rows)), len(rows))
    ids = {row[0]: float(number) for row, number in zip(rows, numbers, strict=True)}
    for row in rows:
        row[0], row[6] = ids[row[0]], ids.get(row[6], -1.0)
    chance.shuffle(rows)
    frusta = []
    for one in (text, _text(rows)):
        cable = _cable(folder, one, soma)
        ends = np.concatenate([cable.xyz.reshape(-1, 6), cable.radius, cable.kind[:, None]], axis=1)
        frusta.append(ends[np.lexsort(ends.T)])
    _same(f"frusta with other ids ({soma})", frusta[1], frusta[0])


def _check_units(chance: random.Random, folder: Path, text: str, soma: str, plain: Any) -> None:
    """Numbers twice as large in units half as large: the same cell to the bit; and a cell twice as large."""
    power = chance.choice((-2, -1, 1, 2))
    scaled = [[*row[:2], *(value * 2.0**power for value in row[2:6]), row[6]] for row in _rows(text)]
    again = _cable(folder, _text(scaled), soma, units=f"{2.0**-power!r}um")
    for name, value in _figures(plain).items():
        _same(f"{name} in other units ({soma})", _figures(again)[name], value)
    larger = _figures(_cable(folder, _text(scaled), soma))
    for name, degree in (("length", 1), ("radius", 1), ("area", 2), ("volume", 3)):
        expected = _figures(plain)[name] * 2.0 ** (power * degree)
        _same(f"{name} of the scaled cell ({soma})", larger[name], expected, 1e-14)


def _check_probes(chance: random.Random, cable: Any) -> None:
    """Weights of sites in another order are the same weights in that order, to the bit."""
    from hpcpinn.morphology import parse_site
    from hpcpinn.morphology.sites import positions

    names = [f"{section.name}({chance.random():.3f})" for section in chance.choices(cable.sections, k=6)]
    order = chance.sample(range(6), 6)
    sites = [parse_site(name, cable) for name in names]
    parts = [np.asarray(part) for part in positions(sites)]
    again = [np.asarray(part) for part in positions([sites[i] for i in order])]
    for one, other in zip(parts, again, strict=True):
        _same("places of probes in another order", other, one[order])


def invariances(count: int, seed: int) -> Iterator[Verdict]:
    """Cells described in other ways, in this process."""
    with TemporaryDirectory() as folder:
        for number in range(count):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    check_invariances(number, seed, Path(folder))
            except Exception as error:
                yield Verdict("invariances", number, "fault", f"{type(error).__name__}: {error}")
            else:
                yield Verdict("invariances", number, "taken")


# ---------------------------------------------------------------------------------------------------------


def cases(kinds: list[str], count: int, only: int | None) -> dict[str, list[int]]:
    """Numbers of cases by kind: one, or so many in all."""
    if only is not None:
        return {kind: [only] for kind in kinds}
    share = -(-count // len(kinds))
    return {kind: list(range(share)) for kind in kinds}


def main() -> int:
    """The command line; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=KINDS, action="append", help="kind of file; all if left out")
    parser.add_argument("--count", type=int, default=10_000, help="files in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no other batch after so many")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds that one file may take")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this case alone")
    parser.add_argument("--keep", type=Path, default=REPOSITORY / "results" / "fuzz", help="where files of faults go")
    parser.add_argument("--invariances", action="store_true", help="other descriptions of random cells instead")
    given = parser.parse_args()
    kinds = given.what or list(KINDS)
    began, told = time.monotonic(), Counter[tuple[str, str]]()
    if given.invariances:
        verdicts = invariances(given.count, given.seed)
    else:
        verdicts = (
            verdict
            for kind, numbers in cases(kinds, given.count, given.only).items()
            for first in range(0, len(numbers), BATCH)
            if time.monotonic() - began < 60.0 * given.minutes
            for verdict in examine_all(kind, numbers[first : first + BATCH], given.seed, given.limit)
        )
    for verdict in verdicts:
        told[verdict.kind, verdict.outcome] += 1
        if given.only is not None and verdict.outcome != "fault":
            print(f"{verdict.kind} {verdict.number}: {verdict.outcome} {verdict.text}")
        if verdict.outcome == "fault" or (given.only is not None and verdict.kind in KINDS):
            report(verdict, given.seed, given.keep)
    for kind in dict.fromkeys(kind for kind, _ in told):
        print(kind, *(f"{outcome} {told[kind, outcome]}" for outcome in ("taken", "refused", "fault")), sep="  ")
    return int(any(outcome == "fault" for _, outcome in told))


def report(verdict: Verdict, seed: int, keep: Path) -> None:
    """Prints how to see a fault again, and writes its file."""
    if verdict.kind not in KINDS:
        print(f"FAULT {verdict.kind} {verdict.number}: {verdict.text}  (--invariances --seed {seed})", flush=True)
        return
    keep.mkdir(parents=True, exist_ok=True)
    name, text = mutated(verdict.kind, verdict.number, seed)
    path = keep / f"{verdict.kind}-{seed}-{verdict.number}-{name}"
    path.write_bytes(text)
    if verdict.outcome == "fault":
        print(
            f"FAULT {verdict.kind} {verdict.number}: {verdict.text}\n"
            f"  {path}; again: scripts/fuzz.py --what {verdict.kind} --seed {seed} --only {verdict.number}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
