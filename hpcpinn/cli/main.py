"""The command line: one command per file of this package, each loading what it needs when it runs."""

from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hpcpinn import __version__
from hpcpinn.config.jobs import bundled_names

COMMANDS = (
    "run", "jobs", "init", "inspect", "partition", "protocols", "threshold", "flow-map", "infer", "uq", "validate",
    "plot", "submit",
)  # fmt: skip
"""Every command NAME is the function NAME of ``hpcpinn.cli.NAME`` (with _ for -); its docstring is its help.

A command of several actions is a tuple of functions ACTIONS there, with its help in HELP.

A text MORE of the module stands at the end of the help."""


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


def _application() -> typer.Typer:
    application = typer.Typer(
        cls=_Commands,
        help="Calcium in whole branched neurons: Schwarz-coupled local PINNs over many ranks.",
        epilog=DEBUG,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    application.callback()(_options)
    for name in COMMANDS:
        plain = name.replace("-", "_")
        if find_spec(f"hpcpinn.cli.{plain}") is not None:
            module = import_module(f"hpcpinn.cli.{plain}")
            epilog = f"{getattr(module, 'MORE', '')}\n\n{DEBUG}"
            if hasattr(module, "ACTIONS"):
                actions = typer.Typer(cls=_Commands, rich_markup_mode=None, help=module.HELP, epilog=epilog)
                for action in module.ACTIONS:
                    actions.command(epilog=epilog)(action)
                application.add_typer(actions, name=name)
            else:
                application.command(name, epilog=epilog)(getattr(module, plain))
    return application


app = _application()
