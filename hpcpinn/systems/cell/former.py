"""Results of cells as version 1 wrote them: calcium, calbindin and voltage."""

from dataclasses import replace

import h5py
import numpy as np

from hpcpinn.io.datasets import text_in
from hpcpinn.io.former import Former
from hpcpinn.io.geometry import ProbeSite, Tree
from hpcpinn.io.layout import Committed, MemberEntry, ResultHeader
from hpcpinn.physics.constants import PRESETS
from hpcpinn.systems.cell.recorded import WINDOWS, fields_of


def former(file: h5py.File) -> Former:
    """What such a result holds."""
    places = (text_in(file, "probes/name"), file["probes/piece"][:].tolist(), file["probes/fraction"][:].tolist())
    tree = Tree.read(file)
    header = ResultHeader(
        system="cell",
        geometry=replace(tree, owner=np.zeros_like(tree.owner)),
        fields=fields_of(next(iter(PRESETS.values()))),  # then all had one buffer
        probes=tuple(ProbeSite(*place) for place in zip(*places, strict=True)),
        windows=WINDOWS,
        config=file["config"].asstr()[()],
        seed=int(file.attrs["seed"]),
        dimensionless="units" not in file["time"].attrs,
        members=_members(file),
    )
    return Former(header, tree.owners, Committed(*file["committed"][:].tolist()))


def _members(file: h5py.File) -> tuple[MemberEntry, ...]:
    if "members" not in file:
        return ()
    rows = (text_in(file, "members/name"), file["members/pieces"][:].tolist(), text_in(file, "members/config"))
    return tuple(MemberEntry(*row) for row in zip(*rows, strict=True))
