"""Lock requests that wait for a comparison, and the kinds of their statements."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql

# Keywords of the statements that lock a table in a mode for which others must wait. No other word of a statement is
# ever shown: it could be a value or a secret.
_FIRST = ("ALTER", "CLUSTER", "CREATE", "DROP", "LOCK", "REFRESH", "REINDEX", "TRUNCATE", "VACUUM")
_FOLLOWING = ("CONCURRENTLY", "CONSTRAINT", "DATABASE", "DOMAIN", "EXTENSION", "FULL", "FUNCTION", "INDEX",
              "MATERIALIZED", "OWNED", "POLICY", "RULE", "SCHEMA", "SEQUENCE", "STATISTICS", "SYSTEM", "TABLE",
              "TRIGGER", "TYPE", "UNIQUE", "VIEW")
_KEYWORDS = re.compile(rf"\s*\b(?:{'|'.join(_FIRST)})\b(?:[\s(]+(?:{'|'.join(_FOLLOWING)})\b)*", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class LockRequest:
    """Lock request that waits. The same request, read at different times, is equal.

    Attributes:
        mode: as in ``ACCESS EXCLUSIVE``.
        table: schema and name; None if it is not a table of this database.
        statement: first keywords of the statement, as in ``ALTER TABLE``; None if the role may not see the statement,
            or it begins with other words.
    """

    pid: int
    virtualtransaction: str
    mode: str
    table: str | None
    statement: str | None = field(compare=False)

    def __str__(self) -> str:
        lock = f"{'an' if self.mode[0] in 'AE' else 'a'} {self.mode} lock"
        what = f"{self.statement} (which needs {lock})" if self.statement else f"a request for {lock}"
        return f"{what} on {self.table}" if self.table else what


def statement_kind(text: str | None) -> str | None:
    """Return the first keywords of a statement that locks a table; None if it begins with other words.

    If the text has several statements, the last one that locks a table counts: it is the most likely one to wait.
    """
    kinds = [match[0] for part in _COMMENT.sub(" ", text or "").split(";") if (match := _KEYWORDS.match(part))]
    return " ".join(re.split(r"[\s(]+", kinds[-1].strip())).upper() if kinds else None


def read_requests(session: Session, pids: Collection[int]) -> list[LockRequest]:
    """Return the lock requests that wait for some backends, and for which others must wait."""
    rows = session.query(load_sql("postgres/sql/lock_queue.sql"), "reading the lock queue", {"backends": list(pids)})
    return [LockRequest(row["pid"], row["virtualtransaction"], _mode_name(row["mode"]), row["relation"],
                        statement_kind(row["query"])) for row in rows]


def still_exists(session: Session, request: LockRequest) -> bool:
    """Return whether the transaction of a request still waits for a lock or holds one."""
    parameters = {"pid": request.pid, "virtualtransaction": request.virtualtransaction}
    [row] = session.query(load_sql("postgres/sql/lock_request_exists.sql"), "reading the lock queue", parameters)
    return bool(row["exists"])


def _mode_name(mode: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
