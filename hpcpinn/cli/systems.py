"""``hpcpinn systems``: what can be solved, and what a description of it may say."""

from typing import Annotated

import typer

from hpcpinn.systems import places, system_named, system_names


def systems(
    name: Annotated[str | None, typer.Argument(help="A system, whose tables and keys are then listed.")] = None,
) -> None:
    """Lists the systems that can be solved, or the keys of one with units, bounds and defaults."""
    brought = places()
    if name is not None:
        from hpcpinn.config.keys import lines_of

        system = system_named(name)
        print(f'system = "{name}"  {system.summary}{f" ({brought[name]})" if name in brought else ""}')
        for line in lines_of(system.tables):
            print(line)
        return
    names = system_names()
    width = max(map(len, names))
    for known in names:
        origin = f"  ({brought[known]})" if known in brought else ""
        print(f"{known:<{width}}  {system_named(known).summary}{origin}")
    print("tables and keys of one: hpcpinn systems NAME;  your own: the variable HPCPINN_SYSTEMS, docs/extend.md")
