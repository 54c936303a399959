"""Translation of a ledger database's errors into one-line messages without secrets or row values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.postgres.errors import connection_meaning, sqlstate_meaning

# Words of SQLite's messages. Python provides SQLite's error codes only from version 3.11.
_SQLITE = (
    ("locked", "another process holds a lock on it: let it finish and try again"),
    ("disk is full", "the disk is full: free some space and try again"),
    ("disk I/O error", "the disk reports an error: check whether it is full or a quota is exhausted"),
    ("readonly", "it is read-only: make the file and its directory writable"),
    ("unable to open", "the file cannot be opened or created: check its path and the permissions"),
    ("not a database", "the file is not an SQLite database: name another file"),
    ("malformed", "the file is damaged: restore it, or rebuild it with orgrecon import"),
    ("append-only", "it is append-only"),
    ("already exists", "it has tables but no revision: restore it, or rebuild it with orgrecon import"),
    ("no such", "its tables are not those of a ledger: restore it, or rebuild it with orgrecon import"),
)

# Meanings specific to a ledger, by SQLSTATE or its class. orgrecon_pipeline.postgres.errors has the others.
_POSTGRES = {
    "22": "the evidence contradicts itself, or a number or name in it is out of range",
    "23": "the evidence contradicts itself, or a number or name in it is out of range",
    "23001": "it is append-only",
    "25006": "it is read-only (a standby?): name a writable database",
    "3D000": "the database does not exist: create it",
    "3F000": "it has no schema to create tables in: create one, or set the role's search_path",
    "42501": "permission denied: grant the role TEMPORARY on the database, CREATE and USAGE on "
             "the schema, SELECT and INSERT on the tables",
    "42703": "its tables are not those of a ledger: restore it, or rebuild it with orgrecon import",
    "42P01": "its tables are not those of a ledger: restore it, or rebuild it with orgrecon import",
    "42P07": "it has tables but no revision: restore it, or rebuild it with orgrecon import",
    "53100": "the server's disk is full: free some space and try again",
    "55P03": "another session holds a lock on its tables: let it finish and try again",
    "57014": "the statement was cancelled or exceeded the role's statement_timeout",
}


@contextlib.contextmanager
def translate_errors(kind: type[OrgreconError], doing: str) -> Iterator[None]:
    """Raise the database errors of a block as ``kind``.

    ``doing`` is the beginning of the message, as in ``cannot open the ledger x``.
    """
    try:
        yield
    except (SQLAlchemyError, UnicodeError, OverflowError) as error:
        raise kind(f"{doing}: {_meaning(error)}.") from None


def _meaning(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    if state := getattr(cause, "sqlstate", None):
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2]) or sqlstate_meaning(state)
    text = str(cause)
    if meaning := next((meaning for words, meaning in _SQLITE if words in text), None) or connection_meaning(text):
        return meaning
    if isinstance(error, (IntegrityError, OverflowError)):
        return _POSTGRES["23"]
    return "its database does not respond as expected"
