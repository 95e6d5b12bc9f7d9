"""The errors a user meets. Each message names the value, the place and the fix."""


class HpcpinnError(Exception):
    """Base of every error that is shown to a user as one line, without a traceback.

    Attributes:
        exit_code: What the process returns when this error ends it.
    """

    exit_code = 1


class InputError(HpcpinnError):
    """Something the user gave (file, line, key, flag) cannot be used."""

    exit_code = 2


class SolveError(HpcpinnError):
    """A solve did not reach its tolerance or lost its footing; what was computed is kept."""

    exit_code = 1


class OutputError(HpcpinnError):
    """A result could not be written (full disk, no permission); what was written is kept."""

    exit_code = 1
