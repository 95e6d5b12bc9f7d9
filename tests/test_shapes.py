"""Arrays other than an annotation says are refused while tests run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation

from hpcpinn.domain.stars import by_piece
from hpcpinn.morphology.repair import inherit_kinds
from hpcpinn.physics import calcium, ghk
from hpcpinn.physics.constants import PRESETS
from hpcpinn.timestepping.firing import rises
from hpcpinn.training.levenberg_marquardt import Quadratic, from_rows


def test_a_letter_is_one_size() -> None:
    kind, parent = np.array([1, 0, 3]), np.array([-1, 0, 1])
    assert len(inherit_kinds(kind, parent)) == 3
    with pytest.raises(BeartypeCallHintViolation, match="dimension n"):
        inherit_kinds(kind, parent[:2])


def test_numbers_have_their_type() -> None:
    with pytest.raises(BeartypeCallHintViolation, match="dtype"):
        inherit_kinds(np.ones(3), np.array([-1, 0, 1]))


def test_shapes_are_seen_while_a_function_is_traced() -> None:
    ends = jax.jit(lambda coloured: by_piece(coloured, 1))
    assert ends(jnp.ones((2, 3, 4))).shape == (3, 2, 4)
    with pytest.raises(BeartypeCallHintViolation, match="not equal 2"):
        ends(jnp.ones((3, 3, 4)))


def test_functions_within_functions_and_tuples_are_left_alone() -> None:
    near, _ = from_rows(lambda parameters: parameters)
    assert isinstance(near(jnp.ones(2)), Quadratic)


def test_formulas_take_numbers_and_arrays_of_either_library_whose_shapes_are_checked_all_the_same() -> None:
    k = PRESETS["physical-N"]
    for V in (-70.0, np.full(3, -70.0), jnp.full(3, -70.0)):
        assert np.shape(ghk.channel(V, np.ones(3), k)[0]) == (3,)
    with pytest.raises(BeartypeCallHintViolation, match="pump_flux"):
        calcium.pump_flux(np.full(3, True), k)
    assert rises(np.arange(3.0), np.full((3, 2), -70.0)).count.tolist() == [0, 0]
    with pytest.raises(BeartypeCallHintViolation, match="rises"):
        rises(np.arange(3.0), np.full((4, 2), -70.0))
