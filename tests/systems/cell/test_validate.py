"""A made-up result whose error is known must be found to have just that error."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcpinn.cli.main import application
from hpcpinn.errors import InputError
from hpcpinn.io.read import read
from hpcpinn.io.sidecar import FINITE_VOLUMES, read_reference
from hpcpinn.systems.cell.build.coupled import describe_cell
from hpcpinn.systems.cell.build.reference import reference_task
from hpcpinn.systems.cell.comparison import validate
from hpcpinn.systems.cell.config.reading import load_config
from tests.systems.cell.results import write_result

OVERRIDES = [
    'morphology.file="builtin:y_branch"',
    "run.duration=3",
    "run.output_interval=0.5",
    "run.probe_interval=0.25",
    "pieces.max_length=50",
    "pieces.source_length=2",
    "pieces.cells_per_piece=2",
    'synapse=[{site="tip", start=0.5}]',
    'probe=[{site="tip"}, {site="root"}]',
]


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A run description, its cell, and the reference on the recorded cells."""
    folder = tmp_path_factory.mktemp("validate")
    voltage = folder / "voltage.csv"
    times = np.arange(0.0, 3.01, 0.1)
    values = -65.0 + 80.0 * np.exp(-(((times - 1.5) / 0.4) ** 2))
    rows = [f"{t:.1f},{v:.6f},{0.9 * v:.6f}" for t, v in zip(times, values, strict=True)]
    voltage.write_text("\n".join(["time_ms,root,tip", *rows]) + "\n")
    config = load_config(None, [*OVERRIDES, f'voltage.file="{voltage}"'])
    cell = describe_cell(config)
    empty = write_result(folder / "empty.h5", config, cell)
    task = reference_task(read(empty), config, cell)
    answer = task.solve(32, 1e-7).extrapolated(task.solve(16, 1e-7))
    return config, cell, answer


def perturbed(path, solved, error_c, error_b):
    """The reference with errors of a given size in both species, everywhere and at every time."""
    config, cell, answer = solved
    c, b = answer.fields["calcium"], answer.fields["calbindin"]
    c = c + error_c * (c - cell.constants.c_rest)
    return write_result(path, config, cell, c, b * (1.0 + error_b))


@pytest.fixture(scope="module")
def outcome(solved, tmp_path_factory):
    """What is said of a result with errors of 3e-3 and 1e-4."""
    return validate(perturbed(tmp_path_factory.mktemp("known") / "run.h5", solved, 3e-3, 1e-4))


def test_a_known_error_is_measured(outcome):
    assert outcome.settled.still
    assert outcome.settled.error == pytest.approx({"calcium": 3e-3, "calbindin": 1e-4}, rel=0.05)
    assert outcome.error["calcium"][-1] == pytest.approx(3e-3, rel=0.05)
    assert outcome.error["calbindin"][-1] == pytest.approx(1e-4, rel=0.05)
    assert outcome.error["calcium"][0] == 0.0


def test_a_reference_that_still_moves_says_so(solved, tmp_path):
    seen = []
    path = perturbed(tmp_path / "run.h5", solved, 1e-9, 1e-9)
    rough = validate(path, refinement=1, timed=False, watch=seen.append)
    assert not rough.settled.still
    assert not rough.figures()["reference"]["settled"]
    assert len(seen) == 1
    assert rough.unsettled.startswith("calcium's error of ") and "known to within" in rough.unsettled
    assert rough.figures()["verdict"]["left"] == [rough.unsettled]


def test_an_error_above_the_tolerance_of_the_run_is_a_warning(outcome):
    calcium, calbindin = outcome.accuracy.values()
    assert (calcium.tolerance, calcium.passes, calbindin.passes) == (1e-3, False, True)
    assert calcium.words.startswith("warn: error 3.0e-03, tolerance 1e-03 (window.tolerance): calcium")
    assert outcome.unsettled == ""


def test_no_solve_is_begun_that_would_take_too_long(solved, tmp_path):
    seen = []
    validate(perturbed(tmp_path / "run.h5", solved, 1e-9, 1e-9), patience=0.0, timed=False, watch=seen.append)
    assert len(seen) == 1


def test_the_price_at_equal_error_is_of_a_solve_that_is_as_good(outcome):
    assert all(outcome.price.error[name] <= error for name, error in outcome.settled.error.items())
    # Which of the meshes that are good enough is quickest is a matter of the moment; none is far finer.
    assert outcome.price.cells < 4 * outcome.settled.finest.cells.sum()
    assert outcome.seconds_reference == outcome.price.seconds


def test_the_reference_is_kept_beside_the_result(outcome, solved):
    result = read(outcome.result.path)
    trace = read_reference(result)
    found = trace[FINITE_VOLUMES]
    excess = found.fields["calcium"] - solved[1].constants.c_rest
    apart = np.abs(result.calcium - found.fields["calcium"] - 3e-3 * excess)
    assert apart.max() < 2e-3 * excess.max()
    at_probes = found.probes["calcium"]
    assert at_probes.shape == (13, 2)
    assert at_probes[:, 0].max() > 10.0 * at_probes[:, 1].max()
    assert outcome.balance_reference < 1e-10


def test_figures_are_one_json_object_with_the_promised_keys(outcome):
    figures = json.loads(json.dumps(outcome.figures(), allow_nan=False))
    assert {"rel_l2", "balance", "seconds_ours", "seconds_reference"} <= figures.keys()
    assert figures["seconds_ours"] == pytest.approx(2.25)
    assert figures["balance"] == pytest.approx(1e-6)


def test_the_command_prints_one_object_or_a_table(solved, tmp_path):
    path = perturbed(tmp_path / "run.h5", solved, 3e-2, 1e-2)
    printed = CliRunner().invoke(application(), ["validate", str(path), "--json", "--no-timing"])
    assert printed.exit_code == 0
    figures = json.loads(printed.stdout)
    assert figures["rel_l2"]["calcium"] == pytest.approx(3e-2, rel=0.05)
    assert figures["equal_error"] is None
    table = CliRunner().invoke(application(), ["validate", str(path)])
    assert "relative L2 error of calcium" in table.stdout
    assert "seconds, reference at equal error" in table.stdout
    assert table.stdout.splitlines()[-1] == f"next: hpcpinn plot {path}"


def test_another_morphology_than_the_results_is_refused(solved, tmp_path):
    _, cell, _ = solved
    path = tmp_path / "run.h5"
    other = load_config(None, [*OVERRIDES, "pieces.max_length=5"])
    write_result(path, other, cell)
    with pytest.raises(InputError, match=r"run\.h5: the morphology file now gives .* pieces that differ"):
        validate(path)


def test_a_result_without_frames_is_refused(solved, tmp_path):
    config, cell, _ = solved
    path = tmp_path / "run.h5"
    write_result(path, config, cell, frames=0)
    with pytest.raises(InputError, match="holds 0 frames; nothing to compare"):
        validate(path)


def test_a_file_that_is_no_result_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    path.write_text("no HDF5")
    with pytest.raises(InputError, match=r"run\.h5"):
        validate(path)


def test_the_reference_replaces_neither_an_input_nor_another_file(solved, tmp_path):
    config, cell, _ = solved
    result = write_result(tmp_path / "run.h5", config, cell)
    taken = tmp_path / "run.reference.h5"
    taken.write_text("notes")
    with pytest.raises(InputError, match=r"run\.reference\.h5 is there already and is no hpcpinn reference"):
        validate(result)
    taken.write_text(Path(config.voltage.file).read_text())
    voltage = config.voltage.model_copy(update={"file": str(taken)})
    write_result(result, config.model_copy(update={"voltage": voltage}), cell)
    with pytest.raises(InputError, match=r"run\.reference\.h5 is the voltage file .*lost; .*rename the result"):
        validate(result)
    assert taken.read_text().startswith("time_ms")
