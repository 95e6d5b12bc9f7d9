"""The inverse part of every system whose problem says what would be measured: ``predict`` and ``observed``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from hpcpinn.config.shared import InferenceTable, ParameterTable, PositiveParameterTable
from hpcpinn.core.parameters import Constants, learnable
from hpcpinn.core.system import System
from hpcpinn.errors import InputError
from hpcpinn.inference.entry import LearnedConstant, inverse_problem
from hpcpinn.inference.estimates import prior_of
from hpcpinn.inference.forward_model import ForwardModel
from hpcpinn.inference.problem import FitSettings, InverseProblem, Observed
from hpcpinn.inference.sample import Sampling
from hpcpinn.io.observations import check_usable, check_within, read_observations
from hpcpinn.parallel.communicator import Communicator
from hpcpinn.progress import ProgressDisplay
from hpcpinn.systems.contract import built


def fit_settings(table: InferenceTable, seed: int) -> FitSettings:
    """How constants are inferred, as far as a table says it; keys of a system's own are left to that system.

    Args:
        table: Table ``[inference]`` of a description.
        seed: Seed of the replicates.
    """
    return FitSettings(**table.model_dump(include={one.name for one in fields(FitSettings)}), seed=seed)


def sampling(described: Any) -> Sampling:
    """How the posterior is drawn from, as far as table ``[uq]`` of a description says it."""
    uq = getattr(described, "uq", None)
    given = {} if uq is None else uq.model_dump(include={one.name for one in fields(Sampling)})
    return Sampling(**given, seed=getattr(described.run, "seed", 0))


def starts_of(parameters: Sequence[ParameterTable | PositiveParameterTable]) -> list[float | None]:
    """Values that an iteration begins with; None where a table says neither that nor a prior."""
    return [one.prior if one.start is None else one.start for one in parameters]


def problem_for(
    model: ForwardModel, start: Sequence[float] | Float[ndarray, " p"], described: Any, **more: Any
) -> InverseProblem:
    """The inverse problem of a model as the tables of a description state it.

    Args:
        model: Model of what is observed; it learns what ``[[parameter]]`` names, in that order.
        start: Values of the constants to begin with.
        described: The description.
        more: What else an `InverseProblem` is made of.
    """
    coordinates = model.coordinates
    measured = zip(described.parameter, coordinates.measure, strict=True)
    return InverseProblem(
        model,
        coordinates.of(start),
        prior_of([(one.prior, one.prior_width(measure)) for one, measure in measured], coordinates),
        fit_settings(described.inference, described.run.seed),
        described.to_json(),
        **more,
    )


@dataclass(frozen=True)
class ByPrediction:
    """Constants of a system from a file of data, by `hpcpinn.inference.entry`.

    Attributes:
        system: The system; its descriptions have the tables ``parameter``, ``data``, ``inference`` and, for draws that
            are to be made otherwise than by default, ``uq`` (`hpcpinn.config.shared`).
    """

    system: System

    def prepared(
        self, described: Any, communicator: Communicator, progress: ProgressDisplay
    ) -> tuple[InverseProblem, Observed]:
        """The problem and the data of a description. Collective over all ranks.

        Raises:
            InputError: What the system builds is no problem, or says of nothing what would be measured; or the data
                cannot be used.
        """
        progress.doing("setting up")
        problem: Any = built(self.system, described, communicator)
        columns = _columns(self.system, problem)
        file = described.data.file
        if file is None:
            raise InputError(f"data.file: none is given; name a file with the columns {', '.join(columns)}")
        seen = communicator.on_root(read_observations, file, columns)
        check_usable(seen, len(described.parameter), file)
        if len(problem.stops) and columns.get("t") in ("ms", "1", ""):
            check_within(seen, float(described.run.duration), file)
        known = learnable(problem.parameters) if isinstance(problem.parameters, Constants) else {}

        def learned(parameter: Any) -> LearnedConstant:
            width = parameter.prior_width(known[parameter.name].measure if parameter.name in known else 0.0)
            return LearnedConstant(parameter.name, parameter.start, parameter.prior, width)

        inverse = inverse_problem(
            problem,
            [learned(parameter) for parameter in described.parameter],
            settings=fit_settings(described.inference, getattr(described.run, "seed", 0)),
            unit=seen.unit("value") or "1",
            description=described.to_json(),
        )
        return inverse, Observed(seen, file)

    def sampling(self, described: Any) -> Sampling:
        """How the posterior is drawn from."""
        return sampling(described)


def _columns(system: System, problem: Any) -> Mapping[str, str | None]:
    """Columns of data and their units: the value, places and times as the problem declares them, the noise.

    Raises:
        InputError: The system says of nothing what would be measured.
    """
    observed: Mapping[str, str | None] = getattr(problem, "observed", {})
    if not (observed and hasattr(problem, "predict")):
        raise InputError(f"the system {system.name!r} does not say what would be measured: it infers nothing")
    if "value" not in observed:
        raise InputError(
            f"the system {system.name!r} observes {', '.join(observed)} and no 'value'; name it and its unit"
        )
    return {"value": observed["value"], **observed, "noise": observed["value"]}
