"""Pictures as Python and notebooks take them: paths that show themselves."""

import base64
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
"""What a browser can show."""


@dataclass(frozen=True)
class Picture:
    """A picture in a file; a notebook shows it.

    Attributes:
        path: The file.
        keeper: Whatever has to live as long as the file; None where it stays by itself.
    """

    path: Path
    keeper: object = None

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Picture({str(self.path)!r})"

    def _repr_html_(self) -> str:
        kind = _TYPES.get(self.path.suffix.lower())
        if kind is None:
            return f"<code>{html.escape(str(self.path))}</code>"
        data = base64.b64encode(self.path.read_bytes()).decode("ascii")
        return f'<img alt="{html.escape(self.path.stem)}" style="max-width: 100%" src="data:{kind};base64,{data}">'


@dataclass(frozen=True)
class Pictures(Mapping[str, Picture]):
    """Pictures by their names, such as ``cell``; a notebook shows all of them.

    Attributes:
        drawn: The pictures.
        left_out: Why others were not drawn, sentences.
    """

    drawn: tuple[Picture, ...]
    left_out: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Picture:
        for picture in self.drawn:
            if picture.path.stem == name:
                return picture
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter([picture.path.stem for picture in self.drawn])

    def __len__(self) -> int:
        return len(self.drawn)

    def __repr__(self) -> str:
        lines = [f"  {picture.path}" for picture in self.drawn] + [f"  {reason}" for reason in self.left_out]
        return "\n".join([f"{len(self.drawn)} pictures:", *lines])

    def _repr_html_(self) -> str:
        return "\n".join(picture._repr_html_() for picture in self.drawn)
