"""``import hpcpinn as hp``: light, whole, and the same numbers as the command line."""

import ast
import importlib
import inspect
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import hpcpinn as hp
from hpcpinn.__main__ import main
from hpcpinn.io import read
from hpcpinn.parallel import stopping
from hpcpinn.physics.calcium_system import CalciumSystem
from hpcpinn.systems.jobs import load_order
from hpcpinn.training import least_squares

ROOT = Path(__file__).resolve().parents[2]

EXPERIMENT = {"synapses": [hp.Synapse("tip", start=0.2)], "probes": ["root", hp.Probe("tip", "far")]}
"""The same in all tests, which so share their compiled programs."""

SHORT = {**EXPERIMENT, "duration": 2.0, "output_interval": 0.5}


def python(code: str, **more: object) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error::hpcpinn.InputWarning", "-c", code],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module")
def run() -> hp.Run:
    return hp.solve(hp.Cell("builtin:y_branch"), hp.Calcium(), **SHORT)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The same run by the command line, and the functions on each other where it first formed its residual."""
    folder, way = tmp_path_factory.mktemp("typed"), []
    job = folder / "job.toml"
    job.write_text(
        '[morphology]\nfile = "builtin:y_branch"\n[physics.constants]\nD_c = 220.0\n'
        '[[synapse]]\nsite = "tip"\nstart = 0.2\n[[probe]]\nsite = "root"\n[[probe]]\nsite = "tip"\nname = "far"\n'
        f'[run]\nduration = 2.0\noutput_interval = 0.5\noutput = "{folder}/run.h5"\n'
    )
    formed = least_squares.residual

    def watched(equation: CalciumSystem, *others: Any) -> Any:
        if not way:
            assert equation.diffusion[0] == 220.0
            way.extend(functions_down_to(formed))
        return formed(equation, *others)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(least_squares, "residual", watched)
        patch.setattr(sys, "argv", ["hpcpinn", "run", str(job)])
        handlers = {number: signal.getsignal(number) for number in stopping.HEARD}
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:  # a process that ends hears no more signals; this one goes on, and so do those that it starts
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert ended.value.code == 0
    return folder / "run.h5", way


def functions_down_to(last: Callable[..., Any]) -> list[str]:
    """The package's functions on each other from here up, outermost first, as docs name them; and one more."""
    codes = [inspect.unwrap(last).__code__]
    frame = sys._getframe(2)
    while frame is not None:
        codes.insert(0, frame.f_code)
        frame = frame.f_back
    package = ROOT / "hpcpinn"
    return [
        named(Path(code.co_filename).relative_to(package), code.co_qualname)
        for code in codes
        if package in Path(code.co_filename).parents
    ]


def named(file: Path, function: str) -> str:
    """A function as the tables of docs/extend.md name it; one within another by the outer."""
    return f"`{file.as_posix()}`: `{function.partition('.<locals>')[0]}`"


def documented_way() -> tuple[list[str], list[str]]:
    """Functions of both tables of "The way of one constant"."""
    section = (ROOT / "docs" / "extend.md").read_text().split("## The way of one constant")[1].split("\n## ")[0]
    constant, solver = (part for part in section.split("| function |")[1:])
    return tuple(re.findall(r"^\| (`[\w/]+\.py`: `[\w.]+`) \|", part, re.MULTILINE) for part in (constant, solver))


def test_twelve_functions_from_the_command_to_the_residual(typed):
    """Both ends counted; those that docs name."""
    assert typed[1] == documented_way()[1]
    assert len(typed[1]) == 12


def test_the_way_of_a_constant_is_as_documented(typed):
    for place in documented_way()[0]:
        file, function = re.findall(r"`([^`]+)`", place)
        found = importlib.import_module(f"hpcpinn.{file.removesuffix('.py').replace('/', '.')}")
        for part in function.split("."):
            found = getattr(found, part)
    assert len(documented_way()[0]) == 7
    assert hp.read(typed[0]).config["physics"]["constants"]["D_c"] == 220.0


def test_importing_it_loads_nothing_heavy():
    code = "import sys, hpcpinn; print(sorted({'jax', 'numpy', 'pydantic', 'h5py', 'matplotlib'} & set(sys.modules)))"
    assert python(code).strip() == "[]"


def test_describing_a_job_loads_no_jax():
    code = (
        "import sys, hpcpinn as hp; job = hp.Job(hp.Cell('builtin:y_branch'), hp.Calcium(), duration=1.0); "
        "job.to_toml(); hp.Cell('builtin:y_branch').cable; print('jax' in sys.modules, 'matplotlib' in sys.modules)"
    )
    assert python(code).split() == ["False", "False"]


def test_what_is_offered_is_there_and_type_checkers_see_the_same():
    tree = ast.parse((ROOT / "hpcpinn" / "__init__.py").read_text())
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in branch.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen | {"__version__"} == set(hp.__all__)
    assert all(getattr(hp, name).__module__.startswith("hpcpinn.") for name in seen)
    assert set(hp.__all__) <= set(dir(hp))
    rooms = {path.stem for path in (ROOT / "hpcpinn").iterdir()}
    assert not rooms & set(hp.__all__), "importing a room would put it in the place of what is offered"
    with pytest.raises(AttributeError, match="no attribute 'Sell'"):
        hp.Sell  # noqa: B018


def test_a_run_is_that_of_the_command_line(run, typed):
    found = read(typed[0])
    assert np.array_equal(run.calcium, found.calcium)
    assert np.array_equal(run.probes.calbindin, found.probes.calbindin)
    assert hp.read(typed[0]).summary["verdict"] == run.summary["verdict"]


def test_probes_and_places(run):
    trace = run.probe("far")
    assert np.array_equal(trace.calcium, run.probes.calcium[:, 1])
    assert trace.units["calcium"] == "uM" and len(trace.time) == 21
    end = run.at("dend[2](1)")
    assert np.array_equal(end.calcium, run.calcium[:, -1])  # the last section's last cell
    near, place = run.at("dend[1](0.97)"), hp.Cell("builtin:y_branch").site("dend[1](0.97)")
    ends = hp.Cell("builtin:y_branch").cable.xyz[place.frustum]
    away = np.linalg.norm(run.cells.xyz - (ends[0] + place.fraction * (ends[1] - ends[0])), axis=1)
    (cell,) = np.flatnonzero(
        (run.calcium == near.calcium[:, None]).all(axis=0)
    )  # there calcium moves, each cell its way
    assert cell == away.argmin()
    with pytest.raises(AttributeError, match="calcium, calbindin, voltage, no 'sodium'"):
        trace.sodium  # noqa: B018
    with pytest.raises(hp.InputError, match="no probe 'soma'; there are root and far"):
        run.probe("soma")
    with pytest.raises(hp.InputError, match="no soma"):
        run.at("soma")


def test_what_a_run_says(run):
    assert run.summary["windows"] == len(run.windows["start"])
    assert run.verdict.cells[0].calcium.site == "dend[1](1)"
    assert run.to_xarray().calcium.dims == ("time", "cell")
    assert "complete, 0 to 2 ms" in repr(run)
    assert {"calcium", "probe"} <= set(dir(run))


def test_a_cell_from_a_graph_gives_the_same_run(run):
    graph = hp.Cell("builtin:y_branch").to_networkx()
    for node in graph.nodes.values():  # what most people call them
        node["radius"], node["type"] = node.pop("r"), node.pop("id")
    of_graph = hp.solve(hp.Cell.from_networkx(graph), **SHORT)
    assert np.array_equal(of_graph.calcium, run.calcium)
    assert of_graph.config["morphology"]["file"] == str(of_graph.path.parent / "run.cell.json")


def test_a_square_is_solved_and_read_at_places():
    run = hp.solve(
        hp.Square((2, 2)), hp.Dopamine("dopamine-slow", k=0.02), duration=0.6, output_interval=0.3,
        network={"features_space": 8, "features_time": 5}, window={"tolerance": 1e-2},
    )  # fmt: skip
    assert 0.0 < run.summary["exact_error"] < 2e-3
    row, column = np.abs(run.box.y + 0.5).argmin(), np.abs(run.box.x - 1.0).argmin()
    for place in ("1,-0.5", (1.0, -0.5)):
        assert np.array_equal(run.at(place).dopamine, run.dopamine[:, row, column])
    assert run.config["physics"]["constants"]["k"] == 0.02 and run.units["dopamine"] == "uM"
    with pytest.raises(hp.InputError, match="no probe 'soma'; there are none"):
        run.probe("soma")


LIFE = """
import gc
import hpcpinn as hp
probes = ["root", hp.Probe("tip", "far")]
run = hp.solve(
    "builtin:y_branch", synapses=[hp.Synapse("tip", start=0.2)], probes=probes, duration=2.0, output_interval=0.5
)
assert run.path.is_file() and str(run.path).startswith(PLACE)
pictures = run.plot()
assert set(pictures) >= {"overview", "cell", "kymograph"} and "no partition" in repr(pictures)
assert pictures["cell"]._repr_html_().startswith('<img alt="cell"')
folder = run.path.parent
del run
gc.collect()
assert folder.is_dir()  # the pictures lie in it
del pictures
gc.collect()
assert not folder.exists()
print("gone")
"""


def test_a_run_that_nobody_named_goes_with_its_object(tmp_path, monkeypatch):
    """In a process of its own: what counts the lines that ran keeps objects alive."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert python(f"PLACE = {str(tmp_path)!r}\n{LIFE}").strip() == "gone"


def test_a_run_goes_on_from_its_checkpoint(run, tmp_path):
    output = tmp_path / "run.h5"
    half = hp.Job("builtin:y_branch", **SHORT | {"duration": 1.0}, output=output, window={"first": 0.1, "longest": 0.2})
    half.solve()
    with pytest.raises(hp.NothingToDoError):
        half.solve(resume=True)
    whole = half.replace({"run.duration": 2.0}).solve(resume=True)
    straight = half.replace({"run.duration": 2.0, "run.output": tmp_path / "straight.h5"}).solve()
    assert whole.time[-1] == 2.0 and len(whole.time) == 5
    np.testing.assert_allclose(whole.calcium, straight.calcium, rtol=1e-3)
    with pytest.raises(hp.InputError, match="no checkpoint nowhere.h5"):
        half.solve(resume="nowhere.h5")


def test_results_replace_results_and_nothing_else(tmp_path):
    own = tmp_path / "mine.h5"
    own.write_text("not a result")
    with pytest.raises(hp.InputError, match="stays as it is"):
        hp.solve("builtin:y_branch", duration=1.0, output=own)
    assert own.read_text() == "not a result"


def test_single_precision_is_left_or_refused():
    with jax.enable_x64(False), pytest.raises(hp.InputError, match="single precision here"):
        hp.solve("builtin:y_branch", duration=1.0)
    code = (
        "import warnings, jax, jax.numpy as jnp; assert jnp.ones(2).dtype == 'float32'\n"
        "import hpcpinn as hp\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always'); from hpcpinn.api.session import ranks; ranks(); ranks()\n"
        "print(jnp.ones(2).dtype, len(told), told[0].message)"
    )
    kind, count, *words = python(code).split()
    assert (kind, count) == ("float64", "1") and "jax_enable_x64 is on from here" in " ".join(words)
    assert python("from hpcpinn.api.session import ranks; ranks(); import jax.numpy as j; print(j.ones(2).dtype)") == (
        "float64\n"
    )


def test_a_cell_shows_itself(tmp_path):
    cell = hp.Cell("builtin:pyramidal", er_fraction=0.1)
    assert "apic[0]" in cell.sections and repr(cell).startswith("Cell('builtin:pyramidal'): 119 sections, ")
    picture = cell.plot(tmp_path / "cell.svg")
    assert picture.path.read_text().lstrip().startswith("<?xml") and "data:image/svg+xml" in picture._repr_html_()
    with pytest.raises(hp.InputError, match="hpcpinn.Cell: dict is no cell"):
        hp.Cell({})
    with pytest.raises(hp.InputError, match="hpcpinn.Morphology: sona: unknown key; did you mean 'soma'"):
        hp.Cell("cell.swc", sona="literal")


def test_a_job_from_a_cell_file_is_described_like_one_that_was_typed(tmp_path):
    typed = load_order(ROOT / "jobs" / "y_branch.toml").described
    here = hp.Job(
        "builtin:y_branch", synapses=[hp.Synapse("tip", 1.0)], probes=["root", "tip"],
        duration="10 ms", output_interval=0.5, output="results/y_branch.h5",
    )  # fmt: skip
    assert here.config == typed
