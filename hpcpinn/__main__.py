"""``python -m hpcpinn``: the command line, guarded so that all ranks end together."""

import os
import sys
import warnings
from typing import Any

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.parallel import launch, stopping, surroundings
from hpcpinn.parallel.abort import INTERRUPTED, guarded


def main() -> None:
    """Runs the command that ``sys.argv`` names, and exits. Collective over all ranks."""
    with stopping.listening(to_the_end=True):
        surroundings.settle()
        debug = "--debug" in sys.argv
        arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
        if not launch.output_is_terminal():
            os.environ.setdefault("TTY_COMPATIBLE", "0")  # rich: log lines instead of a live display
        warnings.simplefilter("default", InputWarning)  # PYTHONWARNINGS=ignore is not about the user's own input
        warnings.showwarning = _say_warning(warnings.showwarning)
        with guarded(debug=debug):
            if code := _command(arguments):
                sys.exit(code)


def _say_warning(others: Any) -> Any:
    """How warnings are shown: those about the user's input in our form and from one rank, the others as before."""

    def show(message: Any, category: Any, *place: Any) -> None:
        if not issubclass(category, InputWarning):
            others(message, category, *place)
        elif launch.promised_rank() == 0:
            print(f"hpcpinn: warning: {' '.join(str(message).split())}", file=sys.stderr, flush=True)

    return show


def _command(arguments: list[str]) -> int | None:
    import typer

    from hpcpinn.cli.main import application

    surroundings.require_folder()
    is_asked_for_help = not arguments or not {"--help", "--version"}.isdisjoint(arguments)
    try:
        code = application(is_asked_for_help=is_asked_for_help)(arguments, standalone_mode=False, prog_name="hpcpinn")
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        setting = surroundings.blame_setting(error)
        if setting is not None:
            raise setting from error
        if not hasattr(error, "format_message"):
            raise
        # A mistake on the command line itself: the parser's words, our form.
        raise InputError(f"{error.format_message()} ({_for_sbatch(error, arguments)}{_help_of(error)})") from error
    if code == INTERRUPTED:
        raise KeyboardInterrupt  # typer makes this code of it, and says nothing
    return code if isinstance(code, int) else None


def _for_sbatch(error: Any, arguments: list[str]) -> str:
    """How an option that is none of ours reaches sbatch; empty where it would not."""
    option = getattr(error, "option_name", None)
    if arguments[:1] != ["submit"] or type(error).__name__ != "NoSuchOption":
        return ""
    at = next((number for number, word in enumerate(arguments) if word.partition("=")[0] == option), None)
    if at is None:
        return ""
    following = arguments[at + 1 : at + 2]
    value = [f"={word}" for word in following if "=" not in arguments[at] and not word.startswith("-")]
    return f"an option of sbatch itself: --sbatch={arguments[at]}{''.join(value)}; "


def _help_of(error: Any) -> str:
    """Which help lists what could have been typed: that of the command, once there is one."""
    command = getattr(getattr(error, "ctx", None), "command_path", "hpcpinn")
    return f"`{command} --help` lists {'commands and options' if command == 'hpcpinn' else 'what it takes'}"


if __name__ == "__main__":
    main()
