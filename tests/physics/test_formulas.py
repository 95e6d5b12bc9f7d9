"""Formulas as text: what they mean, in NumPy and JAX, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.physics.channel_sets import _bernoulli
from hpcpinn.physics.formulas import evaluate, read_formula
from hpcpinn.physics.membranes import _linoid

V = np.array([-91.3, -60.0, -38.0, 0.0, 41.9])
MEANT = {
    "4 * exp(-(V + 65) / 18)": lambda V: 4 * np.exp(-(V + 65) / 18),
    "-V ** 2 + 2 ** 3 ** 0": lambda V: -(V**2) + 2,
    "1.5 - 2 - 0.5 * V / 4 / 2": lambda V: -0.5 - V / 16,
    "min(V, -50) + max(V, 10)": lambda V: np.minimum(V, -50) + np.maximum(V, 10),
    "1 if V < -60 else 2 if V <= 0 else 3": lambda V: np.select([V < -60, V <= 0], [1, 2], 3),
    "1 if V > -60 else 2": lambda V: np.where(V > -60, 1, 2),
    "1 if V >= -60 else 2": lambda V: np.where(V >= -60, 1, 2),
    "sqrt(abs(V)) + tanh(V / 50) + log(V ** 2 + 1)": lambda V: np.sqrt(abs(V)) + np.tanh(V / 50) + np.log(V**2 + 1),
    "sigmoid((V + 35) / 10)": lambda V: 1 / (1 + np.exp(-(V + 35) / 10)),
    "linoid((V + 37.9) / 10)": lambda V: (V + 37.9) / 10 / (1 - np.exp(-(V + 37.9) / 10)),
}


def value(text, V, xp=np):
    linoid = _linoid if xp is np else (lambda x: _bernoulli(-x))
    return evaluate(read_formula(text, frozenset({"V"})), {"V": V}, xp, linoid)


@pytest.mark.parametrize("text", MEANT)
def test_a_formula_means_what_python_means(text):
    np.testing.assert_allclose(value(text, V), MEANT[text](V), rtol=1e-13)
    np.testing.assert_allclose(value(text, jnp.asarray(V), jnp), MEANT[text](V), rtol=1e-12)


def test_linoid_and_its_slope_are_smooth_through_zero():
    at, slope = jax.jvp(lambda V: value("0.1 * 10 * linoid((V + 40) / 10)", V, jnp), (-40.0,), (1.0,))
    assert float(at) == 1.0 and abs(float(slope) - 0.05) < 1e-12
    assert value("linoid(V)", np.array([0.0]))[0] == 1.0


def test_a_known_number_is_computed_once():
    formula = read_formula("0.32 * 4 * V - (2 + 3) / 4", frozenset({"V"}))
    assert formula.root.parts[0].parts[0].value == 0.32 * 4.0
    assert formula.root.parts[1].value == 1.25
    assert formula.names == {"V"} and formula == read_formula("0.32 * 4 * V - (2 + 3) / 4", frozenset({"V"}))


REFUSED = {
    "4 * ": "is no formula",
    "4 * v": "no variable 'v'; did you mean 'V'",
    "expp(V)": r"'expp\(V\)': no function 'expp'; did you mean 'exp'",
    "min(V)": "min takes 2, and there are 1",
    "exp(V, 2)": "exp takes 1, and there are 2",
    "__import__('os')": "no function '__import__'",
    "V.real": "'V.real' is not understood in a formula",
    "(lambda: 1)()": "is not understood",
    "V if V else 2": "is not understood",
    "1 < V < 2": "is not understood",
    "'V'": "is not understood",
    "True": "is not understood",
    "1e999": "is not understood",
    "1 / 0": "1 / 0 has no value",
    "0 ** -1": r"0 \*\* -1 has no value",
    "(-8) ** 0.5": "has no value",
    "+".join(["V"] * 1500): "letters",
    "(" * 90 + "V" + ")" * 90 + "+1": "",
    "-" * 80 + "V": "nested deeper",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_formula_is_one_line(text):
    if text.startswith("(((") and REFUSED[text] == "":
        assert value(text, V).tolist() == (V + 1).tolist()
        return
    with pytest.raises(InputError, match=REFUSED[text]) as caught:
        read_formula(text, frozenset({"V"}))
    assert "\n" not in str(caught.value)
