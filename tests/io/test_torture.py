"""Half a minute of what scripts/torture.py does to files and disks."""

from tests.torture.script import all_end_as_they_must


def test_files_and_disks_that_are_not_as_they_should_be_are_named() -> None:
    all_end_as_they_must(["files", "full", "gone"], seconds=30)
