"""The command line: one command per file of this package, each loading what it needs when it runs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from hpcpinn import __version__
from hpcpinn.config.jobs import bundled_names
from hpcpinn.errors import InputError, warn
from hpcpinn.systems import all_systems, own_systems, part

if TYPE_CHECKING:
    from hpcpinn.core.system import System

COMMANDS = ("run", "jobs", "systems", "init", "infer", "uq", "validate", "plot", "check", "convert", "submit")
"""Commands of all systems: NAME is the function NAME of ``hpcpinn.cli.NAME``.

Systems have others. A command's docstring is its help. In a module it is the function of its name (with _ for -), or,
where it has several actions, a tuple of functions ACTIONS with their help in HELP; a text MORE of the module stands at
the end of the help."""


DEBUG = "--debug behind any command shows the traceback of an error."


class _Commands(TyperGroup):
    """Nothing at all means help, and an option with an optional value gets it here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_resume_value(args) or ["--help"])


def with_resume_value(arguments: list[str]) -> list[str]:
    """The arguments with ``--resume`` spelled out as ``--resume here`` where no value follows it."""
    spelled: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        spelled.append(argument)
        if argument == "--resume" and (not following or following.startswith("-") or _is_job(following)):
            spelled.append("here")
    return spelled


def _is_job(word: str) -> bool:
    """Whether it cannot be meant for a checkpoint."""
    return word.endswith((".toml", ".swc")) or word.startswith("builtin:") or word in bundled_names()


def _say_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """What may stand before a command."""


def application(*, is_asked_for_help: bool = False) -> typer.Typer:
    """The command line, with the commands of all systems that are known now.

    Args:
        is_asked_for_help: Whether systems that cannot be loaded are only warned of.

    Raises:
        InputError: As `all_commands`.
    """
    whole = typer.Typer(
        cls=_Commands,
        help="Calcium in whole branched neurons, and other systems (hpcpinn systems): Schwarz-coupled local PINNs over "
        "many ranks.",
        epilog=DEBUG,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    whole.callback()(_options)
    for name, command in all_commands(is_asked_for_help=is_asked_for_help).items():
        _add(whole, name, part(command))
    return whole


def all_commands(*, is_asked_for_help: bool = False) -> dict[str, Any]:
    """Every command by name: its function, its module, or that module's name.

    Args:
        is_asked_for_help: Whether systems that cannot be loaded are only warned of.

    Raises:
        InputError: A system brings one that is there already, or cannot be loaded.
    """
    own = {name: f"hpcpinn.cli.{name}" for name in COMMANDS}
    try:
        brought = _commands_of(all_systems())
    except InputError as error:
        if not is_asked_for_help:
            raise
        warn(f"{error}; only systems that come with hpcpinn are shown")
        brought = _commands_of(own_systems())
    first = COMMANDS.index("infer")  # a cell is looked at before anything is inferred
    return {**dict(list(own.items())[:first]), **brought, **own}


def _commands_of(systems: Iterable["System"]) -> dict[str, Any]:
    brought: dict[str, Any] = {}
    for system in systems:
        for name, command in getattr(system, "commands", {}).items():
            if name in COMMANDS or name in brought:
                raise InputError(f"the system {system.name!r}: a command {name!r} is there already; name it otherwise")
            brought[name] = command
    return brought


def _add(whole: typer.Typer, name: str, command: Any) -> None:
    """Makes a function, or a module with one or several, a command of the whole."""
    epilog = f"{getattr(command, 'MORE', '')}\n\n{DEBUG}"
    if hasattr(command, "ACTIONS"):
        actions = typer.Typer(cls=_Commands, rich_markup_mode=None, help=command.HELP, epilog=epilog)
        for action in command.ACTIONS:
            actions.command(epilog=epilog)(action)
        whole.add_typer(actions, name=name)
    else:
        whole.command(name, epilog=epilog)(getattr(command, name.replace("-", "_"), command))
