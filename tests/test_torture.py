"""Some of what scripts/torture.py does to results: half a minute of it here, half beside the files (tests/io)."""

from tests.torture.script import all_end_as_they_must


def test_nothing_is_lost_and_nothing_unnoticed() -> None:
    all_end_as_they_must(["kills", "flips"], seconds=30)
