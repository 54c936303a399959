"""Text for people, and the screens that show it: a pipe or a file here, a terminal in :mod:`rich_screen`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Protocol, TextIO
from unicodedata import combining, east_asian_width


class Text:
    """A text with styles in the words of Rich, such as ``bold green``; only a terminal shows them.

    ``style`` applies to the whole text. A part can have a style in addition.
    """

    def __init__(self, text: str, style: str = "") -> None:
        self.style, self.parts = style, [(text, "")]

    def append(self, text: str, style: str = "") -> Text:
        """Append a part, and return the text."""
        self.parts.append((text, style))
        return self

    def __str__(self) -> str:
        return "".join(text for text, _ in self.parts)


class Screen(Protocol):
    """What shows text for people."""

    def print(self, text: Text, *, soft_wrap: bool = False) -> None:
        """Print a text. With ``soft_wrap``, only the terminal itself breaks a long line, so that it can be copied."""

    def print_table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """Print a table without cutting any cell. One without a title has no headers either."""

    def print_box(self, text: Text, colour: str, title: str = "") -> None:
        """Print a text that stands out."""


class PlainScreen:
    """A pipe or a file: no styles, no frames, and no line is broken. Without a stream, nothing is printed."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def print(self, text: Text, *, soft_wrap: bool = False) -> None:
        """Print a text; see :class:`Screen`."""
        self._write(f"{text}\n")

    def print_table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """Print a table whose columns are as wide as their widest cell; see :class:`Screen`."""
        cells = [[str(cell).split("\n") for cell in row] for row in ([headers, *rows] if title else rows)]
        widths = [max(_width(line) for cell in column for line in cell) for column in zip(*cells, strict=True)]
        lines = ["".join(f" {_padded(part, width)} " for part, width in zip(parts, widths, strict=True))
                 for row in cells for parts in zip_longest(*row, fillvalue="")]
        heading = [_padded(title, sum(widths) + 2 * len(widths))] if title else []
        self._write("".join(f"{line}\n" for line in [*heading, *lines]))

    def print_box(self, text: Text, colour: str, title: str = "") -> None:
        """Print a text under its title; see :class:`Screen`."""
        self._write(f"{title}\n{text}\n" if title else f"{text}\n")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return the columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
