"""``hpcpinn infer``, ``uq`` and ``uq --study`` of a system: what it brings is its model and where data come from.

A system names these actions with its inverse part, a module or an object with the functions of `Inverse`:

    actions = {"infer": InferAction("my.inverse"), "uq": DrawAction("my.inverse"), "study": StudyAction("my.inverse")}

One that names none has what `hpcpinn.systems.common.inverse` makes of its problem.
"""

import sys
import time as clock
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hpcpinn.config.inputs import files_read
from hpcpinn.core.order import Order
from hpcpinn.errors import InputError
from hpcpinn.systems import part

if TYPE_CHECKING:
    from hpcpinn.inference import study as studying
    from hpcpinn.inference.infer import Inference
    from hpcpinn.inference.problem import InverseProblem, Observed
    from hpcpinn.inference.sample import Sampled, Sampling
    from hpcpinn.io.inputs import Destination
    from hpcpinn.parallel.communicator import Communicator
    from hpcpinn.progress import ProgressDisplay


@runtime_checkable
class Inverse(Protocol):
    """The inverse part of a system; ``EXAMPLE``, if it is there, is a constant that messages name.

    A study needs ``studied(described)`` besides: problem, what data are made with, and data sets.
    """

    def prepared(
        self, described: Any, communicator: "Communicator", progress: "ProgressDisplay"
    ) -> "tuple[InverseProblem, Observed]":
        """The problem and the data of a description. Collective over all ranks."""
        ...

    def sampling(self, described: Any) -> "Sampling":
        """How the posterior is drawn from."""
        ...


@dataclass(frozen=True)
class InferAction:
    """``hpcpinn infer``: the most probable constants, with intervals.

    Attributes:
        inverse: Inverse part of the system, or the name of its module; None: that of all whose problems predict.
    """

    inverse: Any = None

    def look(self, order: Order) -> None:
        """Finds out before the work starts that nothing is to be inferred, or a result cannot be written.

        Raises:
            InputError: That is so.
        """
        _look(self.inverse, order, "infer")

    def work(self, order: Order, communicator: "Communicator", progress: "ProgressDisplay") -> "Inference":
        """Infers the constants, and writes the result. Collective over all ranks."""
        from hpcpinn.inference.infer import infer

        began, described = clock.perf_counter(), order.described
        problem, observed = _inverse_of(order, self.inverse).prepared(described, communicator, progress)
        to = _destination(order, communicator)
        return infer(problem, observed, communicator, progress, output=to, began=began)

    def tell(self, order: Order, outcome: "Inference") -> None:
        """Prints what came of it."""
        from hpcpinn.inference.summary_lines import lines_of_inference, warnings_of

        _say(lines_of_inference(outcome, order.described.run.output), warnings_of(outcome))


@dataclass(frozen=True)
class DrawAction:
    """``hpcpinn uq``: draws from the posterior of the constants.

    Attributes:
        inverse: Inverse problem, as of `InferAction`.
    """

    inverse: Any = None

    def look(self, order: Order) -> None:
        """As of `InferAction`; also finds out that the extra ``uq`` is not installed.

        Raises:
            InputError: That is so.
        """
        _look(self.inverse, order, "draw", draws=True)

    def work(self, order: Order, communicator: "Communicator", progress: "ProgressDisplay") -> "Sampled":
        """Draws, and writes the result. Collective over all ranks."""
        from hpcpinn.inference.sample import sample

        began, described, inverse = clock.perf_counter(), order.described, _inverse_of(order, self.inverse)
        problem, observed = inverse.prepared(described, communicator, progress)
        how, to = inverse.sampling(described), _destination(order, communicator)
        return sample(problem, observed, how, communicator, progress, output=to, began=began)

    def tell(self, order: Order, outcome: "Sampled") -> None:
        """Prints what came of it."""
        from hpcpinn.inference.summary_lines import lines_of_draws, warnings_of

        _say(lines_of_draws(outcome, order.described.run.output), warnings_of(outcome.inference))


@dataclass(frozen=True)
class StudyAction:
    """``hpcpinn uq --study``: estimates over many synthetic data sets.

    Attributes:
        inverse: Inverse problem, as of `InferAction`, with ``studied``.
    """

    inverse: Any

    def look(self, order: Order) -> None:
        """As of `InferAction`.

        Raises:
            InputError: That is so.
        """
        from hpcpinn.io.schema import STUDY_FORMAT

        _look(self.inverse, order, "study", kind=STUDY_FORMAT)

    def work(self, order: Order, communicator: "Communicator", progress: "ProgressDisplay") -> "studying.Study":
        """Fits all data sets, and writes the result. Collective over all ranks."""
        from hpcpinn.inference.study import study

        progress.doing("setting up")
        problem, experiment, sets = part(self.inverse).studied(order.described)
        return study(problem, experiment, sets, communicator, progress, output=_destination(order, communicator))

    def tell(self, order: Order, outcome: "studying.Study") -> None:
        """Prints what came of it."""
        from hpcpinn.inference.summary_lines import lines_of_study, warnings_of_study

        _say(lines_of_study(outcome, order.described.run.output), warnings_of_study(outcome))


def _destination(order: Order, communicator: "Communicator") -> "Destination":
    """Where the result goes, with what is kept of the files that were read. Collective over all ranks."""
    from hpcpinn.io.inputs import Destination
    from hpcpinn.systems.common.kept_inputs import input_files_of

    return Destination(order.described.run.output, communicator.on_root(input_files_of(order).read))


def _inverse_of(order: Order, inverse: Any) -> Any:
    if inverse is not None:
        return part(inverse)
    from hpcpinn.systems.common.inverse import ByPrediction

    return ByPrediction(order.system)


def _look(inverse: Any, order: Order, what: str, **more: Any) -> None:
    if not getattr(order.described, "parameter", ()):
        example = getattr(_inverse_of(order, inverse), "EXAMPLE", "")
        such = f", such as {example}" if example else ""
        raise InputError(f"[[parameter]]: none is given, so there is nothing to {what}; name at least one{such}")
    from hpcpinn.inference.infer import check_places

    check_places(order.described.run.output, files_read(order.described, order.file), **more)


def _say(lines: list[str], warnings: list[str]) -> None:
    for line in lines:
        print(line)
    for warning in warnings:
        print(f"hpcpinn: warning: {warning}", file=sys.stderr)
