"""Results of squares as version 1 wrote them."""

import h5py
import numpy as np

from hpcpinn.io.former import Former
from hpcpinn.io.geometry import Box, Subdomains
from hpcpinn.io.layout import Committed, ResultHeader
from hpcpinn.systems.square.recorded import DOPAMINE, WINDOWS


def former(file: h5py.File) -> Former:
    """What such a result holds."""
    parts = Subdomains(centre=file["pieces/centre"][:], owner=file["pieces/owner"][:])
    header = ResultHeader(
        system="square",
        geometry=Box(x=file["x"][:], y=file["y"][:], subdomains=parts),
        fields=(DOPAMINE,),
        windows=WINDOWS,
        config=file["config"].asstr()[()],
        seed=int(file.attrs["seed"]),
    )
    frames = min(len(file["time"]), len(file[DOPAMINE.name]))
    windows = int(np.min([len(column) for column in file["windows"].values()]))
    return Former(header, header.geometry.owners, Committed(frames=frames, windows=windows))
