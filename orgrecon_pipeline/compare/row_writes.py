"""Number of rows that applications write to the compared tables between two reads."""

from __future__ import annotations

from collections.abc import Iterable

from orgrecon_pipeline.compare.preflight import Preflight
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql


class RowWrites:
    """Counts written rows by the counters of the servers, which are late and incomplete.

    It may decide only which of two ways to the same result is faster.

    Attributes:
        since_last: rows written between the last two calls of :meth:`count`.
    """

    def __init__(self) -> None:
        self.since_last, self._total = 0, 0

    def count(self, databases: Iterable[tuple[Session, Preflight]]) -> None:
        """Read the counters of the tables. Each session must be in a new transaction, because it reads them once."""
        statement, action = load_sql("compare/sql/row_writes.sql"), "reading the counters of the tables"
        total = sum(
            session.query(statement, action, {"oids": [table.oid for table in preflight.tables]})[0]["row_writes"]
            for session, preflight in databases)
        self.since_last, self._total = max(0, total - self._total), total
