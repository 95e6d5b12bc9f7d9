"""Declared constants as pytrees, so that JAX may trace, differentiate and batch by any of them.

Apart from the declarations, which import no JAX: whoever traces a class of constants says so once.
"""

from dataclasses import fields
from typing import TypeVar

import jax

from hpcpinn.core.parameters import Constants, declared, nested_in

Declaration = TypeVar("Declaration", bound=type[Constants])

_MARK = "_is_traced"


def traced(declaration: Declaration) -> Declaration:
    """Makes a class of constants a pytree; as a call or a decorator, and once more does no harm.

    Its numbers, and constants of parts, are leaves; a number that is None is none. Settings and what is not declared
    are metadata: compiled code is made anew where they differ.

    Returns:
        The class itself.
    """
    if _MARK not in vars(declaration):
        leaves = {name for name, entry in declared(declaration).items() if entry.is_leaf} | set(nested_in(declaration))
        names = [field.name for field in fields(declaration)]
        jax.tree_util.register_dataclass(
            declaration, [name for name in names if name in leaves], [name for name in names if name not in leaves]
        )
        setattr(declaration, _MARK, True)
    return declaration
