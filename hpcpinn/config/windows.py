"""Lengths of windows that contradict each other, in descriptions of any system."""

from collections.abc import Iterator
from typing import Any

from hpcpinn.config.lines import Path
from hpcpinn.wording import biology

_IN_ORDER = ("shortest", "first", "longest")


def windows_out_of_order(described: Any) -> Iterator[tuple[Path, str]]:
    """Keys of the table ``window``, where a description has one, that are not shortest <= first <= longest."""
    window: Any = getattr(described, "window", None)
    if not all(hasattr(window, key) for key in _IN_ORDER):
        return
    for lower, upper in (("shortest", "longest"), ("shortest", "first"), ("first", "longest")):
        low, high = getattr(window, lower), getattr(window, upper)
        if low > high:
            given = lower if lower in window.model_fields_set else upper
            yield (
                ("window", given),
                f"window.{lower} = {biology(low, 6)} is longer than window.{upper} = {biology(high, 6)}; "
                "expected shortest <= first <= longest",
            )
