"""A password that is hard to escape, given to whatever is run, and looked for wherever it could have been left."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

_BEGIN, _END = "k4n4ry1", "k4n4ry2"
PASSWORD = f"{_BEGIN}p@ss:w/rd?%#'\"é{_END}"
ENCODED = quote(PASSWORD, safe="")
NEEDLES = (_BEGIN, _END, "p@ss:w", "p%40ss", "rd?%#", "rd%3F%25")
_WITHOUT_PASSWORD = re.compile(r"^(postgres(?:ql)?(?:\+\w+)?://[^:/@?]+)@")


def with_password(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the password in every Postgres URL that has none."""
    return {name: _WITHOUT_PASSWORD.sub(lambda found: f"{found[1]}:{ENCODED}@", value)
            for name, value in environ.items()}


def told_in(*texts: str | bytes) -> list[str]:
    """The pieces of the password that are in the texts."""
    told = b"\n".join(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text for text in texts)
    return [piece for piece in NEEDLES if piece.encode() in told]


def found_in(directory: Path) -> Iterator[str]:
    """Every place below a directory that holds a part of the password: files, and whatever SQLite compressed."""
    for path in directory.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if told_in(content):
            yield str(path)
        if content[:15] == b"SQLite format 3":
            with contextlib.closing(sqlite3.connect(path)) as database:
                for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    for row in database.execute(f'SELECT * FROM "{table}"'):
                        for cell in row:
                            if isinstance(cell, bytes):
                                with contextlib.suppress(zlib.error):
                                    if told_in(zlib.decompress(cell)):
                                        yield f"{path}: {table}"
