"""Output of the command line: Rich on a terminal, plain text in a pipe, JSON on request, and progress on stderr."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

from orgrecon_pipeline.cli.output.screen import PlainScreen, Screen, Text

if TYPE_CHECKING:
    from rich.progress import Progress

#: Progress messages are logged here.
progress_log = logging.getLogger("orgrecon.progress")

#: Seconds between two lines of progress in a log.
LINE_SECONDS = 30.0

_COUNTS = re.compile(r"([0-9][0-9,]*) of about ([0-9][0-9,]*) rows")
# Set to make Rich write colours into a pipe.
_COLOUR_VARIABLES = ("FORCE_COLOR", "TTY_COMPATIBLE")


class Format(str, Enum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class JsonResult(Protocol):
    """Result of an operation that can be printed as JSON."""

    def as_json_value(self) -> Any: ...


Result = TypeVar("Result", bound="JsonResult | Mapping[str, Any]")


def show(result: Result, format: Format, *, text: Callable[[Result], object]) -> None:
    """Print the result of a command on stdout: as one JSON document, or with its text renderer."""
    if format is Format.TEXT:
        text(result)
        return
    print_json(result if isinstance(result, Mapping) else result.as_json_value())


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, sort_keys=True))  # noqa: T201


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print these columns of the rows as CSV on stdout. None is an empty cell."""
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def say(line: str) -> None:
    """Print one line on stderr."""
    write_error(f"orgrecon: {' '.join(line.split())}\n")


def write_error(text: str) -> None:
    """Write a text to stderr. A log on a full disk changes neither a verdict nor the exit code."""
    try:
        print(text, end="", file=sys.stderr)  # noqa: T201
    except BrokenPipeError:
        raise
    except OSError:
        discard(2)


def discard(descriptor: int) -> None:
    """Discard what a standard stream still holds, because the interpreter flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def show_lines(lines: Iterable[str]) -> None:
    """Print plain lines on stdout."""
    screen = stdout()
    for line in lines:
        screen.print(Text(line))


def stdout() -> Screen:
    """Return the screen that stdout is."""
    stream = sys.stdout
    if not _is_terminal(stream) and not any(os.environ.get(name) for name in _COLOUR_VARIABLES):
        return PlainScreen(stream)
    # Rich takes long to import, and most answers go to a program or a log.
    from rich.console import Console

    from orgrecon_pipeline.cli.output.rich_screen import RichScreen

    return RichScreen(Console(highlight=False))


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


@contextmanager
def progress() -> Iterator[None]:
    """Show messages of the logger ``orgrecon.progress``: in place on a terminal, else a plain line now and then."""
    with _progress_bar() if _is_terminal(sys.stderr) else _logged(_LineHandler()):
        yield


@contextmanager
def _progress_bar() -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        with Progress(SpinnerColumn(), BarColumn(bar_width=20), TextColumn("{task.description}", markup=False),
                      console=console, transient=True) as bar, _logged(_BarHandler(bar)):
            yield
    else:
        with _logged(_LineHandler()):
            yield


@contextmanager
def _logged(handler: logging.Handler) -> Iterator[None]:
    progress_log.setLevel(logging.INFO)
    progress_log.addHandler(handler)
    try:
        yield
    finally:
        progress_log.removeHandler(handler)


class _BarHandler(logging.Handler):
    """Shows the latest message, and the counts in it as a bar."""

    def __init__(self, bar: Progress) -> None:
        super().__init__()
        self._bar, self._task = bar, bar.add_task("starting", total=None)

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        done, total = _counts(message)
        self._bar.update(self._task, description=printable(message), completed=done, total=total)


class _LineHandler(logging.Handler):
    """Prints a message as a line if the work takes long."""

    def __init__(self) -> None:
        super().__init__()
        self._last = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            say(printable(record.getMessage()))


def _counts(message: str) -> tuple[int, int | None]:
    """Return the progress and the total in a message such as ``5 of about 1,000 rows``; 0 and None without them.

    The server's statistics can be too low: the work is never shown as done before it is.
    """
    match = _COUNTS.search(message)
    if match is None:
        return 0, None
    done, total = (int(number.replace(",", "")) for number in match.groups())
    return done, max(total, done + 1)


def printable(text: str) -> str:
    """Escape control and direction characters. Tenant names are data and must not control the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
