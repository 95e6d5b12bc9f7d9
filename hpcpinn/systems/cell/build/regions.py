"""From a run description to the membrane of every part of a cell: which region it is, and what that is made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from hpcpinn.config.values import InputFile
from hpcpinn.errors import InputError, concerning, warn
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.morphology.axon import REGIONS as GROWN_REGIONS
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.morphology.sites import Site
from hpcpinn.physics.channel_sets import ChannelSet, with_constants
from hpcpinn.physics.membranes import (
    SEPARATOR,
    MembraneSet,
    Region,
    bundled_membrane,
    is_known,
    membrane_set,
    read_membrane,
)
from hpcpinn.systems.cell.config.stimulation import ChannelsConfig, RegionConfig
from hpcpinn.wording import counted

STANDARD: Mapping[int, str] = {1: "soma", 2: "axon", 3: "basal", 4: "apical"}
"""Keys of [channels], and regions, by SWC type."""
_MYELINATED = ("myelin", "node")
"""Regions that a membrane of a myelinated axon has."""


@dataclass(frozen=True)
class Places:
    """Parts of a cell: its frusta, or its compartments.

    Attributes:
        kind: SWC type of every part.
        section: Number of the section of every part.
        distance: Way from the soma to the middle of every part, µm.
    """

    kind: Int[ndarray, " n"]
    section: Int[ndarray, " n"]
    distance: Float[ndarray, " n"]


def places_of_frusta(cable: Cable) -> Places:
    """The frusta of a cable as places."""
    return Places(cable.kind, cable.section, cable.path.mean(axis=1))


def places_of_compartments(cells: Compartments) -> Places:
    """Compartments as places."""
    path = np.zeros(cells.cable.n_nodes)
    path[cells.cable.node[:, 1]] = cells.cable.path[:, 1]
    return Places(cells.kind, cells.section, path[cells.node[: cells.count]])


@dataclass(frozen=True)
class Coating:
    """The membrane of every part of a cell.

    Attributes:
        region: Number of the region of every part, in `regions`.
        regions: Regions that the cell has.
        distance: Way from the soma to every part, µm.
    """

    region: Int[ndarray, " n"]
    regions: tuple[Region, ...]
    distance: Float[ndarray, " n"]

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the channel set of every part."""
        own = [region.channels.name for region in self.regions]
        return tuple(own[number] for number in self.region)

    def capacitance(self, given: float | None, default: float) -> float | Float[ndarray, " n"]:
        """C_m of every part, µF/cm²; one number where it is alike everywhere.

        Args:
            given: What goes before the regions' own; None: nothing.
            default: C_m of regions that have none of their own.
        """
        return self._constant([region.C_m for region in self.regions], given, default)

    def resistivity(self, given: float | None, default: float) -> float | Float[ndarray, " n"]:
        """R_i of every part, Ω·cm, as `capacitance`."""
        return self._constant([region.R_i for region in self.regions], given, default)

    def _constant(
        self, own: Sequence[float | None], given: float | None, default: float
    ) -> float | Float[ndarray, " n"]:
        values = np.array([default if value is None else value for value in own])
        if given is not None or np.all(values == values[0]):
            return float(values[0]) if given is None else given
        found: Float[ndarray, " n"] = values[self.region]
        return found

    @property
    def profiles(self) -> dict[str, Float[ndarray, " n"]]:
        """Factors of the conductances that vary along the cell, by ``set.current``; 1 in other regions.

        Raises:
            InputError: One is negative or no number somewhere.
        """
        found = {}
        for number, region in enumerate(self.regions):
            constants = {one.name: float(one.value) for one in region.channels.constants}
            for current in region.profiles:
                factor = np.ones(len(self.region))
                here = self.region == number
                factor[here] = region.profile(current, self.distance[here], constants)
                found[f"{region.channels.name}.{current}"] = factor
        return found


class Library:
    """The membranes that a run description may name, read when they are asked for.

    Attributes:
        channels: The table [channels].
    """

    def __init__(self, channels: ChannelsConfig, changes: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
        """Takes note of them.

        Args:
            channels: The table [channels].
            changes: Constants that differ, by set, current and name; they go before the table's.
        """
        self.channels = channels
        self._changes = changes
        self._read: dict[str, MembraneSet] = {}

    def membrane(self, name: str) -> MembraneSet:
        """A membrane by its name, or by its file where it is `channels.set`.

        Raises:
            InputError: There is none, or its file holds a mistake.
        """
        if name not in self._read:
            self._read[name] = self._found(name)
        return self._read[name]

    def _found(self, name: str) -> MembraneSet:
        if name in self.channels.declared:
            return membrane_set(name, self.channels.declared[name])
        if not InputFile(or_name=True).is_a_name(name):
            return membrane_set(Path(name).stem, read_membrane(Path(name)))
        if self.channels.declared and not is_known(name):
            raise InputError(
                f"channels {name!r}: no such channel set; declared are {', '.join(self.channels.declared)}, and those "
                "that come with hpcpinn"
            )
        return bundled_membrane(name)

    @property
    def base(self) -> MembraneSet:
        """The membrane of `channels.set`."""
        with concerning("channels", "set"):
            return self.membrane(self.channels.set)

    def region(self, text: str, kind: str = "") -> Region:
        """A region by its name, ``node``, ``passive`` or ``aberra-l23:node``, with the constants that differ.

        Args:
            text: Name of a region of the set, of a membrane, or of both.
            kind: Region to take of a membrane that has regions where `text` names none; empty: it has to.

        Raises:
            InputError: There is no such region or membrane.
        """
        name, _, region = text.partition(SEPARATOR)
        if not region and name in self.base.regions:
            return self._changed(self.base.at(name))
        found = self.base if name == self.base.name else self.membrane(name)
        if not (region or kind or found.whole):
            first = next(iter(found.regions))
            raise InputError(f"channels {name!r} has regions; write one of them, such as {name}{SEPARATOR}{first}")
        return self._changed(found.at(region or kind))

    def of_type(self, kind: str) -> Region:
        """The membrane of one of the standard types, as [channels] says or as the set has it."""
        own = getattr(self.channels, kind)
        with concerning("channels", "set" if own is None else kind):
            return self._changed(self.base.at(kind)) if own is None else self.region(own, kind)

    def _changed(self, region: Region) -> Region:
        changes = self._changes.get(region.channels.name, {})
        return Region(region.name, with_constants(region.channels, changes), region.C_m, region.R_i, region.profiles)

    def of_grown(self, region: str) -> Region:
        """The membrane of a part that a rule has made of the axon.

        Raises:
            InputError: The membrane has no such region, and is not alike everywhere, or it would cover myelin.
        """
        if region in self.base.regions:
            return self._changed(self.base.at(region))
        if region == "myelin" or not self.base.whole:
            raise InputError(
                f"the axon has {region}, and channels.set = {self.channels.set!r} no such region; take one that has, "
                "such as aberra-l23",
                ("axon", "myelinate"),
            )
        return self.of_type("axon")

    def check(self) -> None:
        """Looks at everything that is named, also for parts that a cell does not have.

        Raises:
            InputError: There is no such membrane, region or current.
        """
        given = self.channels
        for kind in STANDARD.values():
            if getattr(given, kind) is not None:
                self.of_type(kind)
        for kind, region in given.types.items():
            with concerning("channels", "types", kind):
                self.region(region)
        with concerning("channels", "other"):
            self.region(given.other)
        with concerning("channels", "constants"):
            for name, currents in self._changes.items():
                membrane, _, region = name.partition(SEPARATOR)
                found = self.base if membrane == self.base.name else self.membrane(membrane)
                with_constants(found.at(region).channels, currents)


def coat(library: Library, cable: Cable, places: Places, where: str = "cell") -> Coating:
    """The membrane of every part of a cell.

    Args:
        library: Membranes, and the table [channels] with what has which.
        cable: The whole cell.
        places: Parts of the cell.
        where: What the cell is called in warnings; empty: none are wanted.

    Raises:
        InputError: A membrane, a region or a place that does not exist; one that no part of the cell has.
    """
    given, numbers = library.channels, np.full(len(places.kind), -1)
    found: list[Region] = []
    for region, rows in _rules(library, cable, places):
        if not np.any(rows):
            continue
        names = [one.channels.name for one in found]
        if region.channels.name not in names:
            found.append(region)
            names.append(region.channels.name)
        numbers[rows] = names.index(region.channels.name)
    assert np.all(numbers >= 0)
    if where:
        for text in sorted(set(given.types) - {str(kind) for kind in np.unique(places.kind)}):
            warn(f"type {text} is nowhere in the cell, so this does nothing", ("channels", "types", text))
        _warn_of_myelin(given, library, cable, places, where)
    used = np.unique(numbers)
    return Coating(np.searchsorted(used, numbers), tuple(found[number] for number in used), places.distance)


def _rules(library: Library, cable: Cable, places: Places) -> Iterator[tuple[Region, Bool[ndarray, " n"]]]:
    """Regions and the parts that they take, the later before the earlier."""
    given, kinds = library.channels, set(np.unique(places.kind).tolist())
    for kind in sorted(kinds):
        rows = places.kind == kind
        if kind in STANDARD:
            yield library.of_type(STANDARD[kind]), rows
        elif kind in GROWN_REGIONS:
            yield library.of_grown(GROWN_REGIONS[kind]), rows
        elif str(kind) in given.types:
            with concerning("channels", "types", str(kind)):
                yield library.region(given.types[str(kind)]), rows
        else:
            with concerning("channels", "other"):
                yield library.region(given.other), rows
    for number, one in enumerate(given.region):
        with concerning("channels", "region", number):
            rows = _chosen(one, cable, places)
            if not np.any(rows):
                raise InputError("no part of the cell is chosen; check types, sections, beyond and distance")
            yield library.region(one.region), rows


def _chosen(one: RegionConfig, cable: Cable, places: Places) -> Bool[ndarray, " n"]:
    """The parts of a cell that a rule speaks of."""
    rows = np.ones(len(places.kind), bool)
    if one.types:
        rows &= np.isin(places.kind, one.types)
    if one.sections:
        names = [section.name for section in cable.sections]
        for name in one.sections:
            if name not in names:
                raise InputError(f"no section {name!r}; hpcpinn inspect lists them")
        rows &= np.isin(places.section, [names.index(name) for name in one.sections])
    if one.beyond is not None:
        rows &= _is_beyond(parse_site(one.beyond, cable), cable, places)
    if one.distance is not None:
        low, high = one.distance
        rows &= (places.distance >= low) & (places.distance <= high)
    return rows


def _is_beyond(site: Site, cable: Cable, places: Places) -> Bool[ndarray, " n"]:
    """Whether a part is farther from the soma than a site, on a way that leads through it."""
    own = int(cable.section[site.frustum])
    below = {own}
    for number, section in enumerate(cable.sections):  # parents come first
        if section.parent in below:
            below.add(number)
    start, end = cable.path[site.frustum]
    at = start + site.fraction * (end - start)
    farther = places.distance >= at
    found: Bool[ndarray, " n"] = np.isin(places.section, sorted(below)) & ((places.section != own) | farther)
    return found


def _warn_of_myelin(given: ChannelsConfig, library: Library, cable: Cable, places: Places, where: str) -> None:
    """Says so where types of a file look like a myelinated axon and nothing says what they are."""
    base, kinds = library.base, np.array([section.kind for section in cable.sections])
    if not all(region in base.regions for region in _MYELINATED):
        return
    ruled = {kind for one in given.region for kind in one.types}
    said = {*STANDARD, *GROWN_REGIONS, *map(int, given.types), *ruled}
    left = [kind for kind in np.unique(kinds) if kind not in said]
    if not left:
        return
    length = np.bincount(cable.section, cable.length, len(kinds))
    shown = ", ".join(
        f"type {kind}: {counted(int(np.sum(kinds == kind)), 'section')} of {np.median(length[kinds == kind]):.3g} um"
        for kind in left
    )
    warn(
        f"{where} has types of its own ({shown}), which have the membrane {given.other!r}; if they are an axon's "
        f'myelin, nodes and ends, say so: types = {{ {left[0]} = "myelin" }}',
        ("channels", "types"),
    )


def sets_of(coating: Coating) -> dict[str, ChannelSet]:
    """Channel sets of a cell by name."""
    return {region.channels.name: region.channels for region in coating.regions}
