"""Reads the field of an image: NIfTI of vectors (`.nii`, `.nii.gz`), as SimNIBS's msh2nii writes it, through nibabel.

Vectors are along the head's axes, as everywhere in SimNIBS; the affine says where a voxel's centre lies, mm. Between
centres the field is linear along each axis. Where the image holds zeros or no numbers, the field is not known: what
lies outside of the mesh is 0 there.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.spatial import KDTree

from hpcpinn.errors import InputError, lacking
from hpcpinn.files import check_regular

_MM_PER_UNIT = {"mm": 1.0, "unknown": 1.0, "meter": 1e3, "micron": 1e-3}
"""Units of length that a header may name, in nibabel's words."""
_ON_A_CENTRE = 1e-6
"""Share of a voxel below which a place is that of its centre."""
_ON_THE_EDGE = 1e-4
"""Share of a voxel by which a place may be beyond the last centre: affines are of 32 bit."""
_AROUND = 20.0
"""mm around a cell in which the nearest voxel is looked for before the whole image is."""


@dataclass(frozen=True)
class VoxelField:
    """A field at the centres of voxels.

    Attributes:
        source: The file, for messages.
        vectors: Vectors of the voxels, V/m.
        affine: Map from numbers of voxels to mm.
    """

    source: str
    vectors: Float[ndarray, "x y z 3"]
    affine: Float[ndarray, "4 4"]

    region: str = "the voxels that hold vectors"

    @cached_property
    def _is_known(self) -> Bool[ndarray, "x y z"]:
        return np.asarray(np.isfinite(self.vectors).all(axis=-1) & np.any(self.vectors != 0.0, axis=-1))

    @cached_property
    def bounds(self) -> Float[ndarray, "2 3"]:
        """The lowest and the highest coordinates of voxels that hold vectors, mm."""
        known = self._is_known
        spans = [np.flatnonzero(known.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
        corners = self._centres(np.array(list(product(*spans)), float))
        return np.stack([corners.min(axis=0), corners.max(axis=0)])

    def _centres(self, voxels: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        return np.asarray(voxels @ self.affine[:3, :3].T + self.affine[:3, 3])

    def at(self, places: Float[ndarray, "n 3"]) -> Float[ndarray, "n 3"]:
        """The vectors at places, V/m; not a number where one that counts is not known."""
        exact = np.linalg.solve(self.affine[:3, :3], (places - self.affine[:3, 3]).T).T
        whole = np.round(exact)
        exact = np.where(np.abs(exact - whole) < _ON_A_CENTRE, whole, exact)
        most = np.array(self.vectors.shape[:3]) - 1
        inside = np.all((exact >= -_ON_THE_EDGE) & (exact <= most + _ON_THE_EDGE), axis=1)
        exact = exact.clip(0.0, most)
        first = np.floor(np.where(inside[:, None], exact, 0.0)).astype(int).clip(0, most - 1)
        share = np.where(inside[:, None], exact - first, 0.0)
        found = np.zeros((len(places), 3))
        for corner in product((0, 1), repeat=3):
            weight = np.prod(np.where(corner, share, 1.0 - share), axis=1)
            i, j, k = (first + corner).T
            inside &= self._is_known[i, j, k] | (weight == 0.0)
            found += np.where(weight[:, None] == 0.0, 0.0, weight[:, None] * self.vectors[i, j, k])
        return np.where(inside[:, None], found, np.nan)

    def nearest(self, places: Float[ndarray, "n 3"]) -> tuple[Float[ndarray, "n 3"], Float[ndarray, " n"]]:
        """The vectors of the nearest voxels that hold some, and how far their centres are, mm."""
        voxels = np.argwhere(self._is_known)
        centres = self._centres(voxels.astype(float))
        near = np.all((centres > places.min(axis=0) - _AROUND) & (centres < places.max(axis=0) + _AROUND), axis=1)
        if near.any():
            voxels, centres = voxels[near], centres[near]
        away, which = KDTree(centres).query(places)
        return self.vectors[tuple(voxels[which].T)].astype(float), np.asarray(away, float)


def read_voxel_field(path: str | Path) -> VoxelField:
    """The field of an image.

    Raises:
        InputError: No image, a damaged one, one of magnitudes, without vectors, or that does not say where it lies;
            nibabel is not installed. One line with the place.
    """
    image = _image(Path(path))
    vectors = _vectors(path, image)
    header = image.header
    try:
        unit = str(header.get_xyzt_units()[0]) if hasattr(header, "get_xyzt_units") else "unknown"
    except KeyError as error:
        raise _damaged(path, error) from None
    if hasattr(header, "get_sform") and not int(header["sform_code"]) and not int(header["qform_code"]):
        raise InputError(
            f"{path}: does not say where it lies (no sform, no qform); write it with an affine, as msh2nii"
        )
    affine = np.asarray(image.affine, float).copy()
    affine[:3] *= _MM_PER_UNIT.get(unit, 1.0)
    if not np.all(np.isfinite(affine)) or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InputError(f"{path}: its affine maps voxels onto no volume; write it again")
    field = VoxelField(str(path), vectors, affine)
    if not field._is_known.any():
        raise InputError(f"{path}: no voxel holds a vector: all are 0 or not finite")
    return field


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what nibabel logs of headers that it mends: what cannot be used is said by us."""
    logger = logging.getLogger("nibabel.global")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _image(path: Path) -> Any:
    try:
        import nibabel
    except ImportError:
        raise lacking(f"reading {path.name}", ["nibabel"], "tms") from None
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give an image of vectors (.nii, .nii.gz)")
    check_regular(path)
    if not path.is_file():
        raise InputError(f"{path}: no such field file; give an image of vectors (.nii, .nii.gz)")
    try:
        with _quiet():
            return nibabel.load(str(path))
    except PermissionError as error:
        raise InputError(f"{path}: {error.strerror}; make it readable") from None
    except Exception as error:  # whatever its parsers run into
        raise _damaged(path, error) from None


def _vectors(path: str | Path, image: Any) -> Float[ndarray, "x y z 3"]:
    shape = tuple(int(size) for size in image.shape)
    if len(shape) == 3:
        raise InputError(
            f"{path}: one number per voxel ({_by(shape)}): a magnitude, and a direction is needed; msh2nii writes the "
            "vectors of a simulation with fields = 'eE' to …_E.nii.gz"
        )
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 2:
        raise InputError(
            f"{path}: {_by(image.shape)}, and vectors are x × y × z × 3, two voxels or more along each axis"
        )
    try:
        return np.asarray(image.dataobj, float).reshape(shape)
    except MemoryError:
        raise InputError(f"{path}: does not fit into memory, or is damaged; crop it to the cortex") from None
    except Exception as error:  # a file that ends too early is met here
        raise _damaged(path, error) from None


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _damaged(path: str | Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputError(f"{path}: cannot be read as NIfTI ({reason}); it is damaged or cut short, copy or write it again")
