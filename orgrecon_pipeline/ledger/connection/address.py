"""Address of the ledger: an SQLite file or a Postgres database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.postgres.dsn import Dsn

VARIABLE = "ORGRECON_LEDGER_URL"

_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?://", re.IGNORECASE)
# Line breaks and control characters would break the one line of a message; lone surrogates are not valid text.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class SqliteAddress:
    """File of an SQLite ledger."""

    path: Path

    def __str__(self) -> str:
        return f"the ledger {self.path}"


@dataclass(frozen=True)
class PostgresAddress:
    """libpq parameters of a Postgres ledger. Neither ``str`` nor ``repr`` shows them."""

    parameters: dict[str, Any] = field(repr=False, hash=False)

    def __str__(self) -> str:
        return "the Postgres ledger"


def parse_address(url: str) -> SqliteAddress | PostgresAddress:
    """Parse a ledger URL: ``sqlite:///path``, or a Postgres URL in any form that :meth:`Dsn.parse` accepts.

    Raises:
        ConfigurationError: if the URL is not valid. The message contains no part of a Postgres URL.
    """
    url = url.strip()
    if match := _SQLITE.match(url):
        return _sqlite(url[match.end():])
    if Dsn.is_postgres(url):
        return PostgresAddress(Dsn.parse(url, VARIABLE).parameters)
    raise ConfigurationError(f"{VARIABLE} is not a ledger URL: write sqlite:///path/to/ledger.db or "
                             "postgresql://user:password@host:5432/database.")


def _sqlite(rest: str) -> SqliteAddress:
    if not rest.startswith("/"):
        raise ConfigurationError(f"{VARIABLE} names no file: write sqlite:///relative/path.db or "
                                 "sqlite:////absolute/path.db.")
    path = rest[1:]
    if "?" in path:
        raise ConfigurationError(f"{VARIABLE}: an SQLite ledger takes no parameters: remove '?' and the text after it.")
    if path in ("", ":memory:"):
        raise ConfigurationError(f"{VARIABLE} must name a file: a ledger in memory would lose the evidence.")
    if _UNPRINTABLE.search(path):
        raise ConfigurationError(f"{VARIABLE}: the file name contains control characters or is not valid UTF-8: "
                                 "choose another name.")
    return SqliteAddress(Path(path))
