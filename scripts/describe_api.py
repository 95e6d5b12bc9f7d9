"""Writes what type checkers see of the front door from the tables and verbs of all systems that come with hpcpinn.

Signatures of what a system offers (``front.pyi``), of what is done (``api/experiment.pyi``), of verbs
(``api/brought.pyi``), and the names in ``hpcpinn/__init__.py``.

python scripts/describe_api.py
"""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import EllipsisType, ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

import hpcpinn
from hpcpinn.api import job
from hpcpinn.api.verbs import own_of
from hpcpinn.config.given import Given, signature_of, type_of
from hpcpinn.config.reading import table_class
from hpcpinn.systems import own_systems, part

PACKAGE = Path(hpcpinn.__file__).parent
SYSTEMS = own_systems()
FRONTS = [import_module(f"{type(system).__module__}.front") for system in SYSTEMS]
HEAD = '''\
"""Written by scripts/describe_api.py from the tables of the run description: change them there."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from hpcpinn.config.given import Given
'''

FILES = ("file", "waveform")
"""Keys that name files."""


def typed(annotation: Any) -> str:
    """A type as it is written; lists are any sequence, tables may be mappings."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(word for one in arguments for word in typed(one).split(" | ")))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]".replace("'", '"')
    if origin is tuple:
        return f"Sequence[{typed(arguments[0])}]"
    if origin is dict:
        return f"Mapping[{', '.join(map(typed, arguments))}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"{annotation.__name__} | Mapping[str, Any]"
    return "None" if annotation is type(None) else str(annotation.__name__)


def parameter(one: inspect.Parameter) -> str:
    """A parameter with its type and, where that is short, its default."""
    kind = typed(one.annotation)
    if one.name in FILES:
        kind = kind.replace("str", "str | PathLike[str]", 1)
    if one.default is inspect.Parameter.empty:
        return f"{one.name}: {kind}"
    simple = isinstance(one.default, (str, int, float, type(None), EllipsisType)) and str(one.default) != "inf"
    shown = repr(one.default).replace("'", '"') if simple else "..."
    return f"{one.name}: {kind} = {shown}"


def stub(kind: type[Given]) -> str:
    """The class with its signature."""
    parameters = list(signature_of(kind).parameters.values())
    if kind.of_text:  # text in the first place
        first = parameters[0]
        parameters[0] = first.replace(annotation=first.annotation | str)
    told = [f"        {parameter(one)}," for one in parameters]
    if "str" in typed(parameters[0].annotation) and kind.of_text:
        told[0] = told[0].replace("str", "str | PathLike[str]", 1)
    by_name = next((n for n, one in enumerate(parameters) if one.kind is inspect.Parameter.KEYWORD_ONLY), None)
    if by_name is not None:
        told.insert(by_name, "        *,")
    bases = ", ".join(base.__name__ for base in kind.__bases__)
    return "\n".join(
        [f"class {kind.__name__}({bases}):", "    def __init__(", "        self,", *told, "    ) -> None: ..."]
    )


def pages() -> dict[Path, str]:
    """The text of everything that is written, and where it stands."""
    fronts = {Path(module.__file__ or "").with_suffix(".pyi"): page(module) for module in FRONTS}
    texts = {
        PACKAGE / "api" / "experiment.pyi": experiment(),
        PACKAGE / "api" / "brought.pyi": verbs(),
        PACKAGE / "__init__.py": names(),
    }
    return fronts | {place: formatted(text, place) for place, text in texts.items()}


def page(module: ModuleType) -> str:
    """The whole stub of a module."""
    kinds = [getattr(module, name) for name in module.__all__]
    used: dict[str, set[str]] = {}
    for kind in kinds:
        base = kind.__bases__[1]
        used.setdefault(base.__module__, set()).add(base.__name__)
        for one in signature_of(kind).parameters.values():
            for inner in _tables_in(one.annotation):
                used.setdefault(inner.__module__, set()).add(inner.__name__)
    imports = [f"from {source} import {', '.join(sorted(names))}" for source, names in sorted(used.items())]
    text = "\n".join([HEAD.rstrip("\n"), *imports, "", *(stub(kind) for kind in kinds), ""])
    return formatted(text, Path(module.__file__ or "").with_suffix(".pyi"))


def experiment() -> str:
    """The stub of `hpcpinn.api.experiment`: keys of [run], tables and lists of all systems."""
    kinds = {kind.__bases__[1]: kind for module in FRONTS for kind in vars(module).values() if is_given(kind)}
    keys: dict[str, list[str]] = {}
    for system in SYSTEMS:
        tables = dict(system.tables.model_fields)
        run = table_class(tables.pop("run").annotation)
        assert run is not None and tables.pop("system")
        for name, info in run.model_fields.items():
            keys.setdefault(name, []).extend(typed_key(name, type_of(info)).split(" | "))
        for name, info in tables.items():
            table = table_class(info.annotation)
            own = [kinds[table].__name__] if table in kinds else []
            if get_origin(info.annotation) is tuple:
                text = ["str"] if job.only_key(table) else []
                word = "learn" if name == "parameter" else job.plural(name)
                keys.setdefault(word, []).append(f"Sequence[{' | '.join([*own, *text, 'Keys'])}]")
            else:
                keys.setdefault(name, []).extend([*own, "Keys"])
    return "\n".join(
        [
            HEAD,
            "from typing import TypedDict",
            *(f"from {kind.__module__} import {kind.__name__}" for kind in kinds.values()),
            "Keys = Mapping[str, Any]",
            "class Experiment(TypedDict, total=False):",
            *(f"    {name}: {' | '.join(dict.fromkeys(types))}" for name, types in keys.items()),
        ]
    )


def is_given(kind: Any) -> bool:
    """Whether it is a table that Python makes."""
    return isinstance(kind, type) and issubclass(kind, Given) and kind is not Given


def typed_key(name: str, annotation: Any) -> str:
    """The type of a key; of files a path, too."""
    kind = typed(annotation)
    return kind.replace("str", "str | PathLike[str]", 1) if name in (*FILES, "output") else kind


def verbs() -> str:
    """The stub of `hpcpinn.api.brought`: every verb as a function and as a method of jobs."""
    sources = ["from hpcpinn.progress import ProgressDisplay", "import networkx as nx", "from typing import Unpack"]
    sources += ["from hpcpinn.api.experiment import Experiment", "from hpcpinn.api.job import Job"]
    sources += ["from hpcpinn.core.front import Part"]
    methods, functions = [], []
    for system in SYSTEMS:
        for name, verb in getattr(system, "verbs", {}).items():
            work = part(verb.work)
            given = [
                f"{one.name}: {typed(one.annotation)} = {one.default!r}".replace("'", '"') for one in own_of(work)
            ] + ["progress: ProgressDisplay | bool = False"]
            answer = work.__annotations__["return"]
            tree = inspect.getsource(import_module(work.__module__))
            sources += [line.strip() for line in tree.splitlines() if line.endswith(f" import {answer}")][:1]
            methods.append(f"    def {name}(self, *, {', '.join(given)}) -> {answer}: ...")
            functions.append(
                f"def {name}(on: Job | Part | str | PathLike[str] | nx.Graph, model: Part | None = None, *, "
                f"{', '.join(given)}, **experiment: Unpack[Experiment]) -> {answer}: ..."
            )
    return "\n".join([HEAD, *sources, "class OfJobs:", *methods, *functions])


BEGIN, END = "# written by scripts/describe_api.py\n", "# end of what is written\n"


def names() -> str:
    """``hpcpinn/__init__.py`` with all names that are offered, where type checkers look for them."""
    places = dict(hpcpinn._PLACES)
    for system in SYSTEMS:
        front = getattr(system, "front", {})
        places |= {name: place.partition(":")[0] for name, place in front.items()}
        places |= dict.fromkeys(getattr(system, "verbs", {}), "hpcpinn.api.brought")
    offered = [name for name in places if name not in hpcpinn._PLACES]
    before, _, rest = (PACKAGE / "__init__.py").read_text().partition(BEGIN)
    written = [
        "if TYPE_CHECKING:",
        *(f"    from {place} import {name} as {name}" for place, name in sorted((at, of) for of, at in places.items())),
        "",
        "_OFFERED = (" + ", ".join(f'"{name}"' for name in offered) + ",)",
        '__all__ = ["__version__", *_PLACES, *_OFFERED]',
    ]
    return before + BEGIN + "\n".join(written) + "\n" + END + rest.partition(END)[2]


def formatted(text: str, place: Path) -> str:
    """The text as ruff writes it."""
    ruff = [sys.executable, "-m", "ruff"]
    for arguments in (["check", "--select", "I,F401", "--fix", "-q"], ["format"]):
        command = [*ruff, *arguments, "--stdin-filename", str(place), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def _tables_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for one in get_args(annotation) for found in _tables_in(one)]


if __name__ == "__main__":
    for place, text in pages().items():
        place.write_text(text)
