"""``hpcpinn`` in the process of the tests: its errors are raised, its files are there afterwards."""

from hpcpinn.cli.main import application


def hpcpinn(*arguments: object) -> None:
    """Runs a command."""
    application()([str(argument) for argument in arguments], standalone_mode=False)
