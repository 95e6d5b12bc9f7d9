"""Settings of the user's shell never end a command by an error of ours."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpcpinn.errors import InputError
from hpcpinn.parallel import xla_flags
from tests.cli import forked
from tests.cli.in_process import hpcpinn
from tests.mpi import runner

REPOSITORY = Path(__file__).resolve().parents[2]


def python(program: str, redirection: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python in a shell."""
    return subprocess.run(
        ["bash", "-c", f"exec {shlex.quote(sys.executable)} -c {shlex.quote(program)} {redirection}"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path]), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SETTLE = "import sys; from hpcpinn.parallel.surroundings import settle; settle(); "


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["io-encoding", "locale"],
)
def test_letters_that_the_terminal_lacks_are_spelled_out(environment):
    done = python(SETTLE + r"print('1 \u00b5m \u2192 2'); print('\udcff.swc', file=sys.stderr)", **environment)
    assert (done.returncode, done.stdout) == (0, "1 \\xb5m \\u2192 2\n")
    assert done.stderr == "\\udcff.swc\n"


def test_a_file_name_that_is_no_text_is_printed():
    assert python(SETTLE + r"print('\udcff.swc')").stdout == "\\udcff.swc\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed, tmp_path):
    file = tmp_path / "result"
    program = f"print(1); print(2, file=sys.stderr); f = open({str(file)!r}, 'w'); f.write(str(f.fileno())); "
    done = python(SETTLE + program + "sys.stdin.read()", f"{closed} < /dev/null" if closed[0] != "<" else closed)
    assert done.returncode == 0
    assert int(file.read_text()) > 2
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "1\n")
    assert done.stderr == ("" if "2>&-" in closed else "2\n")


def test_warnings_are_no_errors():
    program = SETTLE + "import warnings; warnings.warn('old', DeprecationWarning); print('on')"
    done = python(program, PYTHONWARNINGS="error")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "DeprecationWarning: old" in done.stderr


def test_settings_for_other_programs_are_taken_away_and_named():
    done = python(SETTLE + "import os; print('JAX_DEBUG_NANS' in os.environ)", JAX_DEBUG_NANS="1")
    assert done.stdout == "False\n"
    assert done.stderr == "hpcpinn: warning: JAX_DEBUG_NANS would stop sound calculations; it is ignored\n"


WORKS: dict[str, dict[str, str]] = {
    "terminal of one column": {"COLUMNS": "1", "TERM": "dumb"},
    "no columns": {"COLUMNS": "0", "LINES": "0"},
    "columns that are no number": {"COLUMNS": "junk", "LINES": "junk"},
    "colours wanted": {"FORCE_COLOR": "1", "TERM": "unknown"},
    "colours unwanted": {"NO_COLOR": "1"},
    "no home": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent"},
    "home that is a file": {"HOME": "/dev/null"},
    "nowhere for temporary files": {"TMPDIR": "/nonexistent", "TEMP": "/nonexistent", "TMP": "/nonexistent"},
    "threads that are no number": {"OMP_NUM_THREADS": "junk"},
    "file locks": {"HDF5_USE_FILE_LOCKING": "junk", "HDF5_PLUGIN_PATH": "/nonexistent", "HDF5_DRIVER": "junk"},
    "inside a SLURM job": {"SLURM_JOB_ID": "7", "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "3"},
    "left over from mpirun": {"OMPI_COMM_WORLD_RANK": "3"},
    "left over from a big mpirun": {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"},
    "left over from Hydra": {"PMI_RANK": "3", "PMI_SIZE": "4"},
    "left over from srun": {"PMIX_RANK": "3"},
    "ranks that are no numbers": {"OMPI_COMM_WORLD_RANK": "²", "PMI_RANK": "9" * 5000, "SLURM_LOCALID": "-1"},
    "a GPU that is not there": {"CUDA_VISIBLE_DEVICES": "77"},
}


@pytest.mark.parametrize("environment", WORKS.values(), ids=WORKS.keys())
def test_a_command_works_and_says_the_same(environment, tmp_path):
    done = forked.command(["inspect", "builtin:y_branch", "--json"], tmp_path, environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('{"')


def test_pictures_look_the_same_whatever_a_persons_style(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\n")
    for name, environment in (("plain.png", {}), ("styled.png", {"MATPLOTLIBRC": str(tmp_path / "own")})):
        done = forked.command(["inspect", "builtin:y_branch", "--picture", name], tmp_path, environment)
        assert (done.returncode, done.stderr) == (0, "")
    plain, styled = ((tmp_path / name).read_bytes() for name in ("plain.png", "styled.png"))
    assert plain == styled


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "GTK", "", "qtagg"])
def test_pictures_are_drawn_whatever_the_backend(backend, tmp_path):
    folder = tmp_path / "of [bold] µ 'blanks'"
    folder.mkdir()
    done = forked.command(["inspect", "builtin:y_branch"], folder, {"MPLBACKEND": backend, "COLUMNS": "0"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "volume um3" in done.stdout
    assert (folder / "results" / "y_branch.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_was_deleted(tmp_path):
    program = (
        f"import os, sys; os.chdir({str(tmp_path)!r}); os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); "
        "sys.argv = ['hpcpinn', 'inspect', 'builtin:y_branch']; from hpcpinn.__main__ import main; main()"
    )
    done = python(program)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hpcpinn: the working folder is not there any more")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_log_on_a_full_disk_is_one_line(buffered):
    program = "from hpcpinn.parallel.abort import guarded\nwith guarded(): print('x')"
    done = python(program, "> /dev/full", PYTHONUNBUFFERED=buffered)
    assert done.returncode == 1
    assert done.stderr == (
        "hpcpinn: output cannot be written (No space left on device); make room, or send it somewhere else\n"
    )


def launched(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command from nothing: JAX reads its variables when it is loaded."""
    return subprocess.run(
        [sys.executable, "-m", "hpcpinn", *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


CUDA = "install the CUDA build (scripts/setup.sh), ask for a GPU (--gpus-per-node), or unset it"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"JAX_PLATFORMS": "cuda"}, f"JAX_PLATFORMS=cuda: JAX finds no such device here; {CUDA}"),
        ({"JAX_PLATFORMS": "tpu"}, "JAX_PLATFORMS=tpu: JAX finds no such device here; unset it, or give cpu or cuda"),
        ({"JAX_PLATFORMS": "cpuu"}, "JAX_PLATFORMS=cpuu: JAX finds no such device here; unset it"),
        ({"JAX_ENABLE_X64": "junk"}, "JAX_ENABLE_X64=junk: JAX takes no such value; unset it"),
        ({"JAX_DEFAULT_DEVICE": "abacus"}, "JAX_DEFAULT_DEVICE=abacus: JAX takes no such value"),
        ({"XLA_FLAGS": "--xla_nonsense=1"}, "XLA_FLAGS=--xla_nonsense=1: XLA does not take it (Unknown flag"),
    ],
    ids=["cuda", "tpu", "typo", "truth", "device", "flags"],
)
def test_a_device_that_cannot_be_had_is_one_line(environment, expected, tmp_path):
    if environment.get("JAX_PLATFORMS") == "cuda" and Path("/proc/driver/nvidia/gpus").is_dir():
        pytest.skip("this machine has a GPU")
    done = launched("run", cwd=tmp_path, **environment)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"hpcpinn: {expected}")
    assert list(tmp_path.iterdir()) == []


JOBS = REPOSITORY / "jobs"


@pytest.mark.parametrize(
    "typed",
    [
        ["run"],
        ["run", str(JOBS / "dopamine.toml")],
        ["infer", str(JOBS / "dopamine_inverse.toml")],
        ["uq", str(JOBS / "neuron_inverse.toml")],
        ["validate", "run.h5"],
        ["threshold", str(JOBS / "rtms_10hz.toml")],
        ["flow-map", "show"],
        ["protocols", "iTBS600", "--picture", "train.png"],
    ],
    ids=lambda typed: " ".join(Path(word).name for word in typed),
)
def test_every_command_that_computes_hears_of_the_device_first(typed, tmp_path, monkeypatch):
    def lacking() -> None:
        raise InputError("no device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hpcpinn.parallel.device._start", lacking)
    with pytest.raises(InputError, match="^no device$"):
        hpcpinn(*typed)
    assert list(tmp_path.iterdir()) == []


def test_no_rank_waits_for_a_device_that_no_rank_can_have(tmp_path):
    if Path("/proc/driver/nvidia/gpus").is_dir():
        pytest.skip("this machine has a GPU")
    finished = runner.run(
        runner.python_under_mpi(["-m", "hpcpinn", "run"], 2), environment={"JAX_PLATFORMS": "cuda"}, directory=tmp_path
    )
    lines = [line for line in finished.stderr.splitlines() if line.startswith("hpcpinn: ")]
    assert finished.code == 2, finished.output
    assert lines == [f"hpcpinn: JAX_PLATFORMS=cuda: JAX finds no such device here; {CUDA}"]


@pytest.mark.parametrize(
    "flags",
    ["", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false", "--xla_cpu_use_xnnpack=false"],
)
def test_flags_that_xla_takes_pass(flags):
    xla_flags.check({**os.environ, "XLA_FLAGS": flags})


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--xla_cpu_use_xnnpack=maybe", "Couldn't interpret value maybe for flag xla_cpu_use_xnnpack"),
        ("/nowhere", 'Could not open file "/nowhere" to read flags'),
    ],
)
def test_flags_that_xla_refuses_are_named(flags, reason):
    with pytest.raises(InputError, match=f"XLA_FLAGS={flags}: .*{reason}"):
        xla_flags.check({**os.environ, "XLA_FLAGS": flags})
