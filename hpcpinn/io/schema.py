"""What files hold, declared once: every dataset with its axes, unit and a line of what it is.

Writers and readers go through these declarations; scripts/describe_results.py makes docs/results.md from them.
A system declares what it adds: its fields, and columns of windows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hpcpinn.errors import InputError

FORMAT = "hpcpinn-result"
FORMAT_VERSION = 2
"""Of a run, whatever system it is of; 1 knew three fields on trees, and squares apart from them."""

SECONDS = "s"
"""Wall time; all other units are left out of a dimensionless run."""


@dataclass(frozen=True)
class Variable:
    """A quantity that a run records on its geometry.

    Attributes:
        name: Name of the dataset, and of the attribute of a result.
        unit: Unit as files spell it, such as ``uM``; empty for none.
        description: A noun phrase for people.
        least: Value below which it has no meaning, 0 for concentrations; None where there is none.
        rest_share: Share of the value at rest; what moves by less is at rest.
        rest_floor: Movement below which a value is at rest, in the unit.
    """

    name: str
    unit: str = ""
    description: str = ""
    least: float | None = None
    rest_share: float = 1e-2
    rest_floor: float = 0.0

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z][a-z0-9_]*", self.name) or self.name in _TAKEN:
            raise InputError(
                f"field {self.name!r} of a system: is no name for it; use small letters, digits and underscores, and "
                f"none of the words that results use themselves: {', '.join(sorted(set(_TAKEN)))}"
            )


@dataclass(frozen=True)
class Dataset:
    """A dataset of a file, or a column of a table in it.

    Attributes:
        name: Path in the file, such as ``pieces/length``, or the name of the column.
        axes: What its axes count, as documentation says it; empty for a single value.
        what: A line of what it is.
        unit: Unit of the values; empty for none.
        kind: float, int, bool or str.
    """

    name: str
    axes: str
    what: str
    unit: str = ""
    kind: type = float


def column(name: str, what: str, unit: str = "", kind: type = float) -> Dataset:
    """A column of a table with one row per window or sweep."""
    return Dataset(name, "rows", what, unit, kind)


RUN = (
    Dataset("config", "", "run description, JSON", kind=str),
    Dataset("committed", "4", "how many frames, probe samples, windows and sweeps count; rows beyond are left by a job "
            "that died", kind=int),
    Dataset("time", "T", "times of the frames", "ms"),
)  # fmt: skip
"""Of every run; and its fields, each with one row per frame."""

FIELDS = (
    Dataset("fields/name", "fields", "names of the datasets with one row per frame", kind=str),
    Dataset("fields/unit", "fields", "unit; empty for none", kind=str),
    Dataset("fields/description", "fields", "a line of what it is", kind=str),
    Dataset("fields/least", "fields", "value below which it has no meaning; nan for none"),
    Dataset("fields/rest_share", "fields", "share of the value at rest; what moves by less is at rest"),
    Dataset("fields/rest_floor", "fields", "the same as a value, in the unit"),
)

INPUTS = (
    Dataset("inputs/key", "inputs", "key of the description that names a file, such as `voltage.file`", kind=str),
    Dataset("inputs/name", "inputs", "name of the file", kind=str),
    Dataset("inputs/digest", "inputs", "BLAKE2b of its contents, 16 bytes in hexadecimals", kind=str),
    Dataset("inputs/size", "inputs", "bytes of it", kind=int),
    Dataset(
        "inputs/start",
        "inputs",
        "where what is kept of it begins in `/inputs/contents`; −1 where nothing is",
        kind=int,
    ),
    Dataset("inputs/kept", "inputs", "bytes of what is kept: all of it, or what was taken of a large file", kind=int),
)  # fmt: skip
"""Of every run, inference and study: files that it has read."""

CONTENTS = Dataset("inputs/contents", "bytes", "contents of these files, one after the other", kind=int)

TREE = (
    Dataset("sections/name", "sections", "such as `apic[12]`", kind=str),
    Dataset("sections/kind", "sections", "SWC type", kind=int),
    Dataset("sections/parent", "sections", "parent section, −1 for none", kind=int),
    Dataset("pieces/section", "pieces", "section", kind=int),
    Dataset("pieces/kind", "pieces", "SWC type", kind=int),
    Dataset("pieces/node", "pieces × 2", "nodes at its ends; pieces that share one are neighbours", kind=int),
    Dataset("pieces/start", "pieces", "distance of its start along the section", "um"),
    Dataset("pieces/length", "pieces", "axial length of the frustum", "um"),
    Dataset("pieces/radius", "pieces × 2", "radius at its ends", "um"),
    Dataset("pieces/er_radius", "pieces × 2", "radius of the endoplasmic reticulum at its ends", "um"),
    Dataset("pieces/xyz", "pieces × 2 × 3", "positions of its ends", "um"),
    Dataset("pieces/path", "pieces × 2", "distance of its ends from the root along the tree", "um"),
    Dataset("pieces/swc_id", "pieces", "SWC point nearest to its end, −1 for none", kind=int),
    Dataset("pieces/owner", "pieces", "rank that computed it", kind=int),
    Dataset("cells/piece", "N", "piece; the attribute `cells_per_piece` of the file says how many cells each has",
            kind=int),
    Dataset("cells/fraction", "N × 2", "where on the piece the cell starts and ends, 0 to 1"),
    Dataset("cells/volume", "N", "cytosolic volume", "um3"),
    Dataset("cells/path", "N", "distance of its middle from the root along the tree", "um"),
    Dataset("cells/xyz", "N × 3", "position of its middle", "um"),
)  # fmt: skip
"""A branched cell: pieces in the order of the tree, whoever computed them, each cut into cells of equal length."""

AXES = tuple(Dataset(name, name.upper(), f"middles of the cells along {name}", "um") for name in ("x", "y", "z"))
BOX = (
    *AXES,
    Dataset("mask", "(Z ×) Y × X", "true inside the domain, where not all of the box is; fields are nan elsewhere",
            kind=bool),
    Dataset("subdomains/centre", "subdomains × axes", "middle of every subdomain", "um"),
    Dataset("subdomains/owner", "subdomains", "rank that computed it", kind=int),
)  # fmt: skip
"""A box of two or three axes; frames are (Z ×) Y × X."""

LINE = (AXES[0],)
"""A line; frames are X."""

POINTS = (Dataset("points/name", "N", "names of the points", kind=str),)
"""Points without extent, such as neurons; frames are N."""

PROBES = (
    Dataset("probes/name", "probes", "names", kind=str),
    Dataset("probes/piece", "probes", "on a tree: piece", kind=int),
    Dataset("probes/fraction", "probes", "on a tree: position on the piece, 0 at its start, 1 at its end"),
    *(Dataset(f"probes/{name}", "probes", f"elsewhere: {name}", "um") for name in ("x", "y", "z")),
    Dataset("probes/time", "samples", "times of the samples", "ms"),
)
"""Points that are recorded finely in time: every field as `/probes/NAME`, samples × probes."""

MEMBERS = (
    Dataset("members/name", "members", "what tells it from the others", kind=str),
    Dataset("members/first_piece", "members", "its first piece", kind=int),
    Dataset("members/pieces", "members", "how many it has", kind=int),
    Dataset("members/config", "members", "its own run description, JSON", kind=str),
)
"""Of a population only: members one after the other; pieces are points where there is no tree."""

WINDOWS = (
    column("start", "begin of the window", "ms"),
    column("length", "its length", "ms"),
    column("error_estimate", "estimated error, relative to what the system measures it in"),
    column("rejected", "attempts before it that were too long", kind=int),
)
"""Of every accepted window; a system adds its own columns."""

SWEEPS = (
    column("window", "number of the window, from 0", kind=int),
    column("newton", "number of the Newton step, from 0", kind=int),
    column("sweep", "number of the sweep, from 0", kind=int),
    column("jump", "largest relative disagreement at interfaces"),
)
"""Of every Schwarz sweep."""

REFERENCE_FORMAT = "hpcpinn-reference"
REFERENCE_FORMAT_VERSION = 2

SOLUTION = Dataset("solutions/NAME/FIELD", "as the field", "what this solver makes of the field")
"""Of every other solver and field; under ``solutions/NAME/probes`` at the probes."""

SOLUTIONS = (
    Dataset("time", "T", "times of the frames of the result", "ms"),
    Dataset("probes/time", "samples", "times of the samples of its probes", "ms"),
)
"""Beside a result: other solutions of the run, by who found them."""

INFERENCE_FORMAT = "hpcpinn-inference"
INFERENCE_FORMAT_VERSION = 3

SEEN = "as seen"
"""Unit of what observations are of; a file has it from them (`in_unit`)."""


def in_unit(declared: Iterable[Dataset], unit: str) -> tuple[Dataset, ...]:
    """The same with the unit of what is seen."""
    return tuple(replace(entry, unit=unit) if entry.unit == SEEN else entry for entry in declared)


ESTIMATES = (
    Dataset("config", "", "run description, JSON", kind=str),
    Dataset("parameters/name", "constants", "names", kind=str),
    Dataset("parameters/unit", "constants", "units; 1 for none", kind=str),
    Dataset("parameters/start", "constants", "where the iteration began"),
    Dataset("parameters/estimate", "constants", "most probable values"),
    Dataset("parameters/low", "constants", "lower ends of 95 % intervals"),
    Dataset("parameters/high", "constants", "upper ends"),
    Dataset("parameters/sd_log", "constants", "standard deviations of the coordinates, with priors"),
    Dataset("parameters/data_sd_log", "constants", "standard deviations of the coordinates, by the data alone"),
    Dataset("parameters/determined", "constants", "whether the data determine it", kind=bool),
    Dataset("parameters/measure", "constants", "0 where the coordinate is the logarithm; else what the constant is "
            "divided by"),
    Dataset("parameters/truth", "constants", "what synthetic data were made with; nan where nobody knows"),
    Dataset("covariance", "constants × constants", "of the coordinates"),
    Dataset("path", "steps × constants", "the way of the iteration"),
)  # fmt: skip
"""Of an inference: what was inferred of constants."""

COLUMN = Dataset("observations/COLUMN", "observations", "where or when, by the name of the column: x, y, t; site, t")
OBSERVATIONS = (
    Dataset("observations/value", "observations", "what was measured", SEEN),
    Dataset("observations/noise", "observations", "standard deviation of its error", SEEN),
    Dataset("observations/predicted", "observations", "what the most probable model makes of it", SEEN),
)
"""What it was inferred from; every other column is declared by `COLUMN`, with a unit of its own."""

BANDS = (
    Dataset("bands/site", "places", "names of places", kind=str),
    Dataset("bands/time", "times", "times", "ms"),
    Dataset("bands/mean", "places × times", "posterior mean of what is seen", SEEN),
    Dataset("bands/sd", "places × times", "its standard deviation by Laplace's approximation", SEEN),
    Dataset("bands/low", "places × times", "added by draws: 2.5 % of them lie below", SEEN),
    Dataset("bands/high", "places × times", "added by draws: 97.5 % of them lie below", SEEN),
)
"""What is seen at places over time, and how well it is known; where the system says so."""

FIELD_BANDS = (
    Dataset("field_bands/time", "times", "times", "ms"),
    Dataset("field_bands/mean", "times × N", "posterior mean of the field that `/fields` names", SEEN),
    Dataset("field_bands/sd", "times × N", "its standard deviation by Laplace's approximation", SEEN),
)
"""A field on a geometry, which lies in the file as a run's does, and how well it is known; where the system says so."""

CHECK = (
    Dataset("check/name", "statistics", "names", kind=str),
    Dataset("check/each", "statistics", "probability of a statistic as far from the model as that of the data"),
    Dataset("check/probability", "", "probability of data as far from the model as these"),
    Dataset("check/level", "", "probability below which the model is called wrong"),
)
"""Posterior predictive check; where the system has one."""

_CHAINS, _DRAWS = "chains", "chains × draws"
DRAWS = (
    Dataset("draws/value", "chains × draws × constants", "draws from the posterior; weighted ones are one chain"),
    Dataset("draws/weight", _DRAWS, "weights, which sum to 1; of chains all alike"),
    Dataset("draws/log_density", _DRAWS, "log density of the coordinates, up to a constant"),
    Dataset("draws/equal", "draws", "numbers of draws, over all chains, that stand for it in equal weights", kind=int),
    Dataset("draws/median", "constants", "medians"),
    Dataset("draws/interval", "constants × 2", "the middle 95 %"),
    Dataset("draws/diverging", _DRAWS, "of chains: the integrator lost the energy on the way", kind=bool),
    Dataset("draws/acceptance", _DRAWS, "of chains: mean acceptance probability of the trajectory"),
    Dataset("draws/energy", _DRAWS, "of chains: energy of the trajectory"),
    Dataset("draws/steps", _DRAWS, "of chains: steps of the integrator", kind=int),
    Dataset("draws/step_size", _CHAINS, "of chains: after adaptation"),
    Dataset("draws/rhat", "constants", "of chains: rank-normalised R-hat"),
    Dataset("draws/ess_bulk", "constants", "of chains: effective draws for the middle"),
    Dataset("draws/ess_tail", "constants", "of chains: effective draws for the tails"),
    Dataset("draws/shape", "", "of weighted draws: Pareto k of the tail of the weights"),
    Dataset("draws/effective", "", "of weighted draws: effective number"),
)  # fmt: skip
"""Draws from a posterior, added to the file of an inference."""

PLACEMENT = (
    Dataset("placement/x", "X", "places that were tried", "um"),
    Dataset("placement/y", "Y", "places that were tried", "um"),
    Dataset("placement/t", "times", "times that were tried", "ms"),
    Dataset("placement/over_places", "Y × X", "gain at every place at the best time"),
    Dataset("placement/over_times", "times", "gain at every time in the best place"),
    Dataset("placement/best", "3", "x, y, t of the largest gain"),
    Dataset("placement/gain", "", "the largest: by how much one more observation shrinks the log-volume"),
)
"""Where the next observation tells most; where the system says so."""

STUDY_FORMAT = "hpcpinn-study"
STUDY_FORMAT_VERSION = 1

RESULTS = {FORMAT: FORMAT_VERSION, INFERENCE_FORMAT: INFERENCE_FORMAT_VERSION, STUDY_FORMAT: STUDY_FORMAT_VERSION}
"""Versions of files that are results, which keep their inputs and beside which others may lie, by kind."""

_PER_DRAW, _PER_LINE = "levels × numbers × draws × constants", "levels × numbers × constants"
STUDY = (
    Dataset("config", "", "run description, JSON", kind=str),
    Dataset("noise", "levels", "levels of noise, over the peak of the release; a scale of what follows"),
    Dataset("observations", "numbers", "numbers of observations; a scale", kind=int),
    Dataset("draw", "draws", "numbers from 0; a scale", kind=int),
    Dataset("constant", "constants", "numbers from 0; a scale", kind=int),
    Dataset("parameters/name", "constants", "names", kind=str),
    Dataset("parameters/unit", "constants", "units", kind=str),
    Dataset("parameters/truth", "constants", "what data were made with"),
    Dataset("parameters/start", "constants", "where fits began"),
    Dataset("draws/estimate", _PER_DRAW, "estimates of every data set"),
    Dataset("draws/sd_log", _PER_DRAW, "standard deviations of the logarithms, with priors"),
    Dataset("draws/data_sd_log", _PER_DRAW, "standard deviations of the logarithms, by the data alone"),
    Dataset("draws/bound_log", _PER_DRAW, "Cramér-Rao bound at the truth"),
    Dataset("draws/converged", "levels × numbers × draws", "whether the fit came to its end", kind=bool),
    Dataset("cells/ratio", _PER_LINE, "root-mean-square error over the bound; nan without noise"),
    Dataset("cells/ratio_low", _PER_LINE, "lower end of its 95 % interval"),
    Dataset("cells/ratio_high", _PER_LINE, "upper end"),
    Dataset("cells/bound", _PER_LINE, "root-mean-square bound, relative to the constant"),
    Dataset("cells/coverage", _PER_LINE, "share of intervals that hold the truth"),
    Dataset("cells/error_low", _PER_LINE, "2.5 % of relative errors lie below"),
    Dataset("cells/error_median", _PER_LINE, "median of relative errors"),
    Dataset("cells/error_high", _PER_LINE, "97.5 % of relative errors lie below"),
    Dataset("cells/error_largest", _PER_LINE, "largest relative error, without sign"),
    Dataset("cells/open", _PER_LINE, "share of data sets that leave the constant open"),
    Dataset("cells/converged", "levels × numbers", "share of fits that came to their end"),
)
"""Of a study: what many synthetic data sets of each noise and number of observations say."""

_TAKEN = tuple(
    sorted({entry.name.split("/")[0] for entry in (*RUN, *FIELDS, *INPUTS, *TREE, *BOX, *POINTS, *PROBES, *MEMBERS)})
) + ("windows", "sweeps", "name", "path", "geometry")  # fmt: skip
"""Names that are no fields."""
