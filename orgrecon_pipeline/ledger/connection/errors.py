"""Translation of a ledger database's errors into one-line messages without secrets or row values."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, SQLAlchemyError

from orgrecon_pipeline.domain.errors import LedgerUnavailable, OrgreconError
from orgrecon_pipeline.postgres.connection.failure import ConnectionFailed
from orgrecon_pipeline.postgres.errors import failed_statement

_REBUILD = "restore it, or rebuild it with orgrecon import"
#: Why a ledger on a standby, or on a database without writes, cannot be used now.
READ_ONLY = "it is read-only, as a standby is: name a writable database, or wait for the failover"
_CONTRADICTION = "the evidence contradicts itself, or a number or name in it is out of range"

# SQLite's messages from their beginning, and whether the failure passes. Python has their codes only from 3.11 on.
_SQLITE = [(re.compile(pattern), meaning, temporary) for pattern, meaning, temporary in (
    (r"database (?:table )?is locked", "another process holds a lock on it: let it finish and try again", True),
    (r"database or disk is full", "the disk is full: free some space and try again", True),
    (r"disk I/O error", "the disk reports an error: check whether it is full or a quota is exhausted", False),
    (r"attempt to write a readonly database", "it is read-only: make the file and its directory writable", False),
    (r"unable to open database file",
     "the file cannot be opened or created: check its path and the permissions", False),
    (r"file is not a database", "the file is not an SQLite database: name another file", False),
    (r"database disk image is malformed", f"the file is damaged: {_REBUILD}", False),
    (r"orgrecon: .* is append-only", "it is append-only", False),
    (r"(?:table|index|trigger) .* already exists", f"it has tables but no revision: {_REBUILD}", False),
    (r"no such (?:table|column)|table .* has no column", f"its tables are not those of a ledger: {_REBUILD}", False),
)]

# Meanings specific to a ledger, by SQLSTATE or its class. orgrecon_pipeline.postgres.errors has the others.
_POSTGRES = {
    "22": _CONTRADICTION,
    "23": _CONTRADICTION,
    "23001": "it is append-only",
    "25006": READ_ONLY,
    "3D000": "the database does not exist: create it",
    "3F000": "it has no schema to create tables in: create one, set the role's search_path, or grant the role USAGE on "
             "the schema",
    "42501": "permission denied: grant the role TEMPORARY on the database, CREATE and USAGE on "
             "the schema, SELECT and INSERT on the tables, and UPDATE to redact a tenant",
    "42703": f"its tables are not those of a ledger: {_REBUILD}",
    "42P01": f"its tables are not those of a ledger: {_REBUILD}",
    "42P07": f"it has tables but no revision: {_REBUILD}",
    "40": "another transaction changed it at the same time: try again",
    "53100": "the server's disk is full: free some space and try again",
    "55P03": "another session holds a lock on its tables: let it finish and try again",
    "57014": "the statement was cancelled or exceeded the role's statement_timeout: raise it, or try again",
}

# More specific meanings of 42501, by the server's message from its beginning. Its language can be another one.
_REFUSED = [(re.compile(pattern), meaning) for pattern, meaning in (
    (r"permission denied for (?:table|sequence) (orgrecon_\w+)",
     "permission denied: grant the role SELECT and INSERT on {}, and UPDATE to redact a tenant"),
    (r"permission denied for schema (.+)", "permission denied: grant the role USAGE and CREATE on the schema {}"),
    (r"permission denied to create temporary tables in database",
     "permission denied: grant the role TEMPORARY on the database"),
)]
_ROW_SECURITY = ("row-level security hides rows of it from the role: let the role own the tables without FORCE ROW "
                 "LEVEL SECURITY, or run ALTER ROLE … BYPASSRLS")


@contextlib.contextmanager
def translate_errors(kind: type[OrgreconError], doing: str) -> Iterator[None]:
    """Raise the database errors of a block as ``kind``, and those that pass as LedgerUnavailable.

    ``doing`` is the beginning of the message, as in ``cannot open the ledger x``.
    """
    try:
        yield
    except ConnectionFailed as failure:
        raise (LedgerUnavailable if failure.cause.temporary else kind)(f"{doing}: {failure.cause.sentence}.") from None
    except (SQLAlchemyError, UnicodeError, OverflowError) as error:
        meaning, temporary = _meaning(error)
        raise (LedgerUnavailable if temporary else kind)(f"{doing}: {meaning}.") from None


def _meaning(error: Exception) -> tuple[str, bool]:
    """Return what an error means, and whether it passes."""
    cause = getattr(error, "orig", None) or error
    # A lost connection has no SQLSTATE; nor have errors of psycopg itself, such as a value that it cannot convert.
    lost = isinstance(error, (OperationalError, InterfaceError)) and hasattr(cause, "sqlstate")
    if lost or getattr(cause, "sqlstate", None):
        failed = failed_statement(cause)
        meaning = _refusal(cause) or _POSTGRES.get(failed.state) or _POSTGRES.get(failed.state[:2]) or failed.meaning
        return meaning, failed.temporary
    text = str(cause)
    for pattern, meaning, temporary in _SQLITE:
        if pattern.match(text):
            return meaning, temporary
    if isinstance(error, (IntegrityError, OverflowError)):
        return _CONTRADICTION, False
    return "its database does not respond as expected", False


def _refusal(cause: BaseException) -> str:
    """Return which permission a statement lacks; empty if it failed for another reason, or the server does not tell."""
    if getattr(cause, "sqlstate", None) != "42501":
        return ""
    if cause.diag.source_file == "rls.c":  # type: ignore[attr-defined]
        return _ROW_SECURITY
    matches = ((pattern.match(str(cause)), meaning) for pattern, meaning in _REFUSED)
    return next((meaning.format(*match.groups()) for match, meaning in matches if match), "")
