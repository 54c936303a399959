"""What a ledger's database said, as one sentence without a secret or a value of a row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from orgrecon_pipeline.domain.errors import OrgreconError

# SQLite has error codes in Python from 3.11 only; its words are the same in every version.
_SQLITE = (
    ("locked", "another process has it locked: let that end and try again"),
    ("disk is full", "the disk is full: make room and try again"),
    ("disk I/O error", "the disk reports an error: look whether it is full, or a quota used up"),
    ("readonly", "it is read-only: make the file and its directory writable"),
    ("unable to open", "the file cannot be opened or created: check its path and the permissions"),
    ("not a database", "the file is no SQLite database: name another file"),
    ("malformed", "the file is damaged: restore it, or rebuild it with orgrecon import"),
    ("append-only", "it is append-only"),
    ("already exists", "it has tables without their revision: restore it, or rebuild it with orgrecon import"),
    ("no such", "its tables are not those of a ledger: restore it, or rebuild it with orgrecon import"),
)

# SQLSTATE, or its class.
_POSTGRES = {
    "25006": "it is read-only (a standby?): name a database that can be written to",
    "42501": "permission is refused: grant the role CREATE and USAGE on the schema, SELECT and INSERT on the tables",
    "3F000": "there is no schema to make tables in: create it, or set the role's search_path",
    "42P01": "its tables are not those of a ledger: restore it, or rebuild it with orgrecon import",
    "42703": "its tables are not those of a ledger: restore it, or rebuild it with orgrecon import",
    "55P03": "somebody else holds its tables locked: let that end and try again",
    "57014": "a statement was cancelled, or ran into the role's statement_timeout",
    "53100": "the server's disk is full: make room and try again",
    "53300": "the server has no free connection slot",
    "28": "the server refuses user or password",
    "3D": "the database does not exist: create it",
    "08": "the connection was lost",
    "53": "the server is short of resources",
    "57": "the server ended the session",
    "42P07": "it has tables without their revision: restore it, or rebuild it with orgrecon import",
    "23001": "it is append-only",
}

# libpq gives no SQLSTATE for a connection that was never made; its English words are all there is.
_CONNECT = (
    ("authentication failed", "the server refuses user or password"),
    ("no password supplied", "the server wants a password and the URL has none"),
    ("no pg_hba.conf entry", "the server's pg_hba.conf does not admit this client"),
    ("too many clients", "the server has no free connection slot"),
    ("connection slots", "the server has no free connection slot"),
    ("starting up", "the server is starting up"),
    ("shutting down", "the server is shutting down"),
    ("recovery mode", "the server is in recovery and admits nobody yet"),
    ("resolve host", "the host name cannot be resolved"),
    ("translate host name", "the host name cannot be resolved"),
    ("Name or service not known", "the host name cannot be resolved"),
    ("invalid", "a parameter of the URL has a value that is not allowed"),
    ("Connection refused", "nothing listens at that host and port"),
    ("No such file or directory", "there is no such socket"),
    ("timeout", "the server did not answer in time"),
    ("definition of service", "the service is not defined in pg_service.conf"),
    ("does not exist", "the database or role does not exist: create it"),
    ("SSL", "the TLS connection could not be made"),
    ("lost", "the connection was lost"),
    ("closed", "the connection was lost"),
)


@contextlib.contextmanager
def translate_errors(kind: type[OrgreconError], doing: str) -> Iterator[None]:
    """Turns a database's errors into ``kind``; ``doing`` begins the sentence, as in ``cannot open the ledger x``."""
    try:
        yield
    except (SQLAlchemyError, UnicodeError, OverflowError) as error:
        raise kind(f"{doing}: {_meaning(error)}.") from None


def _meaning(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None) or ""
    meaning = _POSTGRES.get(state) or _POSTGRES.get(state[:2])
    if meaning is None and not state:
        words = str(cause)
        meaning = next((said for sign, said in (*_SQLITE, *_CONNECT) if sign in words), None)
    if meaning is None and (isinstance(error, (IntegrityError, OverflowError)) or state[:2] in ("22", "23")):
        meaning = "the evidence contradicts itself, or a figure or name in it is out of all bounds"
    if meaning is None:
        meaning = f"the server answers with SQLSTATE {state}" if state else "its database does not answer as it should"
    return meaning
