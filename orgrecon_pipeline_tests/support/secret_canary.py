"""A password that is hard to escape. Tests put it into every URL and check that it appears in no output or file."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

_BEGIN, _END = "k4n4ry1", "k4n4ry2"
PASSWORD = f"{_BEGIN}p@ss:w/rd?%#'\"é{_END}"
ENCODED = quote(PASSWORD, safe="")
_FRAGMENTS = (_BEGIN, _END, "p@ss:w", "p%40ss", "rd?%#", "rd%3F%25")
_WITHOUT_PASSWORD = re.compile(r"^(postgres(?:ql)?(?:\+\w+)?://[^:/@?]+)@")


def with_password(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the password added to every Postgres URL that has none."""
    return {name: _WITHOUT_PASSWORD.sub(lambda match: f"{match[1]}:{ENCODED}@", value)
            for name, value in environ.items()}


def password_fragments(*texts: str | bytes) -> list[str]:
    """Return the fragments of the password that occur in the texts."""
    content = b"\n".join(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text for text in texts)
    return [fragment for fragment in _FRAGMENTS if fragment.encode() in content]


def files_with_password(directory: Path) -> Iterator[str]:
    """Yield every file below a directory that contains a fragment of the password, even in compressed SQLite cells."""
    for path in directory.rglob("*"):
        if not path.is_file():
            continue
        content = _read_data(path)
        if password_fragments(content):
            yield str(path)
        if content[:15] == b"SQLite format 3":
            yield from (f"{path}: {table}" for table in _tables_with_password(path))


def _tables_with_password(path: Path) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    if isinstance(cell, bytes):
                        with contextlib.suppress(zlib.error):
                            if password_fragments(zlib.decompress(cell)):
                                yield table


def _read_data(path: Path) -> bytes:
    """Return the content of a file without its holes; a sparse file may be larger than the memory."""
    pieces, end = [], 0
    with path.open("rb", buffering=0) as file:
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data follows
                    return b"".join(pieces)
                raise
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            pieces.append(os.pread(file.fileno(), end - start, start))
