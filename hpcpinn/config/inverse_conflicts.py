"""Contradictions between keys that inferences on squares and on cells have in common."""

from collections.abc import Iterator
from typing import Protocol

from hpcpinn.config.reading import Problem
from hpcpinn.config.values import Table


class Parameter(Protocol):
    """A table [[parameter]]."""

    @property
    def name(self) -> str: ...
    @property
    def prior(self) -> float | None: ...
    @property
    def prior_factor(self) -> float: ...
    @property
    def model_fields_set(self) -> set[str]: ...


def of_parameter(parameter: Parameter, number: int, constants: Table) -> Iterator[Problem]:
    """What is wrong with one parameter by itself.

    Args:
        parameter: The table.
        number: Place of the parameter among all.
        constants: The table [physics.constants].
    """
    fixed = getattr(constants, parameter.name, None)
    if fixed is not None:
        yield (
            ("parameter", number, "name"),
            f"{parameter.name!r} is fixed too: physics.constants.{parameter.name} = {fixed:g}; give one of the two "
            "(parameter.start is where the iteration begins, data.truth what data are made with)",
        )
    if parameter.prior is None and "prior_factor" in parameter.model_fields_set:
        yield (
            ("parameter", number, "prior_factor"),
            f"{parameter.prior_factor:g} around no median; give prior, or leave it away",
        )


def of_data_from_file(data: Table, file: str, *besides: str) -> Iterator[Problem]:
    """Keys of synthetic data beside a file; `besides` are those that go with one."""
    made = sorted(data.model_fields_set - {"file", *besides})
    if made:
        yield ("data", made[0]), f"is for synthetic data, and data.file = {file!r} is given; give one of the two"
