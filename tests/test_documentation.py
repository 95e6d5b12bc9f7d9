"""What the documents promise: their examples run, their links lead somewhere, their tables are current."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hpcpinn as hp
from hpcpinn.config.jobs import bundled_job
from hpcpinn.morphology.meshes import builtin_path
from hpcpinn.physics.constants import PRESETS
from hpcpinn.physics.dopamine_constants import PRESETS as SQUARES
from hpcpinn.systems.cell.build.coupled import describe_cell
from hpcpinn.systems.cell.config.reading import load_config
from tests.cli.in_process import hpcpinn
from tests.systems.cell.results import write_result

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#]+)", prose)
    lost = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    named = re.findall(r"(?:scripts|jobs|meshes)/[\w.]+\.(?:sh|py|toml|swc|csv)", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_that_are_named(page):
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)
    calls = re.findall(r"hpcpinn (run|inspect|partition|validate|plot|submit)\b([^#\n]*)", "\n".join(blocks))
    named = {(command, flag) for command, rest in calls for flag in re.findall(r"(?<=\s)--[a-z-]+", rest)}
    for command in sorted({command for command, _ in named}):
        done = subprocess.run(
            [sys.executable, "-m", "hpcpinn", command, "--help"],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        known = set(re.findall(r"--[a-z-]+", done.stdout)) | {"--debug"}
        assert {flag for name, flag in named if name == command} <= known


def blocks_of(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples find beside them: a cell, the job of the README, and a result of the default job."""
    here = tmp_path_factory.mktemp("documents")
    shutil.copy(builtin_path("ball_and_stick"), here / "cell.swc")
    (here / "job.toml").write_text(
        next(block for block in blocks_of(ROOT / "README.md", "toml") if "[[synapse]]" in block)
    )
    config = load_config(bundled_job("default"))
    config = config.model_copy(update={"run": config.run.model_copy(update={"duration": 2.0})})
    write_result(here / "results" / "run.h5", config, describe_cell(config))
    return here


ALONE = ("extend.md",)
"""Pages whose examples add something to the package: a process of their own."""


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page, "python")], ids=lambda page: page.name)
def test_examples_in_python_run(page, folder, tmp_path, monkeypatch):
    """All blocks of a page as one program, in their order."""
    script = tmp_path / "examples.py"
    script.write_text("\n".join(blocks_of(page, "python")))
    if page.name in ALONE:
        subprocess.run(
            [sys.executable, str(script)], check=True, timeout=300,
            env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
        return
    monkeypatch.chdir(folder)
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_examples_in_python_have_the_types_that_are_offered(page, tmp_path):
    script = tmp_path / "examples.py"
    script.write_text("\n".join(blocks_of(ROOT / page, "python")))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", str(script)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_readme_begins_with_a_run_in_python():
    first = blocks_of(ROOT / "README.md", "[a-z]+")[0]
    assert first == blocks_of(ROOT / "README.md", "python")[0] and "hp.solve(" in first


QUICK = ("jobs", "inspect", "partition", "protocols", "submit")
"""Commands that take no more than a second; of submit, what it would submit."""


def quick_commands() -> list[str]:
    lines = "\n".join(block for page in PAGES for block in blocks_of(page, "bash")).replace("\\\n", " ").splitlines()
    return list(dict.fromkeys(line for line in lines if re.match(rf"hpcpinn ({'|'.join(QUICK)})\b", line)))


@pytest.mark.parametrize("line", quick_commands())
def test_quick_commands_run(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = shlex.split(line, comments=True)[1:]
    hpcpinn(*words, *(["--dry-run"] if words[0] == "submit" and "--dry-run" not in words else []))
    assert capsys.readouterr().out


LACKING = {"guide.md": {"window.kind": "split", "field.magnitude": 1.0}}
"""What parts of descriptions have in the words around them."""

DESCRIPTIONS = [(page, block) for page in PAGES if page.name not in ALONE for block in blocks_of(page, "toml")]


@pytest.mark.parametrize("page, block", DESCRIPTIONS, ids=[page.name for page, _ in DESCRIPTIONS])
def test_descriptions_are_taken(page, block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("job.toml").write_text(block)
    hp.load("job.toml", LACKING.get(page.name, {}) if "[run]" not in block else {})


def test_the_presets_of_the_equations_are_those_that_are_declared():
    text = (ROOT / "docs" / "equations.md").read_text().replace("−", "-")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    rows = {first: cells for first, *cells in table}
    kinds = [PRESETS[f"physical-{kind}"] for kind in "NLT"]
    assert ["", *(f"`{k.name}`" for k in kinds)] in table and ["", *(f"`{name}`" for name in SQUARES)] in table
    for number, gate in enumerate("mh"):
        found = [k.gates[number] if number < len(k.gates) else None for k in kinds]
        said = [f"{g.z}, {g.half:g}, {1e3 * g.tau:g}" if g else "–" for g in found]
        assert rows[f"{gate}: z, V½ (mV), τ (ms)"] == said
    assert rows["gates"] == ["".join("mh"[n] + "²" * (g.power - 1) for n, g in enumerate(k.gates)) for k in kinds]
    assert rows["p (µm³/s)"] == [f"{k.vdcc_permeability:g}" for k in kinds]
    for key, name in (("D (µm²/ms)", "D"), ("k (1/ms)", "k"), ("T (ms)", "duration")):
        assert rows[key] == [f"{getattr(k, name):g}" for k in SQUARES.values()]


@pytest.mark.parametrize("script", ["describe_keys.py", "describe_results.py"])
def test_tables_of_documents_are_those_of_the_declarations(script):
    written = runpy.run_path(str(ROOT / "scripts" / script))
    assert written["page"]() == written["PAGE"].read_text(), f"run scripts/{script}"
