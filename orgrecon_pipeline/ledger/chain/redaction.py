"""Redaction of a tenant in a ledger, the only operation that changes stored rows.

One transaction stores the redaction, changes the rows, and stores which parts of earlier links it changed, with their
digests before and after. Its own link comes last: the triggers permit changes only while a redaction has no link, and a
deferred foreign key refuses to commit one without. Nothing is changed if the evidence contradicts its links before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from orgrecon_pipeline.domain.errors import EvidenceNotStored, UnsoundTrail, UsageError
from orgrecon_pipeline.domain.integrity.redaction import Redactor, name_hash
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.chain.links import READERS, ChainStore
from orgrecon_pipeline.ledger.chain.verified import VerifiedChain
from orgrecon_pipeline.ledger.connection.address import SqliteAddress
from orgrecon_pipeline.ledger.connection.errors import translate_errors
from orgrecon_pipeline.ledger.connection.retry import retried
from orgrecon_pipeline.ledger.statements.fingerprints import replace_name
from orgrecon_pipeline.ledger.statements.rows import insert_rows, storable


@dataclass(frozen=True)
class Redaction:
    """A redaction that the ledger has. ``links`` is the number of earlier links whose evidence it changed."""

    position: int
    pseudonym: str
    name_hash: str
    reason: str
    recorded_at: datetime
    links: int


class RedactionStore(ChainStore):
    """The methods of a ledger that redact a tenant, and that read the redactions."""

    @retried
    def redactions(self) -> list[Redaction]:
        """Return all redactions, in the order of their links."""
        table, part = self.own.redaction, tables.redacted_part
        links = select(func.count(part.c.position.distinct())).where(part.c.redaction == table.c.number)
        statement = select(table, links.scalar_subquery().label("links")).order_by(table.c.position)
        with self.reading() as connection:
            return [Redaction(row.position, row.pseudonym, row.name_hash, row.reason, row.recorded_at, row.links)
                    for row in connection.execute(statement)]

    def redact(self, redactor: Redactor, reason: str, recorded_at: datetime) -> None:
        """Replace a tenant in all evidence of this identity, permanently.

        Raises:
            UsageError: if no evidence names the tenant.
            UnsoundTrail: if the evidence contradicts the hash chain, which a redaction must not hide.
            EvidenceNotStored: if the ledger refuses the change. Then, as after a crash, nothing was changed.
        """
        from orgrecon_pipeline.ledger.chain.personal import replace_tenant  # slow to import, and rarely needed

        with self.writing() as connection:
            if isinstance(self.address, SqliteAddress):
                connection.exec_driver_sql("PRAGMA secure_delete = ON")  # overwrite what is replaced
            self._lock_chain(connection)
            chain = self._chain(connection)
            if wrong := next(self._breaks(connection, chain), None):
                raise UnsoundTrail(f"nothing was redacted, because the ledger is not sound: {wrong}")
            number = self._insert_redaction(connection, redactor, reason, recorded_at)
            changed = replace_tenant(connection, self.own, redactor)
            in_fingerprints = replace_name(connection, self.identity, redactor.name, redactor.pseudonym)
            if not changed and not in_fingerprints:
                raise UsageError(f"no evidence names the tenant {redactor.name!a}: check its name.")
            insert_rows(connection, tables.redacted_part, [
                (number, *row) for row in _changed_parts(connection, chain, changed)])
            self._append_link(connection, "redaction", number)

    def vacuum(self) -> bool:
        """Rewrite an SQLite file without remains of replaced rows; return False on PostgreSQL, which keeps them.

        Raises:
            LedgerUnavailable: if another process uses the file for too long.
            EvidenceNotStored: if the file cannot be rewritten for another reason.
        """
        if not isinstance(self.address, SqliteAddress):
            return False
        with (translate_errors(EvidenceNotStored, f"the free pages of {self.address} were not removed"),
              self.engine.connect() as connection):
            connection.exec_driver_sql("COMMIT")  # the transaction that began with the connection
            connection.exec_driver_sql("VACUUM")
        return True

    def _insert_redaction(
        self, connection: Connection, redactor: Redactor, reason: str, recorded_at: datetime
    ) -> int:
        head = self._head(connection)
        key = connection.execute(insert(tables.redaction).values(
            migration=self.identity.migration, environment=self.identity.environment,
            position=head.position + 1 if head else 1, pseudonym=redactor.pseudonym,
            name_hash=name_hash(redactor.name, self._id_of(connection)), reason=storable(reason),
            recorded_at=recorded_at)).inserted_primary_key
        assert key is not None  # noqa: S101 - a single row was inserted
        return int(key[0])


def _changed_parts(connection: Connection, chain: VerifiedChain, changed: set[Any]) -> list[tuple[int, str, str, str]]:
    """Return the position, part, and digests before and after of every part of the changed links."""
    parts = []
    for row, entry in chain.links:
        if (row.kind, row.subject, row.detail) in changed:
            stored = READERS[entry.kind](connection, row.subject, row.detail)
            parts += [(row.position, name, part.sha256, stored[name].sha256)
                      for name, part in chain.expected[row.position].items() if stored[name] != part]
    return parts
