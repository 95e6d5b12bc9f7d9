"""What the documents promise: their examples run, their links lead somewhere, their tables are current."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from hpcpinn.physics.constants import PRESETS
from hpcpinn.physics.dopamine_constants import PRESETS as SQUARES

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


def test_examples_of_the_extension_page_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extend.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 6
    script = tmp_path / "examples.py"
    script.write_text("\n".join(blocks))
    subprocess.run(
        [sys.executable, str(script)], check=True, timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip


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
