"""Where a ledger is. The one place that sees its URL as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.postgres.libpq_parameters import unfit_parameter

_FORMS = "write sqlite:///path/to/ledger.db or postgresql://user:password@host:5432/database"
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?://", re.IGNORECASE)
# What would break the one line of a message, and what is no text at all.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_POSTGRES = re.compile(r"postgres(?:ql)?(?:\+[a-z0-9_]+)?://", re.IGNORECASE)


@dataclass(frozen=True)
class SqliteAddress:
    """The file of an SQLite ledger."""

    path: Path

    def __str__(self) -> str:
        return f"the ledger {self.path}"


@dataclass(frozen=True)
class PostgresAddress:
    """libpq's parameters of a Postgres ledger; neither ``str`` nor ``repr`` shows them."""

    parameters: dict[str, Any] = field(repr=False, hash=False)

    def __str__(self) -> str:
        return "the Postgres ledger"


def parse_address(url: str) -> SqliteAddress | PostgresAddress:
    """Read a ledger's URL; ``postgresql+driver://`` names any driver, ours is always psycopg.

    Raises:
        ConfigurationError: without any part of the URL in it.
    """
    url = url.strip()
    if match := _SQLITE.match(url):
        return _sqlite(url[match.end():])
    if match := _POSTGRES.match(url):
        return _postgres(url[match.end():])
    raise ConfigurationError(f"the ledger's URL (ORGRECON_LEDGER_URL) is of no known form: {_FORMS}.")


def _sqlite(rest: str) -> SqliteAddress:
    if not rest.startswith("/"):
        raise ConfigurationError(
            "the ledger's URL (ORGRECON_LEDGER_URL) names no file: write sqlite:///relative/path.db "
            "or sqlite:////absolute/path.db.")
    path = rest[1:]
    if "?" in path:
        raise ConfigurationError("the ledger's URL (ORGRECON_LEDGER_URL): an SQLite ledger takes no parameters: "
                                 "remove '?' and what follows.")
    if path in ("", ":memory:"):
        raise ConfigurationError("the ledger's URL (ORGRECON_LEDGER_URL) must name a file: evidence is for ever.")
    if _UNFIT.search(path):
        raise ConfigurationError("the ledger's URL (ORGRECON_LEDGER_URL) names a file with control characters, "
                                 "or not in UTF-8: name another one.")
    return SqliteAddress(Path(path))


def _postgres(rest: str) -> PostgresAddress:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        # libpq's own parser: several hosts, ?host=/socket/dir and service= mean what they mean everywhere.
        parameters = conninfo_to_dict("postgresql://" + rest)
    except (ProgrammingError, UnicodeError, ValueError):
        raise ConfigurationError(
            "the ledger's URL (ORGRECON_LEDGER_URL) cannot be read: percent-encode special characters in user and "
            "password (@ is %40, / is %2F, % is %25) and use only libpq's parameters after '?'.") from None
    if "@" in str(parameters.get("host", "")):
        raise ConfigurationError("the ledger's URL (ORGRECON_LEDGER_URL) holds more than one '@': "
                                 "write the ones in the password as %40.")
    if unfit := unfit_parameter(parameters):
        raise ConfigurationError(f"the ledger's URL (ORGRECON_LEDGER_URL): {unfit}.")
    return PostgresAddress(parameters)
