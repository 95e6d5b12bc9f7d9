"""The jobs that come with hpcpinn."""

from pathlib import Path

from hpcpinn import bundled
from hpcpinn.errors import InputError
from hpcpinn.wording import nearest

DEFAULT = "default"
"""The job of a command that is given none."""


def bundled_names() -> list[str]:
    """Names of the jobs that come with hpcpinn."""
    return list(bundled.files("jobs", ".toml"))


def bundled_job(name: str) -> Path:
    """The job file ``NAME.toml`` that comes with hpcpinn.

    Raises:
        InputError: There is none of that name.
    """
    known = bundled.files("jobs", ".toml")
    if name in known:
        return known[name]
    raise InputError(f"no bundled job {name!r};{near_job(name)} there are: {', '.join(known) or 'none'}")


def near_job(name: str) -> str:
    """A question after the bundled job whose name is most like a word, after a space; empty where none is near."""
    near = nearest(name, bundled_names())
    return f" did you mean the bundled job {near}?" if near else ""
