"""What the user keeps when something goes wrong, and what he is told."""

import dataclasses
import importlib
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import pytest

from hpcpinn.errors import InputError, OutputError
from hpcpinn.io import read, refusals
from hpcpinn.io.results import ResultWriter
from hpcpinn.io.seal import seal_file
from tests.io import runs
from tests.io.runs import FIELDS
from tests.io.test_results import check_windows

ENDLESS = textwrap.dedent("""
    import sys
    from hpcpinn.io.results import ResultWriter
    from hpcpinn.parallel.transports import make_communicator
    from tests.io import runs

    writer = ResultWriter(sys.argv[1], make_communicator("serial"), runs.header(1))
    for index in range(10_000):
        runs.write_window(writer, index)
        print(index, flush=True)
""")

NO_ROOM = textwrap.dedent("""
    import resource
    import sys
    from pathlib import Path

    from hpcpinn.errors import OutputError
    from hpcpinn.io.results import ResultWriter
    from hpcpinn.parallel.transports import make_communicator
    from tests.io import runs, test_checkpoint

    alone, most = make_communicator("serial"), resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for room in (0, 100, 1_000, 3_000, 6_000, 12_000, 24_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        for write in (
            lambda: ResultWriter(Path(sys.argv[1]), alone, runs.header(1)),
            lambda: test_checkpoint.save(Path(sys.argv[2]), alone),
        ):
            try:
                write()
            except OutputError as error:
                print(room, str(error).partition(": ")[2])
            else:
                print(room, "written")
""")

LOOKING = 'import h5py, sys; file = h5py.File(sys.argv[1]); print("open", flush=True); sys.stdin.read()'


def written(communicator, path, windows=2):
    with ResultWriter(path, communicator, runs.header(communicator.size)) as writer:
        write_windows(writer, range(windows))
    return path


def write_windows(writer, indices):
    for index in indices:
        runs.write_window(writer, index)


@pytest.mark.mpi_ranks(2)
def test_a_full_disk_loses_nothing(communicator, common_path):
    path = common_path / "run.h5"
    header = runs.header(communicator.size)
    writer = ResultWriter(path, communicator, header)
    runs.write_window(writer, 0)
    room = path.stat().st_size + 100_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    with pytest.raises(OutputError) as caught:
        write_windows(writer, range(1, 2000))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    message = str(caught.value)
    assert "run.h5: cannot write: File too large; raise the limit on file size" in message
    assert "\n" not in message
    index = int(re.search(r"\(everything up to time (\d+) is kept\)", message).group(1))
    assert index > 1  # the limit was met by a growing file, not by the first flush
    check_windows(path, index)
    communicator.barrier()
    with ResultWriter.resume(path, communicator, header, float(index)) as writer:
        runs.write_window(writer, index)
    check_windows(path, index + 1)


def test_a_disk_that_is_full_from_the_start_ends_in_a_line_and_not_in_hdf5(tmp_path):
    places = [tmp_path / "run.h5", tmp_path / "run.checkpoint.h5"]
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, *map(str, places)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = " cannot write: File too large; raise the limit on file size, or write to another file system"
    ends = ("", " (there is no checkpoint yet)")
    wanted = [f"{room}{told}{end}" for room in (0, 100, 1_000, 3_000, 6_000, 12_000) for end in ends]
    assert done.stdout.splitlines() == [*wanted, f"24000{told}", "24000 written"]
    assert [path.name for path in tmp_path.iterdir()] == ["run.checkpoint.h5"]


@pytest.mark.parametrize("milliseconds", [3, 5, 8, 13, 21, 34])
def test_a_killed_run_leaves_whole_windows(tmp_path, milliseconds):
    path = tmp_path / "run.h5"
    command = [sys.executable, "-c", ENDLESS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGKILL)
        reported = [0] + [int(line) for line in process.stdout.read().split("\n")[:-1]]
    windows = len(read(path).windows["start"])
    assert windows >= reported[-1] + 1
    assert not check_windows(path, windows).complete


@pytest.mark.mpi_ranks(2)
def test_a_place_that_cannot_be_written_is_one_line_on_every_rank(communicator, common_path):
    if communicator.rank == 0:
        (common_path / "file").touch()
    with pytest.raises(OutputError, match="file/run.h5: cannot write: .*a part of the path is a file"):
        ResultWriter(common_path / "file" / "run.h5", communicator, runs.header(communicator.size))
    with pytest.raises(OutputError, match="cannot write: Is a directory; give a file name"):
        ResultWriter(common_path, communicator, runs.header(communicator.size))


def test_someone_looking_at_the_file_does_not_stop_the_run(communicator, tmp_path):
    writer = ResultWriter(tmp_path / "run.h5", communicator, runs.header(1))
    runs.write_window(writer, 0)
    command = [sys.executable, "-c", LOOKING, str(tmp_path / "run.h5")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as viewer:
        assert viewer.stdout is not None
        assert viewer.stdout.readline() == "open\n"
        runs.write_window(writer, 1)
        viewer.communicate("")
    check_windows(tmp_path / "run.h5", 2)


def test_missing_foreign_and_damaged_files_are_named(communicator, tmp_path):
    with pytest.raises(InputError, match="nothing.h5: no such file"):
        read(tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("soma 1 2 3")
    with pytest.raises(InputError, match="text.h5: is no HDF5 file; give the path of an hpcpinn-result file"):
        read(tmp_path / "text.h5")
    (tmp_path / "a job.toml").write_text(f'[run]\noutput = "{tmp_path}/later.h5"\n')
    with pytest.raises(InputError, match=r"a job.toml: is a job, no result; hpcpinn run '.*' solves it, into \S+r.h5"):
        read(tmp_path / "a job.toml")
    (tmp_path / "later.h5").touch()
    with pytest.raises(InputError, match=r"a job.toml: is a job, no result; its result is \S+later.h5$"):
        read(tmp_path / "a job.toml")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(InputError, match="foreign.h5: is no hpcpinn-result file"):
        read(tmp_path / "foreign.h5")
    with h5py.File(tmp_path / "square.h5", "w") as file:
        file.attrs["format"] = "hpcpinn-square"
    with pytest.raises(InputError, match=r"'hpcpinn-square'\); `hpcpinn convert \S+ NEW` writes it anew"):
        read(tmp_path / "square.h5")
    for kind, reader in refusals.READERS.items():
        module, _, name = reader.rpartition(".")
        found = importlib.import_module(module)
        assert callable(getattr(found, name)) and (kind in vars(found).values() or kind == "hpcpinn-result")
    path = written(communicator, tmp_path / "run.h5")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError) as caught:
        read(path)
    expected = "run.h5: cannot be read, it is truncated or damaged; restore it from a copy, or run the job again"
    assert str(caught.value).endswith(expected)  # and none of HDF5's own words
    with pytest.raises(InputError, match="is a directory; give the path of an hpcpinn-result file"):
        read(tmp_path)


def test_another_version_is_named_with_the_fix(communicator, tmp_path):
    path = written(communicator, tmp_path / "run.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99
    seal_file(path)
    with pytest.raises(InputError, match="is of version 99 of .* reads version 2; use the newer one that wrote it"):
        read(path)
    with pytest.raises(InputError, match="is of version 99"):
        ResultWriter.resume(path, communicator, runs.header(1), 1.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"geometry": dataclasses.replace(runs.header(1).geometry, cells_per_piece=4)},
            "cells_per_piece is 3 in the file and 4",
        ),
        ({"fields": runs.header(1).fields[:2]}, "fields is calcium, calbindin, voltage in the file and calcium, calb"),
        ({"probes": ()}, "probes is 3"),
    ],
)
def test_resuming_another_run_is_refused(communicator, tmp_path, change, named):
    path = written(communicator, tmp_path / "run.h5")
    other = dataclasses.replace(runs.header(1), **change)
    with pytest.raises(InputError, match=named):
        ResultWriter.resume(path, communicator, other, 1.0)
    check_windows(path, 2)


def test_every_recorded_field_is_asked_for(communicator, tmp_path):
    writer = ResultWriter(tmp_path / "run.h5", communicator, runs.header(1))
    with pytest.raises(KeyError, match="voltage"):
        writer.frame(0.0, {name: runs.frame(name, 0.0) for name in FIELDS[:2]})
