"""Membrane voltage that is given: one value, or a table over time and sites.

A table is linear in time between its rows and is carried along the tree from its sites to
every position by weights that the morphology knows (`hpcpinn.morphology.sites.tree_weights`).
Files:

- CSV: a header ``time_ms,soma,apic[12](0.5),"xyz:1,2,3"`` (a site with commas is quoted), then one
  row per time with voltages in mV. Blank lines and lines starting with # are skipped.
- HDF5: ``/time`` (T,) in ms, ``/voltage`` (T, sites) in mV, ``/sites`` (sites,) strings.

Times in files are user times: ms for the physical presets, dimensionless for `seed`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array

from hpcpinn.errors import InputError, warn
from hpcpinn.files import check_regular
from hpcpinn.physics.csv_rows import UNREADABLE, miscounted, number, rows_of, unreadable
from hpcpinn.wording import shortened

Site = TypeVar("Site")

_TIME_HEADERS = ("time_ms", "time")

HIGHEST = 500.0
"""mV; no membrane survives more."""
LOWEST = 1.0
"""mV; a whole table below it is in volts."""
LEAST_READ = 0.01
"""Share of a table; a run that reads less has another unit of time."""
LARGEST_JUMP = 1.0
"""mV: a table whose ends differ by more is no period of anything."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VoltageSource:
    """V(t) at some sites.

    Attributes:
        times: Times of the rows, increasing, internal time units; a single row is a voltage that never changes.
        values: Voltage at the sites, mV, (T, sites).
        sites: Names of the columns, in the grammar of `hpcpinn.morphology.sites`; empty for the
            one value that holds everywhere.
        path: File it came from; empty for a constant.
        time_unit: Internal per user time, for messages.
    """

    times: Float[Array, " T"]
    values: Float[Array, "T sites"]
    sites: tuple[str, ...] = field(metadata={"static": True})
    path: str = field(metadata={"static": True})
    time_unit: float = field(metadata={"static": True})

    @property
    def resolution(self) -> float:
        """Shortest step between two rows; infinite where the voltage never changes (host)."""
        return float(np.diff(np.asarray(self.times)).min()) if len(self.times) > 1 else float("inf")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SiteWeights:
    """Linear map from the sites of a table to positions on the tree, m sites per position.

    Attributes:
        site: Columns that a position draws on, padded with 0.
        weight: Weights of these columns, padded with 0; every row sums to one.
    """

    site: Int[Array, "positions m"]
    weight: Float[Array, "positions m"]


def constant_voltage(value: float) -> VoltageSource:
    """`value` mV everywhere and always."""
    return VoltageSource(jax.device_put(np.zeros(1)), jax.device_put(np.array([[value]], float)), (), "", 1.0)


def uniform_weights(positions: int) -> SiteWeights:
    """The weights that go with `constant_voltage`."""
    return SiteWeights(jax.device_put(np.zeros((positions, 1), int)), jax.device_put(np.ones((positions, 1))))


def compact_weights(matrix: Any) -> SiteWeights:
    """Weights as arrays that can be traced and batched.

    Args:
        matrix: Weights of every site at every position, (positions, sites), SciPy sparse or dense.
    """
    rows = csr_array(matrix, copy=True)
    rows.eliminate_zeros()
    rows.sort_indices()
    count = np.diff(rows.indptr)
    site = np.zeros((len(count), max(1, int(count.max(initial=0)))), int)
    weight = np.zeros(site.shape)
    filled = np.arange(site.shape[1]) < count[:, None]
    site[filled], weight[filled] = rows.indices, rows.data
    return SiteWeights(jax.device_put(site), jax.device_put(weight))


def voltage_at(source: VoltageSource, t: Float[Array, "..."], weights: SiteWeights) -> Float[Array, "... positions"]:
    """Voltage at the times t at every position, mV; held constant beyond the first and last row.

    Traceable in t, the table and the weights.
    """
    t = jnp.asarray(t)
    if source.times.shape[0] == 1:
        at_sites = jnp.broadcast_to(source.values[0], (*t.shape, source.values.shape[1]))
    else:
        row = jnp.searchsorted(source.times, t, side="right") - 1
        row = jnp.clip(row, 0, source.times.shape[0] - 2)
        before, after = source.times[row], source.times[row + 1]
        fraction = jnp.clip((t - before) / (after - before), 0.0, 1.0)[..., None]
        at_sites = (1.0 - fraction) * source.values[row] + fraction * source.values[row + 1]
    return jnp.sum(at_sites[..., weights.site] * weights.weight, axis=-1)


def read_voltage(path: str | Path, *, time_unit: float = 1e-3) -> VoltageSource:
    """Reads a table from CSV or HDF5 (told apart by content).

    Args:
        path: The file.
        time_unit: Internal time units per user time unit (`CalciumConstants.time_unit`).

    Raises:
        InputError: Missing or malformed file, times that do not increase, NaN or infinite
            numbers, a site named twice; one line with the place.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a directory; name a CSV or HDF5 file with voltage.file")
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such voltage file; check voltage.file")
    try:
        times, values, sites, place = _read_hdf5(path) if _is_hdf5(path) else _read_csv(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as CSV or HDF5: {unreadable(error)}") from error
    _check_table(path, times, values, sites, place)
    return VoltageSource(jax.device_put(times * time_unit), jax.device_put(values), sites, str(path), time_unit)


def check_covers(source: VoltageSource, duration: float) -> None:
    """Refuses a table that does not span [0, duration] (internal time).

    Raises:
        InputError: It starts too late or ends too early.
    """
    if not source.path:
        return
    first, last = np.asarray(source.times)[[0, -1]] / source.time_unit
    wanted = duration / source.time_unit
    slack = 1e-9 * wanted  # times went through a change of unit
    if first > slack or last < wanted - slack:
        in_s = first <= slack and 0.999 * wanted <= 1e3 * last <= 10.0 * wanted
        advice = "its times look like s: multiply them by 1000" if in_s else "extend the table or change run.duration"
        raise InputError(f"{source.path}: covers times {first:g} to {last:g}, the run needs 0 to {wanted:g}; {advice}")
    if wanted < LEAST_READ * last:
        warn(
            f"{source.path}: covers times to {last:g}, of which the run reads those to {wanted:g}, "
            f"{100.0 * wanted / last:.2g} %; if its times are in µs, divide them by 1000"
        )


def check_period(source: VoltageSource, period: float) -> None:
    """Refuses a table that cannot repeat with a period (internal time).

    Raises:
        InputError: It does not span [0, period], or its voltage jumps where one period ends and
            the next begins.
    """
    first, last = np.asarray(source.times)[[0, -1]] / source.time_unit
    wanted = period / source.time_unit
    slack = 1e-9 * wanted
    if first > slack or last < wanted - slack:
        raise InputError(
            f"{source.path}: covers times {first:g} to {last:g}, a period of {wanted:g} needs 0 to {wanted:g}; "
            "extend the table or shorten voltage.period"
        )
    begin, end = _rows_at(source, 0.0), _rows_at(source, period)
    worst = int(np.argmax(np.abs(end - begin)))
    if abs(end[worst] - begin[worst]) > LARGEST_JUMP:
        raise InputError(
            f"{source.path}: {source.sites[worst]} is {begin[worst]:g} mV at time 0 and {end[worst]:g} mV at "
            f"{wanted:g}, where the next period begins; a jump of {LARGEST_JUMP:g} mV is the most: choose "
            "another voltage.period, or correct the table"
        )


def repeated(source: VoltageSource, period: float, duration: float) -> VoltageSource:
    """The table whose rows within [0, period) repeat until the duration is covered (internal time).

    Where one period ends the voltage is that of the next one's beginning.
    """
    times, values = np.asarray(source.times), np.asarray(source.values)
    inside = (times > 1e-9 * period) & (times < period * (1.0 - 1e-9))
    once = np.append(0.0, times[inside])
    begin = _rows_at(source, 0.0)
    rows = np.vstack([begin, values[inside]])
    count = max(1, int(np.ceil(duration / period * (1.0 - 1e-12))))
    starts = period * np.arange(count)
    return replace(
        source,
        times=jnp.asarray(np.append((starts[:, None] + once).ravel(), period * count)),
        values=jnp.asarray(np.vstack([np.tile(rows, (count, 1)), begin])),
    )


def _rows_at(source: VoltageSource, time: float) -> Float[np.ndarray, " sites"]:
    """The table's voltages at one time (host)."""
    times, values = np.asarray(source.times), np.asarray(source.values)
    return np.array([np.interp(time, times, column) for column in values.T])


def resolve_sites(source: VoltageSource, parse: Callable[[str], Site]) -> list[Site]:
    """The sites of a table as places on a cell, in the order of its columns.

    Args:
        source: A table.
        parse: Reader of a place, such as ``lambda text: parse_site(text, cable)``.

    Raises:
        InputError: `parse` refused a site; the message gains file and column.
    """
    places = []
    for column, name in enumerate(source.sites, start=1):
        try:
            places.append(parse(name))
        except InputError as error:
            raise InputError(f"{source.path}: site {column} of the table: {error}") from error
    return places


_Table = tuple[np.ndarray, np.ndarray, tuple[str, ...], Callable[[int], str]]
"""Times, values, sites, and how to name the place of a row."""


def _is_hdf5(path: Path) -> bool:
    return path.suffix.lower() in (".h5", ".hdf5") or h5py.is_hdf5(path)


def _read_csv(path: Path) -> _Table:
    found = rows_of(path)
    lines, rows = [line for line, _ in found], [cells for _, cells in found]
    if not rows:
        raise InputError(f"{path}: empty; the first line must be time_ms and the site names")
    header, body = rows[0], rows[1:]
    if header[0].lower() not in _TIME_HEADERS:
        raise InputError(
            f"{path}:{lines[0]}: first column is {shortened(header[0])!r}; "
            "it must be time_ms, followed by the site names"
        )
    values = np.empty((len(body), len(header)))
    for index, (line, row) in enumerate(zip(lines[1:], body, strict=True)):
        if len(row) != len(header):
            raise InputError(
                f"{path}:{line}: {len(row)} values where the header names {len(header)} columns; "
                f"quote site names that contain commas{miscounted(row, len(header))}"
            )
        values[index] = [number(f"{path}:{line}: column {n!r}", c) for n, c in zip(header, row, strict=True)]
    return values[:, 0], values[:, 1:], tuple(header[1:]), lambda row: f"{path}:{lines[row + 1]}"


def _read_hdf5(path: Path) -> _Table:
    with h5py.File(path, "r") as file:
        for name in ("time", "voltage", "sites"):
            if not isinstance(file.get(name), h5py.Dataset):
                raise InputError(f"{path}: has no dataset /{name}; a voltage file needs /time, /voltage, /sites")
        try:
            times = np.asarray(file["time"][()], np.float64)
            values = np.asarray(file["voltage"][()], np.float64)
            sites = tuple(str(s) for s in np.atleast_1d(file["sites"].asstr()[()]))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: /time and /voltage must hold numbers and /sites strings ({error})") from error
    if values.shape != (*times.shape, len(sites)) or times.ndim != 1:
        raise InputError(
            f"{path}: /voltage has shape {values.shape}, but /time has shape {times.shape} and "
            f"/sites {len(sites)} names; it must be (times, sites)"
        )
    return times, values, sites, lambda row: f"{path}: row {row} (from 0)"


def _check_table(
    path: Path,
    times: np.ndarray,
    values: np.ndarray,
    sites: tuple[str, ...],
    place: Callable[[int], str],
) -> None:
    """Raises InputError at the first thing that makes the table unusable."""
    if not sites:
        raise InputError(f"{path}: names no site; add at least one column of voltages")
    for column, name in enumerate(sites, start=1):
        if not name:
            raise InputError(f"{path}: site {column} has no name; name every column of voltages")
        if name in sites[: column - 1]:
            raise InputError(f"{path}: site {column}, {name!r}, is named twice; keep one column per site")
    if len(times) < 2:
        raise InputError(f"{path}: {len(times)} rows; give two or more, or use voltage.constant")
    numbers = np.column_stack([times, values])
    broken = np.argwhere(~np.isfinite(numbers))
    if len(broken):
        row, column = broken[0]
        name = ("time", *sites)[column]
        raise InputError(f"{place(row)}: {name} is {numbers[row, column]}; every value must be finite")
    _check_unit(values, sites, place)
    backwards = np.flatnonzero(np.diff(times) <= 0.0)
    if len(backwards):
        row = int(backwards[0]) + 1
        raise InputError(
            f"{place(row)}: time {times[row]:g} does not follow {times[row - 1]:g}; sort the rows, one per time"
        )


def _check_unit(values: np.ndarray, sites: tuple[str, ...], place: Callable[[int], str]) -> None:
    """Raises InputError where voltages are not in mV."""
    row, column = np.unravel_index(np.argmax(np.abs(values)), values.shape)
    largest = values[row, column]
    where = f"{place(int(row))}: {sites[int(column)]} is {largest:g}"
    if abs(largest) > HIGHEST:
        raise InputError(f"{where}: mV are expected, at most {HIGHEST:g} either way; correct it, or the unit")
    if 0.0 < abs(largest) < LOWEST:
        raise InputError(f"{where}, the largest of the table: mV are expected, and this looks like V; multiply by 1000")
