"""Which systems are known, and how others are brought."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hpcpinn as hp
from hpcpinn.errors import InputError
from hpcpinn.systems import OWN, system_named, system_names
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.jobs import load_order, stored_description
from hpcpinn.systems.square.config import SquareConfig

HERE = Path(__file__).resolve().parent


def test_those_that_come_with_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HPCPINN_SYSTEMS", raising=False)
    assert system_names()[: len(OWN)] == list(OWN)
    for name in OWN:
        system = system_named(name)
        assert system.name == name and system.summary and system.tables(system=name).system == name


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("", RunConfig), ('system = "cell"', RunConfig), ('[domain]\nkind = "cell"', RunConfig),
        ('system = "square"', SquareConfig), ('[domain]\nkind = "square"', SquareConfig),
    ],
)  # fmt: skip
def test_a_description_says_what_it_is_of(tmp_path: Path, text: str, tables: type):
    (tmp_path / "job.toml").write_text(text)
    order = load_order(tmp_path / "job.toml")
    assert type(order.described) is tables and order.described.system == order.system.name
    system, again = stored_description(order.described.to_json(), "result.h5")
    assert system is order.system and again == order.described


def test_an_unknown_one_is_refused_with_the_nearest(tmp_path: Path):
    (tmp_path / "job.toml").write_text('[run]\nduration = 1.0\n[domain]\nkind = "sqare"\n')
    with pytest.raises(InputError, match=r"line 4: domain.kind: 'sqare' is not one of .*; did you mean 'square'\?"):
        load_order(tmp_path / "job.toml")
    own = "; systems of your own are named by HPCPINN_SYSTEMS"
    with pytest.raises(
        InputError, match=rf"^--set system=nothing: system: 'nothing' is not one of 'cell' or 'square'{own}$"
    ):
        load_order(None, ["system=nothing"])
    with pytest.raises(InputError, match=r"^--set system=3: system: 3 is no name; give one of 'cell' or 'square'$"):
        load_order(None, ["system=3"])
    with pytest.raises(InputError, match=r"^result.h5: system: 'gone' is not one of"):
        stored_description('{"system": "gone"}', "result.h5")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[constants]\na = 2.0", r"it belongs into \[physics\] \(no `system` is given, so this is read as a cell\)$"),
        ("[[hares]]\nx = 1", r"hares: unknown key.* \(no `system` is given, so this is read as a cell\)$"),
        ("hares = 1", r"hares: unknown key[^()]*$"),
        ('system = "cell"\n[constants]\na = 1', r"it belongs into \[physics\]$"),
        ('[constants]\na = 1\n[morphology]\nfile = "builtin:y_branch"', r"it belongs into \[physics\]$"),
    ],
)  # fmt: skip
def test_a_table_of_another_system_tells_that_none_is_named(tmp_path: Path, text: str, said: str):
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        load_order(tmp_path / "job.toml")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (
            ("lotka",),
            "'lotka' is not one of 'cell' or 'square'; systems of your own are named by HPCPINN_SYSTEMS; for a ",
        ),
        (("sqare",), r"'sqare' is not one of .*; did you mean 'square'\?; for a cell give the path of an SWC file"),
        (("x.toml",), r'x.toml: is a job file: hp.load\("x.toml"\).solve\(\)'),
        (("square", {"constants": {}}), r"the model is dict, .*; give tables by their names: constants=\{...\}"),
        ((system_named("square"),), "SquareSystem is a system itself; give its name, 'square'"),
        (("square", system_named("square")), "the model is SquareSystem, and no such thing"),
        (("square", hp.Dopamine), r"Dopamine is a class; give one of it, Dopamine\(\)"),
        ((hp.Square,), r"Square is a class; give one of it, Square\(\)"),
        (("pyramidal",), "did you mean builtin:pyramidal?"),
    ],
)
def test_what_cannot_be_solved_from_python_says_what_can(given: tuple[Any, ...], wrong: str, monkeypatch, tmp_path):
    monkeypatch.delenv("HPCPINN_SYSTEMS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=wrong):
        hp.solve(*given)
    with pytest.raises(InputError, match="x.toml: is a job file, no cell; give the path of an SWC file"):
        hp.Cell("x.toml").cable  # noqa: B018


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "FileNotFoundError"), ("SYSTM = 1", "AttributeError: .* has no attribute 'SYSTEM'"),
    ],
)  # fmt: skip
def test_a_file_that_gives_no_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, why: str
):
    file = tmp_path / "brought.py"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("HPCPINN_SYSTEMS", str(file))
    with pytest.raises(InputError, match=rf"^HPCPINN_SYSTEMS: \S+brought.py: gives no system \({why}") as caught:
        system_names()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("import no_such_library", 1, "ModuleNotFoundError: No module named 'no_such_library'"),
        ("a = 1\nb = (", 2, r"SyntaxError: '\(' was never closed"),
        (
            "from hpcpinn.core.parameters import Constants, constant\n\n\n"
            "class Mine(Constants):\n    a: float = constant('A', bounds=(0, 1))\n",
            4, r"Mine.a: the bounds \(0, 1\) are no Bounds",
        ),
        ("def f():\n    return 1 / 0\n\n\nx = f()", 2, "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_fails_in_a_file_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int, why: str
):
    file = tmp_path / "failing.py"
    file.write_text(text)
    monkeypatch.setenv("HPCPINN_SYSTEMS", str(file))
    with pytest.raises(InputError, match=rf"^HPCPINN_SYSTEMS: \S+failing.py, line {line}: {why}") as caught:
        system_names()
    assert "\n" not in str(caught.value)


GOOD = """
from hpcpinn.config.shared import RunTable
from hpcpinn.config.values import Description

class Tables(Description):
    run: RunTable = RunTable()

class Kind:
    name, summary, tables = "brought", "a system that is brought", Tables

    def build(self, described, communicator):
        return object()

SYSTEM = Kind()
"""
"""A system as it should be, up to its problem."""


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("SYSTEM = Kind()", "SYSTEM = Kind", r"SYSTEM is the class Kind; write SYSTEM = Kind\(\)"),
        ("name, summary, tables", "titel, sumary, tables", r"the system \(Kind\) has no name, summary"),
        ("def build", "def bild", r"the system \(Kind\) has no build"),
        ('"brought",', "3,", "has name = 3, which is no text"),
        (
            ", Tables\n",
            ", Tables()\n",
            r"has tables = Tables\(.*which is no class of hpcpinn.config.values.Description",
        ),
        (", Tables\n", ", dict\n", "has tables = <class 'dict'>, which is no class of"),
        ("    run: RunTable = RunTable()", "    pass", "has tables without run, such as run: RunTable"),
    ],
)
def test_a_system_that_is_none_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, why: str
):
    file = tmp_path / "brought.py"
    file.write_text(GOOD)
    monkeypatch.setenv("HPCPINN_SYSTEMS", str(file))
    assert system_named("brought").summary == "a system that is brought"
    assert right in GOOD
    file = tmp_path / "mistaken.py"
    file.write_text(GOOD.replace(right, wrong))
    monkeypatch.setenv("HPCPINN_SYSTEMS", str(file))
    with pytest.raises(InputError, match=rf"^HPCPINN_SYSTEMS: \S+mistaken.py: .*{why}") as caught:
        system_names()
    assert "\n" not in str(caught.value)
    assert "SYSTEM =" in str(caught.value) or "hpcpinn.core.system" in str(caught.value)


def test_no_two_have_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "other_square.py"
    file.write_text("from hpcpinn.systems.square import SquareSystem\nSYSTEM = SquareSystem()\n")
    monkeypatch.setenv("HPCPINN_SYSTEMS", str(file))
    with pytest.raises(InputError, match="a system of the name 'square' is there already; give it another name"):
        system_names()


def test_an_installed_package_brings_one(tmp_path: Path):
    """By its entry point, as pip writes it."""
    (tmp_path / "paired.py").write_text((HERE / "pair.py").read_text())
    (tmp_path / "paired-1.0.dist-info").mkdir()
    (tmp_path / "paired-1.0.dist-info" / "METADATA").write_text("Name: paired\nVersion: 1.0\n")
    (tmp_path / "paired-1.0.dist-info" / "entry_points.txt").write_text("[hpcpinn.systems]\npair = paired:SYSTEM\n")
    code = (
        "from hpcpinn.systems.jobs import load_order; print(load_order(None, ['system=pair']).described.constants.tau)"
    )
    around = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(HERE.parents[1])])}
    around.pop("HPCPINN_SYSTEMS", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=around, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "12.5\n"


def test_rooms_of_the_package_are_imported_without_asking_systems():
    """A file of `HPCPINN_SYSTEMS` imports them itself."""
    around = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "HPCPINN_SYSTEMS": str(HERE / "pair.py")}
    code = "from hpcpinn.io.read import read; from hpcpinn.systems import system_named as s; print(s('pair').summary)"
    done = subprocess.check_output([sys.executable, "-c", code], env=around, text=True, timeout=60)
    assert done == "a FitzHugh-Nagumo pair\n"
